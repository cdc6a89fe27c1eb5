#include <algorithm>
#include <utility>

#include "base/check.h"
#include "dissect/engine.h"
#include "dissect/registry.h"

// Bytes in order become calls of a session. Each half has a front: the bytes that nobody has used yet. As long as the
// dissector uses up what each packet brings, the front is the packet's own memory (`hand_`); only what it answers with
// kNeed is copied to `pending`. pump() steps the half whose front is older until neither can go on.

namespace baleen::dissect {
namespace {

constexpr uint8_t kDatagramTries = 4;          // unknown datagrams after which a UDP conversation is left alone
constexpr size_t kPendingSlack = 64 << 10;     // one segment more than a dissector may ask for
constexpr size_t kPooledCapacity = 256 << 10;  // larger buffers are given back to the system

}  // namespace

// ---- pending bytes ----

void Pending::append(Bytes more, Timestamp time, uint64_t order) {
  if (used != 0 && used * 2 >= bytes.size()) {  // each byte is moved at most once per doubling
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(used));
    marks.erase(marks.begin(), marks.begin() + static_cast<ptrdiff_t>(mark));
    mark = 0;
    for (Mark& m : marks) m.at -= std::min(m.at, used);
    used = 0;
  }
  if (marks.size() < mark + kMostMarks) marks.push_back({bytes.size(), time, order});
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void Pending::consume(size_t n) {
  used += n;
  while (mark + 1 < marks.size() && marks[mark + 1].at <= used) ++mark;
}

void Pending::clear() {
  bytes.clear();
  if (bytes.capacity() > kPooledCapacity) bytes.shrink_to_fit();
  marks.clear();
  used = mark = 0;
}

/// Whether there was room.
bool Engine::keep(Half& half, Bytes bytes, Timestamp time, uint64_t order) {
  if (pending_bytes_ + bytes.size() > options_.pending_limit) {
    ++counters_.pending_overflow;
    return false;
  }
  if (half.pending == nullptr) {
    if (free_pending_ == nullptr) {
      pendings_.push_back(std::make_unique<Pending>());
      free_pending_ = pendings_.back().get();
    }
    half.pending = free_pending_;
    free_pending_ = half.pending->next;
  }
  pending_bytes_ += bytes.size();
  half.pending->append(bytes, time, order);
  return true;
}

void Engine::drop_pending(Half& half) {
  Pending* p = half.pending;
  if (p == nullptr) return;
  pending_bytes_ -= p->view().size();
  counters_.unread_bytes += p->view().size();
  half.pending = nullptr;
  p->clear();
  p->next = free_pending_;
  free_pending_ = p;
}

Bytes Engine::front(const Flow& flow, int from) const {
  const Half& half = flow.half[from];
  if (half.pending != nullptr) return half.pending->view();
  return hand_.from == from ? hand_.bytes : Bytes{};
}

Timestamp Engine::front_time(const Flow& flow, int from) const {
  const Half& half = flow.half[from];
  if (half.pending != nullptr) return half.pending->time();
  return hand_.from == from ? hand_.time : flow.last;
}

/// An end comes behind all bytes.
uint64_t Engine::front_order(const Flow& flow, int from) const {
  const Half& half = flow.half[from];
  if (half.pending != nullptr) return half.pending->order();
  return hand_.from == from ? hand_.order : UINT64_MAX;
}

void Engine::consume(Flow& flow, int from, size_t bytes) {
  Half& half = flow.half[from];
  if (half.pending == nullptr) {
    if (hand_.from == from) hand_.bytes = hand_.bytes.subspan(bytes);
    return;
  }
  half.pending->consume(bytes);
  pending_bytes_ -= bytes;
  if (half.pending->view().empty()) drop_pending(half);
}

// ---- streams ----

void Engine::feed(Flow& flow, int from, Bytes bytes, Timestamp time) {
  if (flow.state == Flow::State::kIgnored) {
    counters_.unread_bytes += bytes.size();
    return;
  }
  Half& half = flow.half[from];
  const auto unwanted = static_cast<size_t>(std::min<uint64_t>(half.skip, bytes.size()));
  half.skip -= unwanted;
  counters_.unread_bytes += unwanted;
  bytes = bytes.subspan(unwanted);
  if (bytes.empty()) return;
  const uint64_t order = ++fed_;
  const bool room = half.pending == nullptr || keep(half, bytes, time, order);
  if (room && half.pending == nullptr) hand_ = {from, bytes, time, order};
  half.stalled = false;
  if (room) pump(flow);
  const Bytes left = std::exchange(hand_, {}).bytes;
  if (flow.state == Flow::State::kIgnored) return;
  const bool kept = room && (left.empty() || keep(half, left, time, order));
  if (!kept) counters_.unread_bytes += room ? left.size() : bytes.size();
  const bool too_long =
      half.pending != nullptr && half.pending->view().size() > options_.settings.header_cap + kPendingSlack;
  if (kept && !too_long) return;
  if (too_long) count(Counter::kMessageTooLong, 1);
  drop_pending(half);
  half.need = 0;
  half.lost = true;
  half.found = false;
  if (flow.state == Flow::State::kDissecting) flow.session->gap(flow.direction(from), 0, *this);
}

void Engine::feed_end(Flow& flow, int from) {
  Half& half = flow.half[from];
  if (half.ended) return;
  half.ended = true;
  half.stalled = false;
  half.skip = 0;
  half.need = 0;
  pump(flow);
  if (half.told) drop_pending(half);
  if (flow.inner) end_inner(flow, from);
}

/// The flow ends: probes that wanted more bytes have to decide by what is there.
void Engine::last_chance(Flow& flow) {
  if (flow.state != Flow::State::kDetecting) return;
  final_ = true;
  for (Half& half : flow.half) half.stalled = false;
  pump(flow);
  final_ = false;
}

bool Engine::runnable(const Flow& flow, int from) const {
  const Half& half = flow.half[from];
  if (half.stalled) return false;
  const size_t there = front(flow, from).size();
  if (flow.state == Flow::State::kDetecting) return there != 0 && (!half.refused || final_);
  if (half.ended && !half.told) return true;
  return there != 0 && (half.lost || there >= half.need);
}

int Engine::older_side(const Flow& flow) const {
  const bool runs[2] = {runnable(flow, 0), runnable(flow, 1)};
  if (!runs[0] || !runs[1]) return runs[0] ? 0 : runs[1] ? 1 : 2;
  const uint64_t order[2] = {front_order(flow, 0), front_order(flow, 1)};
  return order[0] == order[1] ? flow.client_half : order[0] < order[1] ? 0 : 1;
}

/// Whether this half certainly has nothing to do, cheaper than runnable().
bool is_quiet(const Half& half) { return half.stalled || (half.pending == nullptr && (!half.ended || half.told)); }

/// What is in hand, as long as the other half has nothing to do: most often a whole message. Returns whether that was
/// all.
bool Engine::pump_hand(Flow& flow) {
  const int from = hand_.from;
  if (from == 2) return false;
  Half& half = flow.half[from];
  while (flow.state == Flow::State::kDissecting && !half.lost && !half.ended && is_quiet(flow.half[1 - from])) {
    if (hand_.bytes.empty() || hand_.bytes.size() < half.need || half.stalled) return true;
    if (!dissect_step(flow, from)) half.stalled = true;
  }
  return false;
}

void Engine::pump(Flow& flow) {
  if (pump_hand(flow)) return;
  while (flow.state != Flow::State::kIgnored) {
    const int side = older_side(flow);
    if (side == 2) return;
    if (!step(flow, side)) flow.half[side].stalled = true;
  }
}

/// Returns whether anything changed: bytes were used, or the state is another one.
bool Engine::step(Flow& flow, int from) {
  if (flow.state == Flow::State::kDetecting) return detect_step(flow, from);
  Half& half = flow.half[from];
  const bool end = half.ended;
  const bool changed = half.lost ? resync_step(flow, from) : dissect_step(flow, from);
  if (!changed && end && half.ended) half.told = true;
  return changed;
}

bool Engine::resync_step(Flow& flow, int from) {
  Half& half = flow.half[from];
  const Bytes bytes = front(flow, from);
  if (bytes.empty()) return false;
  Resync r = flow.session->resync({flow.direction(from), bytes, front_time(flow, from), half.ended});
  BALEEN_CHECK(r.ruled_out <= bytes.size());
  // A resync that waits for ever would hold bytes for ever.
  if (!r.found && bytes.size() - r.ruled_out > options_.settings.header_cap) r.ruled_out = bytes.size();
  count(Counter::kSkippedBytes, r.ruled_out);
  counters_.unread_bytes += r.ruled_out;
  consume(flow, from, r.ruled_out);
  if (!r.found) return false;
  half.lost = false;
  half.found = true;
  half.need = 0;
  count(Counter::kResyncs, 1);
  return true;
}

bool Engine::dissect_step(Flow& flow, int from) {
  Half& half = flow.half[from];
  const Bytes bytes = front(flow, from);
  half.need = 0;
  const Step step = flow.session->dissect({flow.direction(from), bytes, front_time(flow, from), half.ended}, *this);
  const bool found = half.found && step.kind != Step::Kind::kNeed;
  if (found) half.found = false;
  switch (step.kind) {
    case Step::Kind::kTook:
      BALEEN_CHECK(step.bytes <= bytes.size());
      counters_.read_bytes += step.bytes;
      consume(flow, from, step.bytes);
      return step.bytes != 0;
    case Step::Kind::kNeed:
      half.need = static_cast<uint32_t>(std::min<uint64_t>(step.bytes, options_.settings.header_cap));
      return false;
    case Step::Kind::kSkip: {
      count(Counter::kSkippedBytes, step.bytes);
      const auto here = static_cast<size_t>(std::min<uint64_t>(step.bytes, bytes.size()));
      counters_.unread_bytes += here;
      consume(flow, from, here);
      half.skip = half.ended ? 0 : step.bytes - here;
      return step.bytes != 0 && !(half.ended && here == 0);
    }
    case Step::Kind::kLost:
      count(Counter::kMalformed, 1);
      half.lost = true;
      // resync() and dissect() do not agree about this place: so it is none.
      if (found && !bytes.empty()) {
        ++counters_.unread_bytes;
        consume(flow, from, 1);
      }
      return !bytes.empty();
    case Step::Kind::kSwitch:
      BALEEN_CHECK(step.bytes <= bytes.size());
      counters_.read_bytes += step.bytes;
      consume(flow, from, step.bytes);
      if (step.bytes == 0 && step.to.empty()) {  // the same probe would say the same
        if (step.opening != nullptr) finish(step.opening);
        ignore(flow);
      } else {
        switch_session(flow, step);
      }
      return true;
    case Step::Kind::kDone: ignore(flow); return true;
  }
  return false;
}

// ---- sessions ----

void Engine::start_session(Flow& flow, const ProtocolEntry& entry) {
  flow.session = entry.make();
  flow.state = Flow::State::kDissecting;
  for (Half& half : flow.half) half.stalled = false;
}

void Engine::switch_session(Flow& flow, const Step& step) {
  const std::string_view to = step.to;
  flow.session->close(false, *this);
  flow.session.reset();
  for (Half& half : flow.half) {
    half.need = 0;
    half.skip = 0;
    half.lost = half.found = half.stalled = half.told = false;
  }
  const ProtocolEntry* const entry = to.empty() ? nullptr : find_protocol(options_.protocols, to);
  if (step.opening != nullptr && entry == nullptr) finish(step.opening);
  if (to.empty()) {
    flow.state = Flow::State::kDetecting;
    flow.oriented = true;
    return forget_candidates(flow);
  }
  if (entry == nullptr) return ignore(flow);
  start_session(flow, *entry);
  if (step.opening != nullptr) flow.session->adopt(step.opening, *this);
}

void Engine::ignore(Flow& flow) {
  if (flow.session) flow.session->close(false, *this);
  flow.session.reset();
  flow.state = Flow::State::kIgnored;
  for (Half& half : flow.half) drop_pending(half);
  counters_.unread_bytes += std::exchange(hand_, {}).bytes.size();
}

// ---- datagrams ----

void Engine::feed_datagram(Flow& flow, int from, Bytes bytes, uint32_t missing, Timestamp time) {
  if (flow.state != Flow::State::kIgnored) bytes = dissect_datagram(flow, from, bytes, missing, time);
  counters_.unread_bytes += bytes.size();
}

/// Returns what nobody has made anything of.
Bytes Engine::dissect_datagram(Flow& flow, int from, Bytes bytes, uint32_t missing, Timestamp time) {
  if (flow.state == Flow::State::kDetecting || flow.proxy_heads != 0) {
    bytes = behind_proxy_head(flow, from, bytes);
    if (bytes.empty()) return bytes;
  }
  if (flow.state == Flow::State::kDetecting) {
    bool unsure = false;
    const ProtocolEntry* entry =
        detect(flow, from, {flow.direction(from), bytes, time, true, true, missing}, true, unsure);
    if (entry == nullptr) {
      forget_candidates(flow);  // each datagram speaks for itself
      if (++flow.unknown_datagrams < kDatagramTries) return bytes;
      count(Counter::kUnknownProtocol, 1);
      tell_undissected(flow);
      ignore(flow);
      return bytes;
    }
    start_session(flow, *entry);
  }
  while (!bytes.empty() && flow.state == Flow::State::kDissecting) {
    const Step step = flow.session->dissect({flow.direction(from), bytes, time, true, true, missing}, *this);
    const auto n = static_cast<size_t>(std::min<uint64_t>(step.bytes, bytes.size()));
    switch (step.kind) {
      case Step::Kind::kTook:
      case Step::Kind::kSkip:
        if (n == 0) return bytes;
        (step.kind == Step::Kind::kSkip ? counters_.unread_bytes : counters_.read_bytes) += n;
        bytes = bytes.subspan(n);
        break;
      case Step::Kind::kNeed: return bytes;
      case Step::Kind::kLost: count(Counter::kMalformed, 1); return bytes;
      case Step::Kind::kSwitch:
        counters_.read_bytes += n;
        switch_session(flow, step);
        return bytes.subspan(n);
      case Step::Kind::kDone: ignore(flow); return bytes;
    }
  }
  return bytes;
}

}  // namespace baleen::dissect
