#include "dissect/tls/handshake.h"

#include "dissect/tls/decrypt/decryption.h"
#include "dissect/tls/describe.h"
#include "dissect/tls/names.h"

// Handshake messages may be spread over records, and records may hold several of them: the bytes of each direction are
// put together in the item's arena.

namespace baleen::dissect::tls {

using item::Item;

namespace {

constexpr size_t kMaxHandshake = 64 << 10;

/// RFC 8446 4, RFC 5246 7.4, RFC 8879.
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

void append(Assembly& all, Bytes part, Arena& arena) {
  if (all.size + part.size() > all.room) {
    const size_t room = std::max<size_t>(all.size + part.size(), size_t{all.room} * 2);
    auto* const wider = static_cast<uint8_t*>(arena.allocate(room, 1));
    std::copy(all.bytes, all.bytes + all.size, wider);
    all.bytes = wider;
    all.room = static_cast<uint32_t>(room);
  }
  std::copy(part.begin(), part.end(), all.bytes + all.size);
  all.size += static_cast<uint32_t>(part.size());
}

}  // namespace

Handshake& Tls::handshake(Output& out) {
  if (handshake_ == nullptr) {
    Item* const item = out.begin(kProtocol);
    handshake_ = item->arena.make<Handshake>(Handshake{{.item = item}});
  }
  return *handshake_;
}

void Tls::v2_hello(const Frame& frame, Output& out) {
  Handshake& h = handshake(out);
  Said& said = h.said[0];
  said.time = frame.time;
  said.wire_size = frame.size;
  said.broken = frame.cut || frame.bytes.size() < frame.size;
  if (!said.broken) client_hello(read_v2_hello(frame.bytes, h.item->arena), out);
}

void Tls::read_handshake(const Frame& frame, Output& out) {
  Said& said = handshake(out).of(frame.direction);
  if (said.wire_size == 0) said.time = frame.time;
  said.wire_size += frame.size;
  read_messages(frame.direction, frame.bytes.subspan(std::min(kRecordHead, frame.bytes.size())), out);
}

/// The next bytes of a direction's handshake messages. REQUIRES: a handshake is under way.
void Tls::read_messages(Direction direction, Bytes part, Output& out) {
  Handshake& h = *handshake_;
  Said& said = h.of(direction);
  Assembly& all = h.assembly[static_cast<size_t>(direction)];
  said.broken |= all.size + part.size() > kMaxHandshake;
  if (said.broken) return;
  append(all, part, h.item->arena);
  while (handshake_ != nullptr && !said.broken && all.size - all.read >= 4) {
    const uint8_t* const at = all.bytes + all.read;
    const uint32_t size = uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
    said.broken = size > kMaxHandshake;
    if (said.broken || all.size - all.read < size + 4) break;
    all.read += size + 4;
    handshake_message(direction, at[0], {at + 4, size}, out);
  }
}

void Tls::handshake_message(Direction direction, uint8_t type, Bytes body, Output& out) {
  Handshake& h = *handshake_;
  Arena& arena = h.item->arena;
  Said& side = h.of(direction);
  const bool modern = is_modern(h.version), to_server = direction == Direction::kToServer;
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
      if (to_server && side.fields == nullptr)
        client_hello(read_hello(body, true), out);  // after a retry, it says the same again
      return;
    case kServerHello:
      if (!to_server) server_hello(read_hello(body, false), out);
      return;
    default: return;
  }
}

void Tls::client_hello(const Hello& hello, Output& out) {
  Handshake& h = *handshake_;
  h.said[0].broken |= !hello.ok;
  if (!hello.ok) return;
  begin_decryption(hello, out);
  hear_client(h, hello);
}

void Tls::server_hello(const Hello& hello, Output& out) {
  Handshake& h = *handshake_;
  if (!hello.ok || h.said[1].fields != nullptr) {
    h.said[1].broken = true;
    return;
  }
  if (!hear_server(h, hello)) return;
  if (decryption_) {
    if (!decryption_->choose(chosen_by(hello))) decryption_.reset();
    out.wake(Direction::kToServer);
  }
  h.cipher = cipher_name(hello.ciphers.size() > 0 ? hello.ciphers[0] : 0, h.item->arena);
  // All that follows is encrypted: whoever has no secrets has seen all.
  if (is_modern(h.version) && !decryption_) finish(out);
}

/// What TLS 1.3 says under its keys (RFC 8446 4.3.1), where they are known.
void Tls::encrypted_extensions(Bytes body) {
  Handshake& h = *handshake_;
  ByteReader r(body);
  for (ByteReader list(r.bytes(r.be16())); !list.at_end();) {
    const uint16_t type = list.be16();
    const Bytes content = list.bytes(list.be16());
    if (!list.ok()) return;
    if (type != 16 || content.size() < 2 || h.said[1].fields == nullptr) continue;
    h.said[1].fields->add("alpn", alpn_text(content.subspan(2), h.item->arena));
  }
}

void Tls::alert(const Frame& frame, Output& out) {
  if (frame.size != kRecordHead + 2 || frame.bytes.size() < kRecordHead + 2 || handshake_ == nullptr) return;
  note_alert(frame.direction, frame.bytes.subspan(kRecordHead), frame.size, frame.time, out);
}

/// REQUIRES: a handshake is under way.
void Tls::note_alert(Direction direction, Bytes alert, uint64_t wire_size, Timestamp time, Output& out) {
  Handshake& h = *handshake_;
  Said& said = h.of(direction);
  if (said.wire_size == 0) said.time = time;
  said.wire_size += wire_size;
  const bool fatal = alert[0] == 2 || (is_modern(h.version) && alert[1] != 0 && alert[1] != 90);  // RFC 8446 6
  hear_alert(h, direction, alert, fatal);
  if (fatal) finish(out);
}

void Tls::finish(Output& out) {
  Handshake* const h = std::exchange(handshake_, nullptr);
  if (h == nullptr) return;
  done_ = true;
  conclude(*h, out);
}

void Tls::expire(Timestamp before, Output& out) {
  if (decryption_) decryption_->stop_waiting();
  if (handshake_ == nullptr) return;
  const Said& client = handshake_->said[0];
  const Said& first = client.wire_size != 0 ? client : handshake_->said[1];
  if (first.time < before) finish(out);
}

}  // namespace baleen::dissect::tls
