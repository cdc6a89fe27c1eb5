// A handshake is over, as far as anybody without keys can tell, when the server has chosen TLS 1.3 (all that follows is
// encrypted) or, before 1.3, when it has changed the cipher. Handshake messages may be spread over records and records
// may hold several of them, so the bytes of each direction are put together in the item's arena.

#include "dissect/tls/tls.h"

#include <array>
#include <memory>
#include <vector>

#include "dissect/build.h"
#include "dissect/tls/decrypt/decryption.h"
#include "dissect/tls/describe.h"
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
  std::string_view compression;  // of the certificates
  MapOf* fields = nullptr;       // of the payload
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

constexpr size_t kShortestCommand = 5;  // "PWD" with its line end

/// Whether a command of FTP begins so: no record does.
bool may_be_command(Bytes b) {
  const std::string_view word = as_text(b).substr(0, kShortestCommand);
  for (size_t i = 0; i < word.size(); ++i) {
    const bool letter = (word[i] >= 'A' && word[i] <= 'Z') || (word[i] >= 'a' && word[i] <= 'z');
    const bool end = word[i] == ' ' || word[i] == '\r' || word[i] == '\n';
    if (!(i < 3 ? letter : i == 3 ? letter || end : end || word[3] == ' ' || word[3] == '\r')) return false;
  }
  return !b.empty();
}

}  // namespace

struct Handshake {
  Item* item;
  Side side[2] = {};
  bool retry = false;             // HelloRetryRequest: another ClientHello comes
  MapOf* retry_fields = nullptr;  // what it says, should no ServerHello come
  bool resumed = false;
  bool certificate_requested = false, stapled = false, ticket = false;
  uint16_t version = 0;  // chosen
  std::string_view cipher;
  std::string_view failure;  // the fatal alert that ended it
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
    {"request.sslv2Hello", "", kBool, "The hello has the form of SSL 2.0; it has no extensions and no fingerprints."},
    {"request.grease", "", kBool, "There are GREASE values among the lists (RFC 8701), as browsers send them."},
    {"request.quicVersion", "", kString, "Version of QUIC that the client speaks: 1, 2, draft-29."},
    {"request.connectionId", "", kString, "QUIC's first destination connection identifier, in hexadecimal."},
    {"request.transportParameters", "", kMap,
     "What the client tells of itself in QUIC: maxIdleTimeout, initialMaxData, maxDatagramFrameSize, userAgent, ..."},
    {"request.certificates", "", kList,
     "The client's certificates: subject, issuer, serialNumber, notBefore, notAfter, names."},
    {"request.alert", "", kMap, "The client's alert: level and description; QUIC's have a reason."},
    {"response.info", "", kString,
     "ServerHello; HelloRetryRequest when no other came after it; Alert when nothing else was answered."},
    {"response.status", "", kString, "The version agreed on, or the alert."},
    {"response.version", "", kInt, "The version that the server chose."},
    {"response.cipherSuiteName", "", kString, "Name of the cipher suite."},
    {"response.alpn", "", kString, "The application protocol agreed on; in TLS 1.3 where the secrets are known."},
    {"response.ja3s", "", kString, "JA3S fingerprint of the ServerHello."},
    {"response.extensions", "", kList, "Names of the extensions."},
    {"response.group", "", kString, "Key exchange group of TLS 1.3, or curve of an ECDHE suite."},
    {"request.certificateCompression", "", kString,
     "How the client's certificates were compressed (RFC 8879): zlib, brotli, zstd or another algorithm's number."},
    {"response.certificateCompression", "", kString, "How the server's certificates were compressed."},
    {"response.resumed", "", kBool, "An earlier session goes on: no certificates are sent."},
    {"response.helloVerified", "", kBool, "The server of DTLS asked for a cookie first."},
    {"response.helloRetry", "", kBool, "The server asked for another ClientHello first."},
    {"response.quicVersion", "", kString, "Version of QUIC that the server speaks."},
    {"response.connectionId", "", kString, "The connection identifier that the server chose, in hexadecimal."},
    {"response.retry", "", kBool, "The server of QUIC asked for a token first."},
    {"response.versionNegotiation", "", kList,
     "Versions of QUIC that the server offered instead of the client's first."},
    {"response.clientCertificateRequested", "", kBool, "The server asked for the client's certificate."},
    {"response.certificateStatus", "", kBool, "The server sent a stapled answer about its certificate (OCSP)."},
    {"response.sessionTicket", "", kBool, "The server gave a ticket, before TLS 1.3."},
    {"response.certificates", "", kList,
     "The server's certificates, its own first; in TLS 1.3 where the secrets are known."},
    {"response.security", "", kList, "What is weak about the version or the cipher suite."},
    {"response.alert", "", kMap, "The server's alert: level and description; QUIC's have a reason."},
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
  kNewSessionTicket = 4,
  kEncryptedExtensions = 8,
  kCertificate = 11,
  kServerKeyExchange = 12,
  kCertificateRequest = 13,
  kFinished = 20,
  kCertificateStatus = 22,
  kCompressedCertificate = 25,
};
constexpr size_t kRecordHead = 5;
constexpr size_t kMaxRecord = 16384 + 2048;
bool is_record_head(Bytes b) {
  return b[0] >= kChangeCipherSpec && b[0] <= kHeartbeat && b[1] == 3 && b[2] <= 4 && load_be16(&b[3]) <= kMaxRecord &&
         load_be16(&b[3]) > 0;
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
  const bool client = in.direction == Direction::kToServer;
  if (b.empty()) return Probe::kUnsure;
  if (client && (b[0] & 0x80) != 0 && (b.size() < 3 || b[2] == 1) && (b.size() < 4 || b[3] == 3))
    return b.size() < 11 ? Probe::kUnsure : measure_v2_hello(b) != 0 ? Probe::kYes : Probe::kNo;
  if (b[0] != kHandshake) return Probe::kNo;
  if (b.size() > 1 && b[1] != 3) return Probe::kNo;
  if (b.size() < kRecordHead) return Probe::kUnsure;
  if (!is_record_head(b)) return Probe::kNo;
  // The hello's head, up to the length of the session identifier; a record may end before that, and another goes on.
  const Bytes hello = b.subspan(kRecordHead, std::min<size_t>(b.size() - kRecordHead, load_be16(&b[3])));
  const bool all_there = hello.size() == load_be16(&b[3]);
  if (!hello.empty() && hello[0] != (client ? kClientHello : kServerHello)) return Probe::kNo;
  if (hello.size() > 1 && hello[1] != 0) return Probe::kNo;
  if (hello.size() > 3 && (size_t{hello[2]} << 8 | hello[3]) < 38) return Probe::kNo;
  const bool draft = !client && hello.size() > 4 && hello[4] == 0x7F;  // of TLS 1.3
  if (hello.size() > 4 && hello[4] != 3 && !draft) return Probe::kNo;
  if (hello.size() > 5 && hello[5] > (draft ? 28 : 4)) return Probe::kNo;
  if (hello.size() > 38) return hello[38] <= 32 ? Probe::kYes : Probe::kNo;
  if (!all_there) return Probe::kUnsure;
  const Bytes next = b.subspan(kRecordHead + hello.size());
  if (next.size() < kRecordHead) return Probe::kUnsure;
  return next[0] == kHandshake && is_record_head(next) ? Probe::kYes : Probe::kNo;
}

Probe Tls::begins(Direction, Bytes b) {
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Probe::kNo;
  if (b.size() < kRecordHead) return Probe::kUnsure;
  if (!is_record_head(b)) return Probe::kNo;
  const size_t next = kRecordHead + load_be16(&b[3]);
  if (b.size() < next + kRecordHead) return Probe::kUnsure;
  return is_record_head(b.subspan(next)) ? Probe::kYes : Probe::kNo;
}

Measure Tls::measure(Direction direction, Bytes b) const {
  if ((b[0] & 0x80) != 0 && direction == Direction::kToServer && handshake_ == nullptr && !done_) {
    if (b.size() < 11) return Measure::need(11);
    const size_t size = measure_v2_hello(b);
    return size != 0 ? Measure::frame(size) : Measure::bad();
  }
  if (b[0] < kChangeCipherSpec || b[0] > kHeartbeat) return Measure::bad();
  if (b.size() < kRecordHead) return Measure::need(kRecordHead);
  return is_record_head(b) ? Measure::frame(kRecordHead + load_be16(&b[3])) : Measure::bad();
}

Tls::Tls() = default;
Tls::~Tls() = default;

Step Tls::dissect(const Input& in, Output& out) {
  // RFC 4217 12.3: after CCC (RFC 2228) a control connection of FTP goes on in the clear.
  if (done_ && in.direction == Direction::kToServer && may_be_command(in.bytes)) {
    if (in.bytes.size() < kShortestCommand && !in.end_of_stream) return Step::need(kShortestCommand);
    if (in.bytes.size() >= kShortestCommand) return Step::switch_to("ftp", 0);
  }
  if (in.bytes.size() < kRecordHead || !is_record_head(in.bytes)) return Framed::dissect(in, out);
  const uint8_t type = in.bytes[0];
  if (decryption_) {
    if (decryption_->is_sealed(in.direction, type)) return open_record(in, out);
    // Once, when all of it is there: the next record of this direction is sealed.
    if (type == kChangeCipherSpec && in.bytes.size() >= kRecordHead + load_be16(&in.bytes[3]))
      decryption_->change_cipher(in.direction);
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
    if (handshake_ != nullptr) read_messages(in.direction, opened.plaintext, out);
    out.wake(opposite(in.direction));  // early data wait for the server to take them
  } else if (opened.type == kAlert && handshake_ != nullptr && opened.plaintext.size() == 2) {
    note_alert(in.direction, opened.plaintext, size, in.time, out);
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
  if ((frame.bytes[0] & 0x80) != 0) {
    v2_hello(frame, out);
    return Step::took(frame.size);
  }
  switch (frame.bytes[0]) {
    case kHandshake: read_handshake(frame, out); break;
    case kAlert: alert(frame, out); break;
    case kChangeCipherSpec:
      // In TLS 1.3 it means nothing (RFC 8446 D.4).
      if (handshake_ != nullptr && (handshake_->retry || handshake_->version >= 0x0304)) break;
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

void Tls::v2_hello(const Frame& frame, Output& out) {
  Handshake& h = handshake(out);
  Side& side = h.side[0];
  side.time = frame.time;
  side.wire_size = frame.size;
  if (frame.cut || frame.bytes.size() < frame.size) {
    side.broken = true;
    return;
  }
  client_hello(read_v2_hello(frame.bytes, h.item->arena), out);
}

void Tls::read_handshake(const Frame& frame, Output& out) {
  Side& side = handshake(out).side[static_cast<size_t>(frame.direction)];
  if (side.wire_size == 0) side.time = frame.time;
  side.wire_size += frame.size;
  read_messages(frame.direction, frame.bytes.subspan(std::min(kRecordHead, frame.bytes.size())), out);
}

/// The next bytes of a direction's handshake messages. REQUIRES: a handshake is under way.
void Tls::read_messages(Direction direction, Bytes part, Output& out) {
  Handshake& h = *handshake_;
  Side& side = h.side[static_cast<size_t>(direction)];
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
    handshake_message(direction, at[0], {at + 4, size}, out);
  }
}

void Tls::handshake_message(Direction direction, uint8_t type, Bytes body, Output& out) {
  Handshake& h = *handshake_;
  Arena& arena = h.item->arena;
  Side& side = h.side[static_cast<size_t>(direction)];
  const bool modern = h.version >= 0x0304, to_server = direction == Direction::kToServer;
  switch (type) {
    case kCertificate: side.certificates = read_certificates(body, modern, arena); return;
    case kCompressedCertificate: {
      const CompressedCertificates read = read_compressed_certificates(body, kMaxHandshake, arena);
      side.compression = read.algorithm;
      if (read.certificates.is_null()) return out.count(Counter::kDecodeFailed);
      side.certificates = read.certificates;
      return;
    }
    case kCertificateRequest: h.certificate_requested |= !to_server; return;
    case kCertificateStatus: h.stapled |= !to_server; return;
    case kNewSessionTicket: h.ticket |= !to_server; return;
    case kServerKeyExchange:  // RFC 8422 5.4: a named curve
      if (!to_server && body.size() >= 3 && body[0] == 3 && h.cipher.find("ECDHE") != std::string_view::npos)
        side.fields->add("group", group_name(load_be16(&body[1]), arena));
      return;
    case kEncryptedExtensions:
      if (!to_server && modern) encrypted_extensions(body);
      return;
    case kFinished:
      if (to_server && modern) finish(out);
      return;
    case kClientHello:
      if (to_server && !side.hello) client_hello(read_hello(body, true), out);  // after a retry, it says the same again
      return;
    case kServerHello:
      if (!to_server) server_hello(read_hello(body, false), out);
      return;
    default: return;
  }
}

void Tls::client_hello(const Hello& hello, Output& out) {
  Handshake& h = *handshake_;
  Arena& arena = h.item->arena;
  Side& side = h.side[0];
  if (!hello.ok) {
    side.broken = true;
    return;
  }
  side.hello = true;
  side.fields = new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
  begin_decryption(hello, out);
  describe_client(hello, *side.fields, arena);
  h.client_session = hello.session_id;
}

void Tls::server_hello(const Hello& hello, Output& out) {
  Handshake& h = *handshake_;
  Arena& arena = h.item->arena;
  Side& side = h.side[1];
  if (!hello.ok || side.hello) {
    side.broken = true;
    return;
  }
  if (is_retry(hello)) {
    h.retry = true;
    h.version = hello.version();
    h.retry_fields = new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
    describe_server(hello, *h.retry_fields, arena);
    return;
  }
  side.hello = true;
  side.fields = new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
  if (decryption_) {
    if (!decryption_->choose(chosen_by(hello))) decryption_.reset();
    out.wake(Direction::kToServer);
  }
  describe_server(hello, *side.fields, arena);
  h.version = hello.version();
  h.cipher = cipher_name(hello.ciphers.size() > 0 ? hello.ciphers[0] : 0, arena);
  const bool same_session = !hello.session_id.empty() && std::equal(hello.session_id.begin(), hello.session_id.end(),
                                                                    h.client_session.begin(), h.client_session.end());
  h.resumed = h.version >= 0x0304 ? hello.has_psk : same_session;
  // All that follows is encrypted: whoever has no secrets has seen all.
  if (h.version >= 0x0304 && !decryption_) finish(out);
}

/// What TLS 1.3 says under its keys (RFC 8446 4.3.1), where they are known.
void Tls::encrypted_extensions(Bytes body) {
  Handshake& h = *handshake_;
  ByteReader r(body);
  for (ByteReader list(r.bytes(r.be16())); !list.at_end();) {
    const uint16_t type = list.be16();
    const Bytes content = list.bytes(list.be16());
    if (!list.ok()) return;
    if (type != 16 || content.size() < 2 || h.side[1].fields == nullptr) continue;
    h.side[1].fields->add("alpn", alpn_text(content.subspan(2), h.item->arena));
  }
}

void Tls::alert(const Frame& frame, Output& out) {
  if (frame.size != kRecordHead + 2 || frame.bytes.size() < kRecordHead + 2 || handshake_ == nullptr) return;
  note_alert(frame.direction, frame.bytes.subspan(kRecordHead), frame.size, frame.time, out);
}

/// REQUIRES: a handshake is under way.
void Tls::note_alert(Direction direction, Bytes alert, uint64_t wire_size, Timestamp time, Output& out) {
  Handshake& h = *handshake_;
  Side& side = h.side[static_cast<size_t>(direction)];
  Arena& arena = h.item->arena;
  if (side.wire_size == 0) side.time = time;
  side.wire_size += wire_size;
  const bool fatal = alert[0] == 2 || (h.version >= 0x0304 && alert[1] != 0 && alert[1] != 90);  // RFC 8446 6
  MapOf map(arena);
  map.add("level", fatal ? "fatal" : "warning");
  map.add("description", alert_name(alert[1], arena));
  side.alert = map.build();
  if (!fatal) return;
  h.failure = join({"fatal alert of the ",
                    direction == Direction::kToServer ? "client: " : "server: ", side.alert["description"].text()},
                   arena);
  finish(out);
}

/// All that can be seen of the handshake was seen.
void Tls::finish(Output& out) {
  Handshake* const h = std::exchange(handshake_, nullptr);
  if (h == nullptr) return;
  done_ = true;
  Item* const item = h->item;
  Arena& arena = item->arena;
  bool malformed = false;
  if (h->side[1].fields == nullptr) h->side[1].fields = h->retry_fields;
  for (const Direction d : {Direction::kToServer, Direction::kToClient}) {
    Side& side = h->side[static_cast<size_t>(d)];
    malformed |= side.broken;
    if (side.fields == nullptr && side.alert.is_null()) continue;
    MapOf bare(arena);
    MapOf& out_fields = side.fields != nullptr ? *side.fields : bare;
    const bool client = d == Direction::kToServer;
    if (side.fields == nullptr) bare.add("info", "Alert");
    if (!side.certificates.is_null()) out_fields.add("certificates", side.certificates);
    out_fields.add_text("certificateCompression", side.compression);
    if (!client && side.fields != nullptr) {
      out_fields.add("resumed", h->resumed && side.certificates.is_null());
      if (h->retry) out_fields.add("helloRetry", true);
      if (h->certificate_requested) out_fields.add("clientCertificateRequested", true);
      if (h->stapled) out_fields.add("certificateStatus", true);
      if (h->ticket) out_fields.add("sessionTicket", true);
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
  if (!h->failure.empty()) {
    item->outcome = Outcome::kConnection;
    item->error_message = h->failure;
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
