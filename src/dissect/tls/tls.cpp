// A handshake is over, as far as anybody without keys can tell, when the server has chosen TLS 1.3 (all that follows is
// encrypted) or, before 1.3, when it has changed the cipher. Handshake messages may be spread over records and records
// may hold several of them, so the bytes of each direction are put together in the item's arena.

#include "dissect/tls/tls.h"

#include <array>
#include <memory>
#include <vector>

#include "dissect/build.h"
#include "dissect/tls/certificate.h"
#include "dissect/tls/decrypt/decryption.h"
#include "dissect/tls/hello.h"
#include "dissect/tls/names.h"

namespace baleen::dissect::tls {

using item::Field;
using item::Item;
using item::Outcome;
using item::Value;
using enum item::FieldType;

namespace {

/// One direction of a handshake.
struct Side {
  uint8_t* bytes = nullptr;  // of handshake messages, put together
  uint32_t size = 0, room = 0, read = 0;
  uint64_t wire_size = 0;
  Timestamp time{};
  bool hello = false, broken = false;
  Value certificates, alert;
  MapOf* fields = nullptr;  // of the payload
};

constexpr size_t kMaxHandshake = 64 << 10;

/// Room for the records that this thread opens: one for each TLS inside TLS. What is shown to the inner conversation
/// lies there until it has been looked at.
template <class T>
class Lease {
 public:
  Lease() {
    if (depth_ == pool_.size()) pool_.push_back(std::make_unique<T>());
    held_ = pool_[depth_++].get();
  }
  ~Lease() { --depth_; }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  T& operator*() const { return *held_; }

 private:
  static inline thread_local std::vector<std::unique_ptr<T>> pool_;
  static inline thread_local size_t depth_ = 0;
  T* held_;
};
using RecordRoom = std::array<uint8_t, RecordCipher::kMostPlaintext>;

}  // namespace

struct Handshake {
  Item* item;
  Side side[2] = {};
  bool retry = false;  // HelloRetryRequest: another ClientHello comes
  bool resumed = false;
  bool has_response = false;
  uint16_t version = 0;  // chosen
  Bytes client_session;
};

namespace {

constexpr uint16_t kPorts[] = {443, 8443, 6443};
constexpr Field kFields[] = {
    {"request.sni", "tlsx_sni", kString, "Server name that the client asks for."},
    {"request.alpn", "tlsx_alpn", kString, "Application protocols that the client offers, with commas between."},
    {"request.summary", "tlsx_summary", kString, "The server name, else the highest version that is offered."},
    {"request.info", "tlsx_info", kString, "ClientHello."},
    {"request.version", "tlsx_version", kInt,
     "Highest version that the client offers: 771 is TLS 1.2, 772 is TLS 1.3."},
    {"request.cipherSuites", "tlsx_cipher_suites", kList, "Names of the cipher suites that the client offers."},
    {"response.cipherSuite", "tlsx_cipher_suite", kInt, "Number of the cipher suite that the server chose."},
    {"requestSize", "tls_request_size", kInt, "Bytes of the client's handshake records."},
    {"responseSize", "tls_response_size", kInt, "Bytes of the server's handshake records."},
    {"size", "tls_total_size", kInt, "Bytes of the handshake."},
    {"request.versionName", "", kString, "The highest version in words."},
    {"request.versions", "", kList, "All versions that are offered."},
    {"request.ja3", "", kString, "JA3 fingerprint of the ClientHello."},
    {"request.ja3Text", "", kString, "What JA3 is the MD5 of."},
    {"request.ja4", "", kString, "JA4 fingerprint of the ClientHello."},
    {"request.ja4Raw", "", kString, "JA4 before hashing, lists sorted."},
    {"request.extensions", "", kList, "Names of the extensions, in order."},
    {"request.groups", "", kList, "Key exchange groups that are offered."},
    {"request.sessionId", "", kString, "Session identifier in hexadecimal."},
    {"request.resumption", "", kString, "How the client asks to resume: session id, session ticket or pre-shared key."},
    {"request.earlyData", "", kBool, "Data is sent before the server has answered (0-RTT)."},
    {"request.encryptedClientHello", "", kBool, "The true ClientHello is encrypted in an extension."},
    {"request.certificates", "", kList,
     "The client's certificates: subject, issuer, serialNumber, notBefore, notAfter, names."},
    {"request.alert", "", kMap, "The client's alert: level and description."},
    {"response.info", "", kString, "ServerHello, or Alert when nothing else was answered."},
    {"response.status", "", kString, "The version agreed on, or the alert."},
    {"response.version", "", kInt, "The version that the server chose."},
    {"response.cipherSuiteName", "", kString, "Name of the cipher suite."},
    {"response.alpn", "", kString, "The application protocol agreed on, where it is not encrypted."},
    {"response.ja3s", "", kString, "JA3S fingerprint of the ServerHello."},
    {"response.extensions", "", kList, "Names of the extensions."},
    {"response.group", "", kString, "Key exchange group of TLS 1.3."},
    {"response.resumed", "", kBool, "An earlier session goes on: no certificates are sent."},
    {"response.helloRetry", "", kBool, "The server asked for another ClientHello first."},
    {"response.certificates", "", kList, "The server's certificates, its own first; encrypted in TLS 1.3."},
    {"response.security", "", kList, "What is weak about the version or the cipher suite."},
    {"response.alert", "", kMap, "The server's alert: level and description."},
};

enum ContentType : uint8_t {
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
  kHeartbeat = 24
};
enum HandshakeType : uint8_t {
  kClientHello = 1,
  kServerHello = 2,
  kCertificate = 11,
};
constexpr size_t kRecordHead = 5;
constexpr size_t kMaxRecord = 16384 + 2048;
/// SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3).
constexpr uint8_t kRetryRandom[] = {0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C,
                                    0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB,
                                    0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};

bool is_record_head(Bytes b) {
  return b[0] >= kChangeCipherSpec && b[0] <= kHeartbeat && b[1] == 3 && b[2] <= 4 && load_be16(&b[3]) <= kMaxRecord &&
         load_be16(&b[3]) > 0;
}

/// Names with a length before each, with commas between.
std::string_view alpn_text(Bytes alpn, Arena& arena) {
  std::string_view out;
  for (ByteReader r(alpn); !r.at_end();) {
    const std::string_view name = r.text(r.u8());
    if (!r.ok()) break;
    out = out.empty() ? name : join({out, ",", is_printable(name) ? name : hex(as_bytes(name), arena)}, arena);
    if (out.size() > 1024) break;
  }
  return is_text(out) ? out : hex(as_bytes(out), arena);
}

void add_extensions(const Hello& hello, MapOf& out, Arena& arena) {
  ListOf names(arena);
  for (const Extension& e : hello.all())
    if (!is_grease(e.type)) names.push(extension_name(e.type, arena));
  out.add("extensions", names.build());
}

void describe_client(const Hello& h, MapOf& out, Arena& arena) {
  const std::string_view sni = is_text(h.sni) ? h.sni : hex(as_bytes(h.sni), arena);
  const uint16_t version = h.version();
  out.add("info", "ClientHello");
  out.add("summary", sni.empty() ? version_name(version, arena) : sni);
  out.add("sni", sni);
  out.add("alpn", alpn_text(h.alpn, arena));
  out.add("version", static_cast<int64_t>(version));
  out.add("versionName", version_name(version, arena));
  if (h.versions.size() > 0) {
    ListOf versions(arena);
    for (size_t i = 0; i < h.versions.size(); ++i)
      if (!is_grease(h.versions[i])) versions.push(version_name(h.versions[i], arena));
    out.add("versions", versions.build());
  }
  ListOf ciphers(arena), groups(arena);
  for (size_t i = 0; i < h.ciphers.size(); ++i)
    if (!is_grease(h.ciphers[i])) ciphers.push(cipher_name(h.ciphers[i], arena));
  out.add("cipherSuites", ciphers.build());
  add_extensions(h, out, arena);
  for (size_t i = 0; i < h.groups.size(); ++i)
    if (!is_grease(h.groups[i])) groups.push(group_name(h.groups[i], arena));
  out.add("groups", groups.build());
  const std::string_view ja3 = ja3_text(h, arena);
  const Ja4 fingerprint = ja4(h, arena);
  out.add("ja3", ja3_hash(ja3, arena));
  out.add("ja3Text", ja3);
  out.add("ja4", fingerprint.hashed);
  out.add("ja4Raw", fingerprint.raw);
  out.add_text("sessionId", hex(h.session_id, arena));
  if (h.has_psk || h.has_ticket || (!h.session_id.empty() && version < 0x0304))
    out.add("resumption", h.has_psk ? "pre-shared key" : h.has_ticket ? "session ticket" : "session id");
  if (h.has_early_data) out.add("earlyData", true);
  if (h.has_ech) out.add("encryptedClientHello", true);
}

Value weaknesses(uint16_t version, std::string_view cipher, Arena& arena) {
  ListOf out(arena);
  if (version < 0x0303) out.push(join({"obsolete version ", version_name(version, arena)}, arena));
  for (const std::string_view word : {"RC4", "_NULL_", "EXPORT", "anon", "_DES_", "3DES", "MD5", "RC2"})
    if (cipher.find(word) != std::string_view::npos) {
      std::string_view bare = word;
      while (bare.front() == '_') bare.remove_prefix(1);
      while (bare.back() == '_') bare.remove_suffix(1);
      out.push(join({"weak cipher suite: ", bare}, arena));
    }
  return out.empty() ? Value() : out.build();
}

void describe_server(const Hello& h, MapOf& out, Arena& arena) {
  const uint16_t version = h.version(), cipher = h.ciphers.size() > 0 ? h.ciphers[0] : 0;
  const std::string_view name = cipher_name(cipher, arena);
  out.add("info", "ServerHello");
  out.add("version", static_cast<int64_t>(version));
  out.add("versionName", version_name(version, arena));
  out.add("cipherSuite", static_cast<int64_t>(cipher));
  out.add("cipherSuiteName", name);
  if (h.has_alpn) out.add("alpn", alpn_text(h.alpn, arena));
  add_extensions(h, out, arena);
  out.add("ja3s", ja3_hash(ja3_text(h, arena), arena));
  out.add_text("sessionId", hex(h.session_id, arena));
  if (h.selected_group != 0) out.add("group", group_name(h.selected_group, arena));
  if (const Value weak = weaknesses(version, name, arena); !weak.is_null()) out.add("security", weak);
}

Value read_certificates(Bytes body, Arena& arena) {
  ByteReader r(body);
  ListOf list(arena);
  for (ByteReader each(r.bytes(r.be24())); !each.at_end();) {
    const Bytes der = each.bytes(each.be24());
    if (!each.ok()) break;
    if (const Value v = read_certificate(der, arena); !v.is_null()) list.push(v);
  }
  return list.build();
}

}  // namespace

const item::Protocol Tls::kProtocol = {
    .name = "tls",
    .version = "1.x",
    .abbreviation = "TLS",
    .long_name = "Transport Layer Security",
    .macro = "tlsx",
    .reference = "https://datatracker.ietf.org/doc/html/rfc8446",
    .background = "#6b3fa0",
    .foreground = "#ffffff",
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.info",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Tls::probe(const Input& in) {
  const Bytes b = in.bytes;
  const uint8_t wanted = in.direction == Direction::kToServer ? kClientHello : kServerHello;
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != kHandshake) return Probe::kNo;
  if (b.size() > 1 && b[1] != 3) return Probe::kNo;
  if (b.size() < 11) return Probe::kUnsure;
  if (!is_record_head(b) || b[5] != wanted || b[6] != 0 || b[9] != 3 || b[10] > 4) return Probe::kNo;
  const size_t message = size_t{b[7]} << 8 | b[8];
  if (message < 38) return Probe::kNo;
  if (b.size() < 44) return Probe::kUnsure;
  return b[43] <= 32 ? Probe::kYes : Probe::kNo;
}

Probe Tls::begins(Direction, Bytes b) {
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Probe::kNo;
  if (b.size() < kRecordHead) return Probe::kUnsure;
  if (!is_record_head(b)) return Probe::kNo;
  const size_t next = kRecordHead + load_be16(&b[3]);
  if (b.size() < next + kRecordHead) return Probe::kUnsure;
  return is_record_head(b.subspan(next)) ? Probe::kYes : Probe::kNo;
}

Measure Tls::measure(Direction, Bytes b) const {
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Measure::bad();
  if (b.size() < kRecordHead) return Measure::need(kRecordHead);
  return is_record_head(b) ? Measure::frame(kRecordHead + load_be16(&b[3])) : Measure::bad();
}

Tls::Tls() = default;
Tls::~Tls() = default;

Step Tls::dissect(const Input& in, Output& out) {
  if (in.bytes.size() < kRecordHead || !is_record_head(in.bytes)) return Framed::dissect(in, out);
  const uint8_t type = in.bytes[0];
  if (decryption_) {
    if (decryption_->is_sealed(in.direction, type)) return open_record(in, out);
    if (type == kChangeCipherSpec) decryption_->change_cipher(in.direction);
  }
  // What cannot be read need not be waited for.
  if (done_ || type == kApplicationData || encrypted_[static_cast<size_t>(in.direction)]) {
    if (type == kApplicationData && in.direction == Direction::kToClient) finish(out);
    return Step::skip(kRecordHead + load_be16(&in.bytes[3]));
  }
  return Framed::dissect(in, out);
}

void Tls::begin_decryption(const Hello& hello, Output& out) {
  const KeyLog* const log = out.settings().key_log;
  if (log != nullptr && !log->is_idle() && hello.random.size() == 32 && !decryption_)
    decryption_ = std::make_unique<Decryption>(*log, hello.random, hello.has_early_data);
}

/// A record that is sealed, and may be opened now or later.
Step Tls::open_record(const Input& in, Output& out) {
  const size_t size = kRecordHead + load_be16(&in.bytes[3]);
  if (decryption_->passes_over(in.direction)) {
    close_record(in, out);
    return Step::skip(size);
  }
  if (in.bytes.size() < size) return in.end_of_stream ? Step::took(in.bytes.size()) : Step::need(size);
  const Bytes record = in.bytes.first(size);
  const Lease<RecordRoom> room;
  Opened opened;
  Decryption::Outcome outcome = decryption_->open(in.direction, record, *room, opened);
  if (outcome == Decryption::Outcome::kWait) {
    if (!in.end_of_stream && in.bytes.size() < out.settings().sealed_cap) {
      out.await_secrets();
      return Step::need();
    }
    decryption_->stop_waiting();
    out.wake(opposite(in.direction));
    outcome = decryption_->open(in.direction, record, *room, opened);
  }
  if (outcome != Decryption::Outcome::kOpened) {
    close_record(in, out);
    return Step::took(size);
  }
  out.count(Counter::kDecrypted);
  closed_[static_cast<size_t>(in.direction)] = false;
  if (opened.type == kApplicationData) {
    finish(out);
    if (!opened.plaintext.empty() &&
        !out.pass_inner(in.direction, opened.plaintext, in.time, decryption_->client_random()))
      decryption_.reset();  // nobody wants it
  } else if (opened.type == kHandshake) {
    out.wake(opposite(in.direction));  // early data wait for the server to take them
  }
  return Step::took(size);
}

/// A sealed record stays closed.
void Tls::close_record(const Input& in, Output& out) {
  out.count(Counter::kUndecryptable);
  if (in.direction == Direction::kToClient) finish(out);
  if (!std::exchange(closed_[static_cast<size_t>(in.direction)], true)) out.lose_inner(in.direction);
}

Step Tls::message(const Frame& frame, Output& out) {
  switch (frame.bytes[0]) {
    case kHandshake: read_handshake(frame, out); break;
    case kAlert: alert(frame, out); break;
    case kChangeCipherSpec:
      // In TLS 1.3 it means nothing; there, all is over by now, or another ClientHello comes.
      if (handshake_ != nullptr && handshake_->retry) break;
      encrypted_[static_cast<size_t>(frame.direction)] = true;
      if (!frame.to_server()) finish(out);
      break;
    default: break;
  }
  return Step::took(frame.size);
}

Handshake& Tls::handshake(Output& out) {
  if (handshake_ == nullptr) {
    Item* const item = out.begin(kProtocol);
    handshake_ = item->arena.make<Handshake>(Handshake{.item = item});
  }
  return *handshake_;
}

void Tls::read_handshake(const Frame& frame, Output& out) {
  Handshake& h = handshake(out);
  Side& side = h.side[static_cast<size_t>(frame.direction)];
  if (side.wire_size == 0) side.time = frame.time;
  side.wire_size += frame.size;
  const Bytes part = frame.bytes.subspan(std::min(kRecordHead, frame.bytes.size()));
  if (side.size + part.size() > kMaxHandshake || side.broken) {
    side.broken = true;
    return;
  }
  if (side.size + part.size() > side.room) {
    const size_t room = std::max<size_t>(side.size + part.size(), size_t{side.room} * 2);
    auto* const wider = static_cast<uint8_t*>(h.item->arena.allocate(room, 1));
    std::copy(side.bytes, side.bytes + side.size, wider);
    side.bytes = wider;
    side.room = static_cast<uint32_t>(room);
  }
  std::copy(part.begin(), part.end(), side.bytes + side.size);
  side.size += static_cast<uint32_t>(part.size());
  while (handshake_ != nullptr && !side.broken && side.size - side.read >= 4) {
    const uint8_t* const at = side.bytes + side.read;
    const uint32_t size = uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
    if (size > kMaxHandshake) {
      side.broken = true;
      break;
    }
    if (side.size - side.read < size + 4) break;
    side.read += size + 4;
    handshake_message(frame.direction, at[0], {at + 4, size}, frame, out);
  }
}

void Tls::handshake_message(Direction direction, uint8_t type, Bytes body, const Frame&, Output& out) {
  Handshake& h = *handshake_;
  Arena& arena = h.item->arena;
  Side& side = h.side[static_cast<size_t>(direction)];
  if (type == kCertificate) {
    side.certificates = read_certificates(body, arena);
    return;
  }
  if (type != (direction == Direction::kToServer ? kClientHello : kServerHello)) return;
  if (side.hello && direction == Direction::kToServer) return;  // after a retry, it says the same again
  const Hello hello = read_hello(body, direction == Direction::kToServer);
  if (!hello.ok) {
    side.broken = true;
    return;
  }
  if (direction == Direction::kToClient && hello.random.size() == 32 &&
      std::equal(hello.random.begin(), hello.random.end(), std::begin(kRetryRandom))) {
    h.retry = true;
    return;
  }
  side.hello = true;
  side.fields = new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
  if (direction == Direction::kToServer) {
    begin_decryption(hello, out);
    describe_client(hello, *side.fields, arena);
    h.client_session = hello.session_id;
    return;
  }
  if (decryption_) {
    if (!decryption_->choose(chosen_by(hello))) decryption_.reset();
    out.wake(Direction::kToServer);
  }
  describe_server(hello, *side.fields, arena);
  h.version = hello.version();
  const bool same_session = !hello.session_id.empty() && std::equal(hello.session_id.begin(), hello.session_id.end(),
                                                                    h.client_session.begin(), h.client_session.end());
  h.resumed = h.version >= 0x0304 ? hello.has_psk : same_session;
  if (h.version >= 0x0304) finish(out);
}

void Tls::alert(const Frame& frame, Output& out) {
  if (frame.size != kRecordHead + 2 || frame.bytes.size() < kRecordHead + 2 || handshake_ == nullptr) return;
  Handshake& h = *handshake_;
  Side& side = h.side[static_cast<size_t>(frame.direction)];
  Arena& arena = h.item->arena;
  const uint8_t level = frame.bytes[5];
  if (side.wire_size == 0) side.time = frame.time;
  side.wire_size += frame.size;
  MapOf map(arena);
  map.add("level", level == 2 ? "fatal" : "warning");
  map.add("description", alert_name(frame.bytes[6], arena));
  side.alert = map.build();
  if (level == 2) finish(out);
}

/// All that can be seen of the handshake was seen.
void Tls::finish(Output& out) {
  Handshake* const h = std::exchange(handshake_, nullptr);
  if (h == nullptr) return;
  done_ = true;
  Item* const item = h->item;
  Arena& arena = item->arena;
  bool malformed = false;
  for (const Direction d : {Direction::kToServer, Direction::kToClient}) {
    Side& side = h->side[static_cast<size_t>(d)];
    malformed |= side.broken;
    if (side.fields == nullptr && side.alert.is_null()) continue;
    MapOf bare(arena);
    MapOf& out_fields = side.fields != nullptr ? *side.fields : bare;
    const bool client = d == Direction::kToServer;
    if (side.fields == nullptr) bare.add("info", "Alert");
    if (!side.certificates.is_null()) out_fields.add("certificates", side.certificates);
    if (!client && side.fields != nullptr) {
      out_fields.add("resumed", h->resumed && side.certificates.is_null());
      if (h->retry) out_fields.add("helloRetry", true);
    }
    if (!side.alert.is_null()) out_fields.add("alert", side.alert);
    if (!client) {
      const Value client_alert = h->side[0].alert;
      out_fields.add("status", !side.alert.is_null()     ? side.alert["description"]
                               : !client_alert.is_null() ? client_alert["description"]
                                                         : Value(version_name(h->version, arena)));
    }
    item::Message& message = client ? item->request : item->response;
    message.payload = out_fields.build();
    message.time = side.time;
    message.size = side.wire_size;
    message.present = true;
  }
  if (!item->request.present && !item->response.present) {
    out.count(Counter::kMalformed);
    return out.drop(item);
  }
  if (!item->response.present) {
    item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  } else if (!item->request.present) {
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  if (malformed) mark_malformed(item, "malformed handshake", out);
  out.finish(item);
}

void Tls::expire(Timestamp before, Output& out) {
  if (decryption_) decryption_->stop_waiting();
  if (handshake_ == nullptr) return;
  const Side& client = handshake_->side[0];
  const Side& first = client.wire_size != 0 ? client : handshake_->side[1];
  if (first.time < before) finish(out);
}

void Tls::forget(Direction direction, Output& out) {
  if (decryption_) {
    decryption_->gap(direction);
    out.lose_inner(direction);
  }
  finish(out);
}

}  // namespace baleen::dissect::tls
