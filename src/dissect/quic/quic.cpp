// A datagram holds several packets (RFC 9000 12.2); those of type Initial hold the hellos, in pieces that come in any
// order (19.6). Which handshake a packet belongs to is told by whose keys open it: identifiers only say whom to try
// first. Retry and version negotiation, which anybody could have sent, are believed when the client goes on as they
// ask.

#include "dissect/quic/quic.h"

#include <algorithm>
#include <iterator>

#include "dissect/framed.h"
#include "dissect/quic/handshake.h"
#include "dissect/tls/tls.h"

namespace baleen::dissect::quic {

using item::Item;
using item::Outcome;

namespace {

constexpr size_t kLeastFirstId = 8;  // RFC 9000 7.2
constexpr uint16_t kPorts[] = {443};

uint32_t hash(Bytes id) {  // FNV-1a
  uint32_t h = 2166136261;
  for (const uint8_t b : id) h = (h ^ b) * 16777619;
  return h | 1;  // zero is nobody's
}

/// The keys of a packet that says it is a client's first, and what they open.
struct First {
  const Version* version;
  InitialKeys keys;
  std::optional<Opened> opened;
};
First open_first(const Packet& p) {
  First out{p.version, {}, {}};
  for (; out.version != nullptr; out.version = out.version->otherwise) {
    out.keys = derive_initial_keys(*out.version, p.destination);
    out.opened = open_initial(p, out.keys.client, 0);
    if (out.opened) break;
  }
  return out;
}

}  // namespace

const item::Protocol Quic::kProtocol = {
    .name = "quic",
    .version = "1",
    .abbreviation = "QUIC",
    .long_name = "QUIC",
    .macro = "tlsx",
    .reference = "https://datatracker.ietf.org/doc/html/rfc9001",
    .background = "#7b2fa0",
    .foreground = "#ffffff",
    .priority = 5,
    .layer4 = "udp",
    .ports = kPorts,
    .fields = tls::Tls::kProtocol.fields,
    .method_path = "request.info",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

/// A client's first packet: nobody else could have sealed it.
Probe Quic::probe(const Input& in) {
  if (in.direction != Direction::kToServer) return Probe::kNo;
  Packet p;
  for (Bytes rest = in.bytes; read_packet(rest, p); rest = rest.subspan(p.bytes.size())) {
    if (p.version == nullptr) return Probe::kNo;
    if (p.type != Packet::Type::kInitial || p.destination.size() < kLeastFirstId) continue;
    return open_first(p).opened ? Probe::kYes : Probe::kNo;
  }
  return Probe::kNo;
}

Step Quic::dissect(const Input& in, Output& out) {
  Packet p;
  for (Bytes rest = in.bytes; read_packet(rest, p); rest = rest.subspan(p.bytes.size())) packet(p, in, out);
  return Step::took(in.bytes.size());
}

void Quic::packet(const Packet& p, const Input& in, Output& out) {
  const bool to_server = in.direction == Direction::kToServer;
  switch (p.type) {
    case Packet::Type::kInitial: return to_server ? of_client(p, in, out) : of_server(p, in, out);
    case Packet::Type::kRetry:
      for (Handshake* const h : open_)
        if (!to_server && h != nullptr && h->client.is(p.destination) && !h->retried) {
          h->retry = ConnectionId(p.source);
          h->retry_seen = true;
        }
      return;
    case Packet::Type::kVersionNegotiation:
      if (!to_server) negotiate(p, in);
      return;
    default: return;
  }
}

/// The server speaks other versions (RFC 9000 6).
void Quic::negotiate(const Packet& p, const Input& in) {
  for (Handshake* const h : open_) {
    if (h == nullptr || !h->client.is(p.destination) || !h->first.is(p.source) || !h->versions.is_null()) continue;
    h->versions = read_versions(p.versions, h->item->arena);
    h->restarts = true;
    Side& side = h->of(in.direction);
    side.time = in.time;
    side.wire_size += p.bytes.size();
  }
}

void Quic::of_client(const Packet& p, const Input& in, Output& out) {
  for (Handshake* const h : open_) {
    if (h == nullptr || !h->client.is(p.source) || h->version->number != p.version_number) continue;
    if (!h->keyed.is(p.destination) && !h->server.is(p.destination)) continue;
    if (const auto opened = open_initial(p, h->keys.client, h->of(in.direction).next_number))
      return hear(*h, p, *opened, in, out);
  }
  const bool asked_for = std::any_of(open_.begin(), open_.end(), [&](const Handshake* h) {
    return h != nullptr && h->retry_seen && h->retry.is(p.destination);
  });
  if ((p.destination.size() < kLeastFirstId && !asked_for) || is_over(p.destination)) return;
  const First first = open_first(p);
  if (!first.opened) return;
  Handshake& h = begin(p, out);
  h.version = first.version;
  h.keys = first.keys;
  h.keyed = ConnectionId(p.destination);
  hear(h, p, *first.opened, in, out);
}

/// The handshake of a packet that is a client's first, or is sealed like one.
Handshake& Quic::begin(const Packet& p, Output& out) {
  for (Handshake* const h : open_) {
    if (h == nullptr) break;
    if (h->retry_seen && h->retry.is(p.destination)) {
      h->retried = true;
      return *h;
    }
    if (h->restarts &&
        h->version->number != p.version_number) {  // from its beginning, in a version that the server speaks
      h->restarts = false;
      h->of(Direction::kToServer).stream = {};
      h->of(Direction::kToServer).fields = nullptr;
      h->first = ConnectionId(p.destination);
      h->client = ConnectionId(p.source);
      return *h;
    }
    if (h->keyed.is(p.destination) && h->client.is(p.source)) return *h;  // the version was changed meanwhile
  }
  if (open_.back() != nullptr) {
    out.count(Counter::kTooManyPending);
    finish(*open_.front(), out);
  }
  Item* const item = out.begin(kProtocol);
  auto* const h = item->arena.make<Handshake>();
  h->item = item;
  h->first = ConnectionId(p.destination);
  h->client = ConnectionId(p.source);
  *std::find(open_.begin(), open_.end(), nullptr) = h;
  return *h;
}

void Quic::of_server(const Packet& p, const Input& in, Output& out) {
  for (Handshake* const h : open_) {
    if (h == nullptr || !h->client.is(p.destination)) continue;
    // It may answer in another version that the client has offered (RFC 9368 2.3).
    const InitialKeys keys = h->version == p.version ? h->keys : derive_initial_keys(*p.version, h->keyed.view());
    const auto opened = open_initial(p, keys.server, h->of(in.direction).next_number);
    if (!opened) continue;
    if (h->version->number != p.version_number) h->version = p.version;
    h->keys = keys;
    h->server = ConnectionId(p.source);
    return hear(*h, p, *opened, in, out);
  }
}

void Quic::hear(Handshake& h, const Packet& p, const Opened& opened, const Input& in, Output& out) {
  Side& side = h.of(in.direction);
  if (side.wire_size == 0) side.time = in.time;
  side.wire_size += p.bytes.size();
  side.next_number = std::max(side.next_number, opened.number + 1);
  if (!read_frames(h, in.direction, opened.frames, out)) {
    side.broken = true;
    out.count(Counter::kMalformed);
  }
  if (h.over) finish(h, out);
}

void Quic::remember(Bytes id) {
  if (id.empty() || is_over(id)) return;
  over_[next_over_] = hash(id);
  next_over_ = static_cast<uint8_t>((next_over_ + 1) % kMostRemembered);
}

bool Quic::is_over(Bytes id) const { return std::find(over_.begin(), over_.end(), hash(id)) != over_.end(); }

/// All that can be seen of the handshake was seen.
void Quic::finish(Handshake& h, Output& out) {
  *std::remove(open_.begin(), open_.end(), &h) = nullptr;
  for (const ConnectionId& id : {h.first, h.keyed, h.server}) remember(id.view());
  describe(h);
  Item* const item = h.item;
  if (!item->request.present && !item->response.present) {
    out.count(Counter::kMalformed);
    return out.drop(item);
  }
  if (!item->response.present) {
    if (h.failure.empty()) item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  } else if (!item->request.present) {
    if (h.failure.empty()) item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  if (h.side[0].broken || h.side[1].broken) mark_malformed(item, "malformed handshake", out);
  out.finish(item);
}

void Quic::expire(Timestamp before, Output& out) {
  for (size_t i = 0; i < open_.size() && open_[i] != nullptr;) {
    if (open_[i]->of(Direction::kToServer).time < before) {
      finish(*open_[i], out);
    } else {
      ++i;
    }
  }
}

void Quic::close(bool, Output& out) {
  while (open_.front() != nullptr) finish(*open_.front(), out);
}

}  // namespace baleen::dissect::quic
