// Records stand one after the other in a datagram, and handshake messages may be spread over several records, each
// piece saying where it belongs (RFC 6347 4.2.2). Pieces are taken in their order; what was lost is sent again from its
// start, and comes by its number.

#include "dissect/dtls/dtls.h"

#include <algorithm>
#include <utility>

#include "dissect/tls/describe.h"
#include "dissect/tls/talk.h"
#include "dissect/tls/tls.h"

namespace baleen::dissect::dtls {

using item::Item;

namespace {

constexpr size_t kRecordHead = 13, kMessageHead = 12, kMostMessage = 64 << 10;
constexpr uint8_t kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22;
constexpr uint8_t kClientHello = 1, kServerHello = 2, kHelloVerifyRequest = 3, kCertificate = 11,
                  kCertificateRequest = 13;
constexpr uint16_t kVersionOld = 0x0100;

struct Record {
  uint8_t type = 0;
  uint16_t epoch = 0;
  Bytes content;
  size_t size = 0;
};

/// 1.0 to 1.3, and what OpenSSL before 0.9.8f, and AnyConnect after it, take for 1.0.
bool is_version(uint16_t version) { return version >= 0xFEFC || version == kVersionOld; }

/// The record at the front (RFC 6347 4.1); nothing when there is none. `content` may be cut by the capture.
bool read_record(Bytes b, Record& out) {
  if (b.size() < kRecordHead || b[0] < kChangeCipherSpec || b[0] > 26 || !is_version(load_be16(&b[1]))) return false;
  const size_t length = load_be16(&b[11]);
  out = {b[0], load_be16(&b[3]), b.subspan(kRecordHead, std::min(length, b.size() - kRecordHead)),
         kRecordHead + length};
  return length != 0 && length <= 16384 + 2048;
}

struct Piece {
  uint8_t type;
  uint16_t number;
  uint32_t length, at;
  Bytes bytes;
};

uint32_t be24(const uint8_t* p) { return uint32_t{p[0]} << 16 | uint32_t{p[1]} << 8 | p[2]; }

/// The piece of a message at the front; nothing when it does not fit.
bool read_piece(Bytes b, Piece& out) {
  if (b.size() < kMessageHead) return false;
  const uint32_t length = be24(&b[1]), at = be24(&b[6]), size = be24(&b[9]);
  if (length > kMostMessage || at > length || size > length - at || size > b.size() - kMessageHead) return false;
  out = {b[0], load_be16(&b[4]), length, at, b.subspan(kMessageHead, size)};
  return true;
}

/// One direction's handshake message that is being put together.
struct Assembly {
  uint16_t next = 0;  // its number
  uint8_t* bytes = nullptr;
  uint32_t have = 0, room = 0;
};

}  // namespace

struct Handshake : tls::Talk {
  Assembly assembly[2] = {};
};

const item::Protocol Dtls::kProtocol = {
    .name = "dtls",
    .version = "1.x",
    .abbreviation = "DTLS",
    .long_name = "Datagram Transport Layer Security",
    .macro = "tlsx",
    .reference = "https://datatracker.ietf.org/doc/html/rfc9147",
    .background = "#6b3fa0",
    .foreground = "#ffffff",
    .priority = 5,
    .layer4 = "udp",
    .fields = tls::Tls::kProtocol.fields,
    .method_path = "request.info",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Dtls::probe(const Input& in) {
  Record record;
  Piece piece;
  if (!read_record(in.bytes, record) || record.type != kHandshake || record.epoch != 0 ||
      !read_piece(record.content, piece) || piece.at != 0)
    return Probe::kNo;
  const bool right = in.direction == Direction::kToServer
                         ? piece.type == kClientHello
                         : piece.type == kServerHello || piece.type == kHelloVerifyRequest;
  const bool version = piece.bytes.size() >= 2 && is_version(load_be16(piece.bytes.data()));
  return right && version ? Probe::kYes : Probe::kNo;
}

Handshake& Dtls::handshake(Output& out) {
  if (handshake_ == nullptr) {
    Item* const item = out.begin(kProtocol);
    handshake_ = item->arena.make<Handshake>(Handshake{{.item = item}});
  }
  return *handshake_;
}

Step Dtls::dissect(const Input& in, Output& out) {
  Record r;
  for (Bytes rest = in.bytes; read_record(rest, r); rest = rest.subspan(std::min(r.size, rest.size()))) {
    if (r.epoch == 0) {
      record(r.type, r.content, in, out);
    } else if (in.direction == Direction::kToClient) {
      finish(out);  // what follows is sealed
    }
  }
  return Step::took(in.bytes.size());
}

void Dtls::record(uint8_t type, Bytes content, const Input& in, Output& out) {
  // A client that begins again on the same ports.
  Piece piece;
  if (type == kHandshake && in.direction == Direction::kToServer && read_piece(content, piece) &&
      piece.type == kClientHello && piece.number == 0 && handshake_ == nullptr)
    done_ = false;
  if (done_) return;
  if (type == kChangeCipherSpec) {
    if (in.direction == Direction::kToClient) finish(out);
    return;
  }
  if (type != kHandshake && (type != kAlert || handshake_ == nullptr)) return;
  tls::Said& said = handshake(out).of(in.direction);
  if (said.wire_size == 0) said.time = in.time;
  said.wire_size += kRecordHead + content.size();
  if (type == kHandshake) {
    fragments(content, in, out);
  } else {
    alert(in.direction, content, out);
  }
}

void Dtls::fragments(Bytes content, const Input& in, Output& out) {
  Piece piece;
  for (; handshake_ != nullptr && read_piece(content, piece);
       content = content.subspan(kMessageHead + piece.bytes.size())) {
    Assembly& side = handshake_->assembly[static_cast<size_t>(in.direction)];
    if (static_cast<int16_t>(piece.number - side.next) > 0) {  // those before it were not seen
      side.next = piece.number;
      side.have = 0;
    }
    if (piece.number != side.next || piece.at > side.have) continue;  // sent again, or behind a hole
    if (piece.length > side.room) {
      auto* const wider = static_cast<uint8_t*>(handshake_->item->arena.allocate(piece.length, 1));
      std::copy(side.bytes, side.bytes + side.have, wider);
      side.bytes = wider;
      side.room = piece.length;
    }
    const uint32_t end = piece.at + static_cast<uint32_t>(piece.bytes.size());
    if (end > side.have) {
      std::copy(piece.bytes.begin(), piece.bytes.end(), side.bytes + piece.at);
      side.have = end;
    }
    if (side.have < piece.length) continue;
    ++side.next;
    side.have = 0;
    message(in.direction, piece.type, {side.bytes, piece.length}, out);
  }
}

void Dtls::message(Direction direction, uint8_t type, Bytes body, Output& out) {
  Handshake& h = *handshake_;
  const bool to_server = direction == Direction::kToServer;
  switch (type) {
    case kCertificate:
      h.of(direction).certificates = tls::read_certificates(body, tls::is_modern(h.version), h.item->arena);
      return;
    case kCertificateRequest: h.certificate_requested |= !to_server; return;
    case kHelloVerifyRequest: h.verified |= !to_server; return;
    case kClientHello:
    case kServerHello:
      if (to_server == (type == kClientHello)) hello(direction, body, out);
      return;
    default: return;
  }
}

void Dtls::hello(Direction direction, Bytes body, Output& out) {
  Handshake& h = *handshake_;
  const bool client = direction == Direction::kToServer;
  tls::Said& said = h.of(direction);
  if (client && said.fields != nullptr) return;  // with a cookie it says the same again
  const tls::Hello hello = tls::read_datagram_hello(body, client);
  if (!hello.ok) {
    said.broken = true;
  } else if (client) {
    tls::hear_client(h, hello);
  } else if (tls::hear_server(h, hello) && tls::is_modern(h.version)) {
    finish(out);
  }
}

void Dtls::alert(Direction direction, Bytes content, Output& out) {
  if (content.size() != 2) return;
  const bool fatal = content[0] == 2;
  tls::hear_alert(*handshake_, direction, content, fatal);
  if (fatal) finish(out);
}

void Dtls::finish(Output& out) {
  Handshake* const h = std::exchange(handshake_, nullptr);
  if (h == nullptr) return;
  done_ = true;
  tls::conclude(*h, out);
}

void Dtls::expire(Timestamp before, Output& out) {
  if (handshake_ == nullptr) return;
  const tls::Said& client = handshake_->said[0];
  const tls::Said& first = client.wire_size != 0 ? client : handshake_->said[1];
  if (first.time < before) finish(out);
}

void Dtls::close(bool, Output& out) { finish(out); }

}  // namespace baleen::dissect::dtls
