#include <algorithm>
#include <bit>

#include "dissect/engine.h"

// Which protocol a conversation speaks. Probes of all protocols look at the first bytes of each direction until one
// says yes; ports only say who is asked first. A protocol that says no to one direction is out for the other one as
// well, unless its answers alone tell (a server that answers garbage with "HTTP/1.1 400").
//
// Where the beginning was not captured, the first bytes may be the middle of a message. There each segment is tried as
// a beginning, for a bounded number of times.
//
// Before all of that may stand a head of the PROXY protocol. It is taken off, and kept for the items.
//
// What nobody knows may change to TLS (STARTTLS of IMAP, POP3 and XMPP, a SOCKS proxy that has connected): for some
// segments more a ClientHello is looked for, and nothing else.

namespace baleen::dissect {
namespace {

constexpr uint8_t kMostTries = 16;     // segments of one direction that are tried as a beginning
constexpr uint8_t kMostUpgrades = 16;  // ... and that are tried as one of TLS. Half::tries is above kMostTries then
constexpr size_t kMostKeptHeads = 1 << 16;  // of all flows; what is beyond is taken off, and not shown
constexpr uint8_t kMostProxyHeads = 4;      // one behind the other: a balancer behind another that knows nothing of it

/// Whether this half's port, and not the other's, is one of the protocol's.
bool serves(const Flow& flow, int half, const ProtocolEntry& entry) {
  const auto is_its = [&](uint16_t port) {
    return std::ranges::find(entry.card->ports, port) != entry.card->ports.end();
  };
  return is_its(half == 0 ? flow.key.low.port : flow.key.high.port) &&
         !is_its(half == 0 ? flow.key.high.port : flow.key.low.port);
}

}  // namespace

/// Asks one protocol. While it is not known who is the client, both answers are tried, and `client_half` is set to what
/// fits.
Probe Engine::ask(const Flow& flow, const ProtocolEntry& entry, const Input& in, int from, bool last,
                  int& client_half) const {
  if (flow.oriented) {
    client_half = flow.client_half;
    return entry.probe(in);
  }
  Input turned = in;
  turned.direction = Direction::kToServer;
  const Probe as_request = entry.probe(turned);
  client_half = from;
  if (as_request == Probe::kYes && !serves(flow, from, entry)) return as_request;
  turned.direction = Direction::kToClient;
  const Probe as_answer = entry.probe(turned);
  if (as_request == Probe::kYes) {  // in a connection's middle some messages fit both ways
    if (as_answer == Probe::kUnsure && !last) return as_answer;
    if (as_answer == Probe::kYes) client_half = 1 - from;
    return as_request;
  }
  if (as_answer == Probe::kYes && (last || as_request == Probe::kNo)) {
    client_half = 1 - from;
    return as_answer;
  }
  return as_request == Probe::kNo && as_answer == Probe::kNo ? Probe::kNo : Probe::kUnsure;
}

/// The protocol of these first bytes, or null; then `unsure` says whether more bytes could tell. The answer does not
/// depend on cuts: a protocol is taken when it says yes and all that come before it in the order have said no.
const ProtocolEntry* Engine::detect(Flow& flow, int from, const Input& in, bool last, bool& unsure) {
  const bool udp = flow.key.transport == net::Transport::kUdp;
  unsure = false;
  Candidates::Set& left = flow.candidates[from];
  const Candidates::Set allowed = left & (flow.candidates[1 - from] | candidates_.answers_tell()) &
                                  (udp ? candidates_.over_udp() : candidates_.over_tcp());
  const Candidates::Set hinted = candidates_.of_port(flow.key.low.port) | candidates_.of_port(flow.key.high.port);
  for (Candidates::Set asked : {allowed & hinted, allowed & ~hinted}) {
    for (; asked != 0; asked &= asked - 1) {
      const auto i = static_cast<size_t>(std::countr_zero(asked));
      const ProtocolEntry& entry = candidates_[i];
      int client_half = flow.client_half;
      switch (ask(flow, entry, in, from, last, client_half)) {
        case Probe::kNo: left &= ~(Candidates::Set{1} << i); break;
        case Probe::kUnsure: unsure = true; break;
        case Probe::kYes:
          if (unsure && !last) return nullptr;
          flow.client_half = static_cast<uint8_t>(client_half);
          flow.oriented = true;
          return &entry;
      }
    }
  }
  return nullptr;
}

void Engine::forget_candidates(Flow& flow) {
  for (int side = 0; side < 2; ++side) {
    flow.candidates[side] = Candidates::kAll;
    flow.half[side].refused = false;
  }
}

/// Returns whether anything changed.
bool Engine::detect_step(Flow& flow, int from) {
  Half& half = flow.half[from];
  const Bytes bytes = front(flow, from);
  if (bytes.empty()) return false;
  const bool last = half.ended || final_ || bytes.size() >= options_.probe_limit;
  if (may_be_proxy_head(bytes) && !half.lost && half.tries == 0) {
    const Head head = take_proxy_head(flow, from, bytes);
    if (head == Head::kTaken) return true;
    if (head == Head::kIncomplete && !last) return false;
  }
  bool unsure = false;
  if (half.tries > kMostTries) flow.candidates[from] &= candidates_.tls();
  const Input in{flow.direction(from), bytes, front_time(flow, from), half.ended};
  const ProtocolEntry* const entry = detect(flow, from, in, last, unsure);
  if (entry != nullptr) {
    half.lost = half.refused = false;  // a message begins here
    start_session(flow, *entry);
    // What the other side said so far nobody has read: whose answers come next is not certain.
    if (flow.half[1 - from].lost) flow.session->gap(flow.direction(1 - from), 0, *this);
    return true;
  }
  if (unsure && !last) return false;
  return refuse(flow, from);
}

/// Nobody wants these bytes. Returns whether anything changed.
bool Engine::refuse(Flow& flow, int from) {
  Half& half = flow.half[from];
  Half& peer = flow.half[1 - from];
  const bool upgrade = half.tries > kMostTries;
  const bool again = upgrade ? half.tries < kMostTries + kMostUpgrades
                             : (half.lost || !flow.isn_known[from]) && half.tries < kMostTries;
  if (again) {
    ++half.tries;
    half.lost = true;
    const size_t oldest = half.pending != nullptr ? half.pending->first_piece() : front(flow, from).size();
    count(Counter::kSkippedBytes, oldest);
    consume(flow, from, oldest);
    flow.candidates[from] = Candidates::kAll;
    return true;
  }
  half.refused = true;
  const bool peer_is_done = upgrade || peer.refused || (peer.ended && front(flow, 1 - from).empty()) || final_;
  // What the other direction could still be with what is left.
  const bool hopeless = (flow.candidates[0] & flow.candidates[1]) == 0 && candidates_.answers_tell() == 0;
  if (peer_is_done || hopeless) {
    const bool whole = half.tries == 0 && peer.tries == 0 && !half.ended && !final_;
    if (const Candidates::Set tls = candidates_.tls(); whole && tls != 0) {
      for (int side = 0; side < 2; ++side) {
        const size_t there = front(flow, side).size();
        count(Counter::kSkippedBytes, there);
        if (there != 0) consume(flow, side, there);
        flow.half[side].tries = kMostTries + 1;
        flow.half[side].lost = true;
        flow.half[side].refused = false;
        flow.candidates[side] = tls;
      }
      return true;
    }
    count(Counter::kUnknownProtocol, 1);
    tell_undissected(flow);
    ignore(flow);
    return true;
  }
  if (front(flow, from).size() < options_.probe_limit) return false;
  half.lost = true;  // they need not be kept: only a dissector that finds its way into the middle could use them
  consume(flow, from, front(flow, from).size());
  return true;
}

// ---- heads of the PROXY protocol ----

/// REQUIRES: may_be_proxy_head().
Engine::Head Engine::take_proxy_head(Flow& flow, int from, Bytes bytes) {
  const bool answers = flow.oriented && from != flow.client_half;
  if (answers || is_channel(flow) || flow.proxy_heads >= kMostProxyHeads) return Head::kNone;
  ProxyHead head;
  const ProxyReading reading = read_proxy_head(bytes, head);
  if (reading.kind == ProxyReading::Kind::kNo) return Head::kNone;
  if (reading.kind == ProxyReading::Kind::kNeed) return Head::kIncomplete;
  keep_proxy_head(flow, from, std::move(head));
  if (!proxy_heads_.contains(&flow)) count(Counter::kSkippedBytes, reading.bytes);
  const size_t here = std::min(reading.bytes, bytes.size());
  counters_.read_bytes += here;
  consume(flow, from, here);
  flow.half[from].skip = reading.bytes - here;
  return Head::kTaken;
}

/// What stands in a datagram behind its head. Each has one of its own, and they may announce different clients; a
/// balancer puts none before the answers.
Bytes Engine::behind_proxy_head(Flow& flow, int from, Bytes bytes) {
  const bool answers = flow.oriented && from != flow.client_half;
  if (answers || is_channel(flow)) return bytes;
  ProxyHead head;
  ProxyReading reading{ProxyReading::Kind::kNo};
  if (bytes[0] == '\r') reading = read_proxy_head(bytes, head);  // version 1 has no datagrams
  if (reading.kind != ProxyReading::Kind::kYes || reading.bytes > bytes.size()) {
    forget_proxy_head(flow);
    return bytes;
  }
  flow.proxy_heads = 0;
  keep_proxy_head(flow, from, std::move(head));
  if (!proxy_heads_.contains(&flow)) count(Counter::kSkippedBytes, reading.bytes);
  counters_.read_bytes += reading.bytes;
  return bytes.subspan(reading.bytes);
}

void Engine::keep_proxy_head(Flow& flow, int from, ProxyHead head) {
  head.number = ++flow.proxy_heads;
  if (proxy_heads_.size() < kMostKeptHeads || proxy_heads_.contains(&flow)) proxy_heads_[&flow] = std::move(head);
  flow.client_half = static_cast<uint8_t>(from);
  flow.oriented = true;
}

void Engine::forget_proxy_head(const Flow& flow) {
  if (flow.proxy_heads != 0) proxy_heads_.erase(&flow);
}

/// Null when none stood before its bytes, or before those around it.
const ProxyHead* Engine::proxy_head_of(const Flow& flow) const {
  for (const Flow* f = &flow;; f = static_cast<const InnerFlow*>(f)->outer) {
    if (f->proxy_heads != 0)
      if (const auto at = proxy_heads_.find(f); at != proxy_heads_.end()) return &at->second;
    if (!f->is_inner) return nullptr;
  }
}

}  // namespace baleen::dissect
