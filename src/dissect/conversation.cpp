#include <algorithm>

#include "base/check.h"
#include "dissect/engine.h"
#include "dissect/registry.h"

// The second half of the engine: bytes in order become calls of a session. As long as the dissector uses up what each
// packet brings, its bytes are the packet's own; only what it answers with kNeed is copied to `pending`.

namespace baleen::dissect {
namespace {

constexpr uint8_t kDatagramTries = 4;       // unknown datagrams after which a UDP conversation is left alone
constexpr size_t kPendingSlack = 64 << 10;  // one segment more than a dissector may ask for

}  // namespace

// ---- pending bytes ----

void Engine::keep(Half& half, Bytes bytes, Timestamp time) {
  if (bytes.empty()) return;
  if (half.pending == nullptr) {
    if (free_pending_ == nullptr) {
      pendings_.push_back(std::make_unique<Pending>());
      free_pending_ = pendings_.back().get();
    }
    half.pending = free_pending_;
    free_pending_ = half.pending->next;
    half.pending->time = time;
  }
  Pending& p = *half.pending;
  if (p.used == p.bytes.size()) p.time = time;
  if (p.used != 0 && p.used * 2 >= p.bytes.size()) {  // each byte is moved at most once per doubling
    p.bytes.erase(p.bytes.begin(), p.bytes.begin() + static_cast<ptrdiff_t>(p.used));
    p.used = 0;
  }
  p.bytes.insert(p.bytes.end(), bytes.begin(), bytes.end());
}

void Engine::drop_pending(Half& half) {
  Pending* p = half.pending;
  if (p == nullptr) return;
  half.pending = nullptr;
  p->bytes.clear();
  if (p->bytes.capacity() > (256 << 10)) p->bytes.shrink_to_fit();
  p->used = 0;
  p->next = free_pending_;
  free_pending_ = p;
}

// ---- streams ----

void Engine::feed(Flow& flow, int from, Bytes bytes, Timestamp time) {
  if (flow.state == Flow::State::kIgnored) return;
  Half& half = flow.half[from];
  if (half.skip != 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(half.skip, bytes.size()));
    half.skip -= n;
    bytes = bytes.subspan(n);
    if (bytes.empty()) return;
  }
  if (half.pending == nullptr) {
    const size_t used = run(flow, from, bytes, time, false);
    if (flow.state != Flow::State::kIgnored) keep(half, bytes.subspan(used), time);
    return;
  }
  keep(half, bytes, time);
  run_pending(flow, from);
  if (half.pending != nullptr && half.pending->view().size() > options_.settings.header_cap + kPendingSlack) {
    count(Counter::kMessageTooLong, 1);
    drop_pending(half);
    half.need = 0;
    half.lost = true;
  }
}

void Engine::run_pending(Flow& flow, int from) {
  Half& half = flow.half[from];
  if (half.pending == nullptr) return;
  const Bytes view = half.pending->view();
  const size_t used = run(flow, from, view, half.pending->time, false);
  if (half.pending == nullptr) return;  // ignored meanwhile
  if (used == view.size()) return drop_pending(half);
  half.pending->used += used;
  if (used != 0) half.pending->time = flow.last;  // what is left came with the packet in hand
}

void Engine::feed_end(Flow& flow, int from, Timestamp time) {
  Half& half = flow.half[from];
  if (half.at_end) return;
  half.at_end = true;
  half.skip = 0;
  if (flow.state == Flow::State::kDetecting && half.pending != nullptr) {
    // The last chance of probes that wanted more bytes.
    const Bytes view = half.pending->view();
    const ProtocolEntry* entry = detect(flow, from, view, half.pending->time, true);
    if (entry == nullptr && flow.state == Flow::State::kDetecting && flow.half[1 - from].at_end) ignore(flow);
    if (entry != nullptr) start_session(flow, *entry);
    if (flow.state == Flow::State::kDissecting) {
      run_pending(flow, 1 - from);
      run_pending(flow, from);
    }
  }
  if (flow.state != Flow::State::kDissecting) return;
  half.need = 0;
  const Bytes view = half.pending != nullptr ? half.pending->view() : Bytes{};
  run(flow, from, view, half.pending != nullptr ? half.pending->time : time, true);
  drop_pending(half);
}

/// Calls the session until it has used up `view`, or wants more; returns how many bytes were used.
size_t Engine::run(Flow& flow, int from, Bytes view, Timestamp time, bool end) {
  Half& half = flow.half[from];
  size_t at = 0;
  bool stuck = false;
  while (!stuck && flow.state != Flow::State::kIgnored) {
    Bytes rest = view.subspan(at);
    if (half.skip != 0) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(half.skip, rest.size()));
      half.skip -= n;
      at += n;
      rest = view.subspan(at);
    }
    if (rest.empty() && !end) break;
    if (flow.state == Flow::State::kDetecting) {
      const ProtocolEntry* entry = rest.empty() ? nullptr : detect(flow, from, rest, time, end);
      if (entry == nullptr) break;
      start_session(flow, *entry);
      // The other direction's first bytes came before these.
      run_pending(flow, 1 - from);
      continue;
    }
    at += half.lost ? look_for_message(flow, from, rest, time, end, stuck)
                    : dissect_one(flow, from, rest, time, end, stuck);
  }
  return flow.state == Flow::State::kIgnored ? view.size() : at;
}

size_t Engine::look_for_message(Flow& flow, int from, Bytes rest, Timestamp time, bool end, bool& stuck) {
  Half& half = flow.half[from];
  if (rest.empty()) {
    stuck = true;
    return 0;
  }
  const Resync r = flow.session->resync({flow.direction(from), rest, time, end});
  BALEEN_CHECK(r.ruled_out <= rest.size());
  count(Counter::kSkippedBytes, r.ruled_out);
  if (r.found) {
    half.lost = false;
    half.need = 0;
    count(Counter::kResyncs, 1);
    return r.ruled_out;
  }
  stuck = true;
  // A resync that waits for ever would hold bytes for ever.
  return rest.size() - r.ruled_out > options_.settings.header_cap ? rest.size() : r.ruled_out;
}

size_t Engine::dissect_one(Flow& flow, int from, Bytes rest, Timestamp time, bool end, bool& stuck) {
  Half& half = flow.half[from];
  if (rest.size() < half.need && !end) {
    stuck = true;
    return 0;
  }
  half.need = 0;
  const Step step = flow.session->dissect({flow.direction(from), rest, time, end}, *this);
  switch (step.kind) {
    case Step::Kind::kTook:
      BALEEN_CHECK(step.bytes <= rest.size());
      stuck = step.bytes == 0;
      return step.bytes;
    case Step::Kind::kNeed:
      half.need = static_cast<uint32_t>(std::min<uint64_t>(step.bytes, options_.settings.header_cap));
      stuck = true;
      return 0;
    case Step::Kind::kSkip: {
      count(Counter::kSkippedBytes, step.bytes);
      const size_t here = static_cast<size_t>(std::min<uint64_t>(step.bytes, rest.size()));
      half.skip = step.bytes - here;
      stuck = step.bytes == 0;
      return here;
    }
    case Step::Kind::kLost:
      count(Counter::kMalformed, 1);
      half.lost = true;
      stuck = rest.empty();
      return 0;
    case Step::Kind::kSwitch:
      BALEEN_CHECK(step.bytes <= rest.size());
      switch_session(flow, step.to);
      stuck = rest.size() == step.bytes;
      return step.bytes;
    case Step::Kind::kDone: ignore(flow); return rest.size();
  }
  return rest.size();
}

// ---- sessions ----

void Engine::start_session(Flow& flow, const ProtocolEntry& entry) {
  flow.session = entry.make();
  flow.state = Flow::State::kDissecting;
}

void Engine::switch_session(Flow& flow, std::string_view to) {
  flow.session->close(false, *this);
  flow.session.reset();
  for (Half& half : flow.half) {
    half.need = 0;
    half.skip = 0;
    half.lost = false;
  }
  if (to.empty()) {
    flow.state = Flow::State::kDetecting;
    flow.candidates = ~uint64_t{0};
    flow.oriented = true;
    return;
  }
  const ProtocolEntry* entry = find_protocol(options_.protocols, to);
  if (entry == nullptr) return ignore(flow);
  start_session(flow, *entry);
}

void Engine::ignore(Flow& flow) {
  if (flow.session) flow.session->close(false, *this);
  flow.session.reset();
  flow.state = Flow::State::kIgnored;
  for (Half& half : flow.half) drop_pending(half);
}

/// Asks one protocol. While it is not known who is the client, both answers are tried, and `client_half` is set to what
/// fits.
Probe Engine::ask(Flow& flow, const ProtocolEntry& entry, int from, Bytes view, Timestamp time,
                  int& client_half) const {
  const bool end = flow.key.transport == net::Transport::kUdp || flow.half[from].at_end;
  if (flow.oriented) {
    client_half = flow.client_half;
    return entry.probe({flow.direction(from), view, time, end});
  }
  const Probe as_request = entry.probe({Direction::kToServer, view, time, end});
  if (as_request == Probe::kYes) {
    client_half = from;
    return as_request;
  }
  const Probe as_response = entry.probe({Direction::kToClient, view, time, end});
  client_half = 1 - from;
  if (as_response == Probe::kYes && as_request == Probe::kNo) return as_response;
  return as_request == Probe::kNo && as_response == Probe::kNo ? Probe::kNo : Probe::kUnsure;
}

/// The protocol of these first bytes, or null: not known yet, or (then the flow is ignored) not known at all. The
/// answer does not depend on cuts: a protocol is taken when it says yes and all that come before it in the order have
/// said no.
const ProtocolEntry* Engine::detect(Flow& flow, int from, Bytes view, Timestamp time, bool last_chance) {
  const bool udp = flow.key.transport == net::Transport::kUdp;
  last_chance |= view.size() >= options_.probe_limit;
  bool unsure = false;
  const ProtocolEntry* found = nullptr;
  int found_client = flow.client_half;
  // First those whose hint fits a port, then the others: ports break ties and nothing else.
  for (const bool hinted : {true, false}) {
    for (size_t i = 0; i < options_.protocols.size() && found == nullptr; ++i) {
      const ProtocolEntry& entry = options_.protocols[i];
      if ((flow.candidates >> i & 1) == 0 || !(udp ? entry.over_udp : entry.over_tcp)) continue;
      const auto ports = entry.card->ports;
      const bool hint = std::find(ports.begin(), ports.end(), flow.key.low.port) != ports.end() ||
                        std::find(ports.begin(), ports.end(), flow.key.high.port) != ports.end();
      if (hint != hinted) continue;
      int client_half = flow.client_half;
      switch (ask(flow, entry, from, view, time, client_half)) {
        case Probe::kNo: flow.candidates &= ~(uint64_t{1} << i); break;
        case Probe::kUnsure: unsure = true; break;
        case Probe::kYes:
          if (unsure && !last_chance) return nullptr;
          found = &entry;
          found_client = client_half;
          break;
      }
    }
  }
  if (found != nullptr) {
    flow.client_half = static_cast<uint8_t>(found_client);
    flow.oriented = true;
    return found;
  }
  if (udp || (unsure && !last_chance)) return nullptr;
  if (flow.half[from].at_end && !flow.half[1 - from].at_end && unsure) return nullptr;  // the other direction may tell
  count(Counter::kUnknownProtocol, 1);
  ignore(flow);
  return nullptr;
}

// ---- datagrams ----

void Engine::feed_datagram(Flow& flow, int from, Bytes bytes, Timestamp time) {
  if (flow.state == Flow::State::kIgnored) return;
  if (flow.state == Flow::State::kDetecting) {
    const ProtocolEntry* entry = detect(flow, from, bytes, time, true);
    if (entry == nullptr) {
      flow.candidates = ~uint64_t{0};  // each datagram speaks for itself
      if (++flow.unknown_datagrams < kDatagramTries) return;
      count(Counter::kUnknownProtocol, 1);
      return ignore(flow);
    }
    start_session(flow, *entry);
  }
  while (!bytes.empty() && flow.state == Flow::State::kDissecting) {
    const Step step = flow.session->dissect({flow.direction(from), bytes, time, true}, *this);
    const size_t n = static_cast<size_t>(std::min<uint64_t>(step.bytes, bytes.size()));
    switch (step.kind) {
      case Step::Kind::kTook:
      case Step::Kind::kSkip:
        if (n == 0) return;
        bytes = bytes.subspan(n);
        break;
      case Step::Kind::kNeed: return;
      case Step::Kind::kLost: return count(Counter::kMalformed, 1);
      case Step::Kind::kSwitch: return switch_session(flow, step.to);
      case Step::Kind::kDone: return ignore(flow);
    }
  }
}

}  // namespace baleen::dissect
