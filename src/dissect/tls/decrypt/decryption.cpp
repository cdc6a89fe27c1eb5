#include "dissect/tls/decrypt/decryption.h"

#include <algorithm>

#include "base/check.h"
#include "dissect/tls/decrypt/key_schedule.h"
#include "dissect/tls/hello.h"

// A record says nothing of its number nor of its keys. Both follow from what came before it: numbers count from zero
// with each key, and keys change behind certain messages, which in TLS 1.3 are sealed themselves. When records are
// missing (the capture lost them, or their secrets came too late) the place is found again by trying the numbers that
// follow, and the keys that follow, on the next records: a tag that verifies is proof. What may be tried in vain is
// bounded for each record and for each direction; trying earns its keep by records that are opened.

namespace baleen::dissect::tls {
namespace {

enum ContentType : uint8_t { kChangeCipherSpec = 20, kHandshake = 22, kApplicationData = 23 };
enum HandshakeType : uint8_t {
  kClientHello = 1,
  kServerHello = 2,
  kEndOfEarlyData = 5,
  kEncryptedExtensions = 8,
  kFinished = 20,
  kKeyUpdate = 24,
};

constexpr int64_t kTrialBytes = 16 << 20;       // of a direction
constexpr int64_t kTrialBytesRecord = 1 << 20;  // of one record
constexpr uint64_t kFewestTrials = 16, kMostTrials = 1024;
constexpr int64_t kKeyCost = 8192;          // bytes that could be opened in the time that it takes to make keys
constexpr uint64_t kHandshakeRecords = 16;  // that may come before a direction's application data
constexpr size_t kMostBody = 16 << 10;      // of a message that is read

constexpr uint16_t kEncryptThenMac = 22, kEarlyData = 42;  // extensions (RFC 7366, RFC 8446)

}  // namespace

Chosen chosen_by(const Hello& hello) {
  Chosen chosen;
  chosen.version = hello.version();
  // Compressed content is of no use to anybody; such a suite is as good as unknown.
  chosen.cipher = hello.ciphers.size() == 0 || hello.compression != 0 ? 0 : hello.ciphers[0];
  chosen.server_random = hello.random;
  for (const Extension& e : hello.all()) chosen.encrypt_then_mac |= e.type == kEncryptThenMac;
  return chosen;
}

Decryption::Decryption(const KeyLog& log, Bytes client_random, bool early_data) : log_(log), early_data_(early_data) {
  BALEEN_CHECK(client_random.size() == client_random_.size());
  std::copy(client_random.begin(), client_random.end(), client_random_.begin());
  for (Side& s : sides_) s.trial_bytes = kTrialBytes;
  if (early_data) side(Direction::kToServer).epoch = Epoch::kEarly;
}

bool Decryption::choose(const Chosen& chosen) {
  suite_ = suite_of(chosen.cipher);
  version_ = chosen.version;
  encrypt_then_mac_ = chosen.encrypt_then_mac;
  const bool aead = suite_.kind != Suite::Kind::kCbc;
  const bool ok = suite_.is_known() && chosen.server_random.size() == server_random_.size() &&
                  (version_ == 0x0303 || (version_ == 0x0304 && aead));
  if (!ok) return false;
  std::copy(chosen.server_random.begin(), chosen.server_random.end(), server_random_.begin());
  Side& client = side(Direction::kToServer);
  if (is_13()) {
    if (client.epoch == Epoch::kPlain) client.epoch = Epoch::kHandshake;
    side(Direction::kToClient).epoch = Epoch::kHandshake;
  } else if (client.epoch == Epoch::kEarly) {  // asked for, and not even understood
    client.epoch = Epoch::kPlain;
  }
  return true;
}

void Decryption::enter(Side& s, Epoch epoch) {
  s.epoch = epoch;
  s.number = 0;
  s.adrift = false;
  s.cipher.reset();
  s.asked = ~uint64_t{0};
}

void Decryption::change_cipher(Direction direction) {
  if (version_ == 0x0303) enter(side(direction), Epoch::kApplication);
}

bool Decryption::is_sealed(Direction direction, uint8_t type) const {
  const Side& s = side(direction);
  if (version_ == 0x0303) return s.epoch != Epoch::kPlain || type == kApplicationData;
  return s.epoch != Epoch::kPlain && type == kApplicationData;
}

bool Decryption::passes_over(Direction direction) {
  Side& s = side(direction);
  const bool no_secret = !s.cipher && !may_wait(s) && version_ != 0 && s.asked == log_.version();
  if (!s.never && !no_secret) return false;
  ++s.number;
  if (is_13()) s.adrift = true;
  return true;
}

void Decryption::gap(Direction direction) {
  Side& s = side(direction);
  s.adrift = true;
  s.head_size = 0;
  s.left = 0;
}

void Decryption::stop_waiting() { patient_ = false; }

bool Decryption::find(Direction direction, Epoch epoch, Secret& out) const {
  const bool client = direction == Direction::kToServer;
  const SecretKind kind = !is_13()                 ? SecretKind::kMaster
                          : epoch == Epoch::kEarly ? SecretKind::kClientEarly
                          : epoch == Epoch::kHandshake
                              ? (client ? SecretKind::kClientHandshake : SecretKind::kServerHandshake)
                              : (client ? SecretKind::kClientApplication : SecretKind::kServerApplication);
  return log_.find(client_random_, kind, out);
}

/// What the server chose is not known yet. A server may throw early data away, and the client says them again.
bool Decryption::waits_for_server(const Side& s) const {
  return version_ == 0 ||
         (s.epoch == Epoch::kEarly && !early_known_ && side(Direction::kToClient).epoch < Epoch::kApplication);
}

bool Decryption::may_wait(const Side& s) const { return patient_ && (log_.grows() || waits_for_server(s)); }

/// False when the secret is not known.
bool Decryption::make_cipher(Direction direction) {
  Side& s = side(direction);
  if (s.cipher) return true;
  if (version_ == 0 || (patient_ && waits_for_server(s))) return false;
  const uint64_t now = log_.version();
  if (s.asked == now) return false;
  Secret secret;
  bool known = find(direction, s.epoch, secret);
  if (!known && s.epoch == Epoch::kEarly && find(direction, Epoch::kHandshake, secret)) {
    // Who logged the later secret would have logged the earlier one: early data stay closed.
    s.epoch = Epoch::kHandshake;
    s.adrift = known = true;
  }
  // A log that is still being written has the secret of one direction before the other's. Answers that could be opened
  // before their questions are would stand alone.
  Secret other;
  const bool alone = is_13() && s.epoch == Epoch::kApplication && patient_ && log_.grows() &&
                     !find(opposite(direction), s.epoch, other);
  if (!known || alone) {
    s.asked = known ? s.asked : now;
    return false;
  }
  s.traffic = secret;
  s.cipher = is_13() ? RecordCipher::tls13(suite_, secret)
                     : RecordCipher::tls12(suite_, {secret.view(), client_random_, server_random_},
                                           direction == Direction::kToServer, encrypt_then_mac_);
  if (s.cipher == nullptr) s.never = true;
  return s.cipher != nullptr;
}

Decryption::Outcome Decryption::open(Direction direction, Bytes record, std::span<uint8_t> room, Opened& out) {
  Side& s = side(direction);
  if (s.epoch == Epoch::kPlain) {  // the ChangeCipherSpec was lost
    enter(s, Epoch::kApplication);
    s.adrift = true;
  }
  if (!s.never && !make_cipher(direction) && !s.never) {
    if (may_wait(s)) return Outcome::kWait;
    ++s.number;  // exact in TLS 1.2; in TLS 1.3 some of them belong to the handshake's keys
    if (is_13()) s.adrift = true;
    return Outcome::kFailed;
  }
  if (s.never) return Outcome::kNever;
  std::optional<Opened> opened;
  if (!s.adrift) opened = s.cipher->open(record, s.number, room);
  if (!opened) {
    s.trial_bytes -= static_cast<int64_t>(record.size());
    s.adrift = true;
    s.head_size = 0;
    s.left = 0;
    opened = search(direction, record, room);
  }
  if (!opened) {
    s.never = s.trial_bytes <= 0;
    ++s.number;
    return Outcome::kFailed;
  }
  s.adrift = false;
  s.trial_bytes = std::min(kTrialBytes, s.trial_bytes + static_cast<int64_t>(record.size()));
  ++s.number;
  out = *opened;
  accept(direction, out);
  return Outcome::kOpened;
}

std::optional<Opened> Decryption::try_numbers(Side& s, RecordCipher& cipher, uint64_t first, Bytes record,
                                              std::span<uint8_t> room, uint64_t& found) {
  const auto size = static_cast<int64_t>(record.size());
  const uint64_t trials = std::clamp(static_cast<uint64_t>(kTrialBytesRecord / size), kFewestTrials, kMostTrials);
  for (uint64_t n = first; n < first + trials && s.trial_bytes > 0; ++n) {
    s.trial_bytes -= size;
    if (auto opened = cipher.open(record, n, room)) {
      found = n;
      return opened;
    }
  }
  return {};
}

/// The place of this record among those that may follow; on success the side stands there.
std::optional<Opened> Decryption::search(Direction direction, Bytes record, std::span<uint8_t> room) {
  Side& s = side(direction);
  uint64_t found = 0;
  if (auto opened = try_numbers(s, *s.cipher, s.number, record, room, found)) {
    s.number = found;
    return opened;
  }
  if (!is_13()) return {};
  // The end of this epoch may have been lost. Of the records that were counted in vain some belong to the next one.
  const uint64_t first = s.number > kHandshakeRecords ? s.number - kHandshakeRecords : 0;
  for (Epoch epoch = s.epoch; s.trial_bytes > 0;) {
    const bool update = epoch == Epoch::kApplication;
    Secret secret;
    if (update) {
      if (s.epoch != Epoch::kApplication) return {};  // more than one change in a hole: too far
      secret = next_traffic_secret(suite_.hash, s.traffic);
    } else {
      epoch = static_cast<Epoch>(static_cast<uint8_t>(epoch) + 1);
      if (!find(direction, epoch, secret)) return {};
    }
    s.trial_bytes -= kKeyCost;
    auto cipher = RecordCipher::tls13(suite_, secret);
    if (cipher == nullptr) return {};
    if (auto opened = try_numbers(s, *cipher, update ? 0 : first, record, room, found)) {
      enter(s, epoch);
      s.number = found;
      s.cipher = std::move(cipher);
      s.traffic = secret;
      return opened;
    }
    if (update) return {};
  }
  return {};
}

void Decryption::accept(Direction direction, const Opened& opened) {
  if (opened.type == kHandshake) return read_messages(direction, opened.plaintext);
  if (opened.type == kChangeCipherSpec) change_cipher(direction);
}

/// Handshake messages may be spread over records. Their bodies matter only where they bring a renegotiation.
void Decryption::read_messages(Direction direction, Bytes bytes) {
  Side& s = side(direction);
  while (!bytes.empty()) {
    if (s.head_size < sizeof s.head) {
      s.head[s.head_size++] = bytes[0];
      bytes = bytes.subspan(1);
      if (s.head_size < sizeof s.head) continue;
      s.left = uint32_t{s.head[1]} << 16 | uint32_t{s.head[2]} << 8 | s.head[3];
      s.body.clear();
    }
    const Bytes part = bytes.first(std::min<size_t>(s.left, bytes.size()));
    if (is_kept(s.head[0]) && s.body.size() + part.size() <= kMostBody)
      s.body.insert(s.body.end(), part.begin(), part.end());
    s.left -= static_cast<uint32_t>(part.size());
    bytes = bytes.subspan(part.size());
    if (s.left != 0) return;
    s.head_size = 0;
    message(direction, s.head[0]);
  }
}

bool Decryption::is_kept(uint8_t type) const {
  if (is_13()) return type == kEncryptedExtensions && early_data_;
  return type == kClientHello || type == kServerHello;
}

void Decryption::read_encrypted_extensions(Bytes body) {
  bool taken = false;
  ByteReader r(body);
  for (ByteReader list(r.bytes(r.be16())); !list.at_end();) {
    const uint16_t type = list.be16();
    list.skip(list.be16());
    taken |= list.ok() && type == kEarlyData;
  }
  early_known_ = true;
  Side& client = side(Direction::kToServer);
  if (taken || client.epoch != Epoch::kEarly) return;
  enter(client, Epoch::kHandshake);
  client.adrift = true;  // what was thrown away comes first
}

void Decryption::message(Direction direction, uint8_t type) {
  Side& s = side(direction);
  if (is_13()) {
    if (type == kEncryptedExtensions && early_data_ && direction == Direction::kToClient) {
      read_encrypted_extensions(s.body);
    } else if (type == kFinished && s.epoch == Epoch::kHandshake) {
      enter(s, Epoch::kApplication);
    } else if (type == kEndOfEarlyData && s.epoch == Epoch::kEarly) {
      enter(s, Epoch::kHandshake);
    } else if (type == kKeyUpdate && s.epoch == Epoch::kApplication) {
      s.traffic = next_traffic_secret(suite_.hash, s.traffic);
      s.cipher = RecordCipher::tls13(suite_, s.traffic);
      s.number = 0;
      if (s.cipher == nullptr) s.never = true;
    }
    return;
  }
  const bool from_client = direction == Direction::kToServer;
  if (s.body.empty() || type != (from_client ? kClientHello : kServerHello)) return;
  const Hello hello = read_hello(s.body, from_client);
  if (hello.ok && hello.random.size() == 32) {
    if (from_client) {
      std::copy(hello.random.begin(), hello.random.end(), client_random_.begin());
    } else if (!choose(chosen_by(hello))) {
      for (Side& each : sides_) each.never = true;
    }
  }
  s.body = {};
}

}  // namespace baleen::dissect::tls
