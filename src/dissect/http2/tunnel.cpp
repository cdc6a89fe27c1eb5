#include "dissect/http2/tunnel.h"

#include <utility>

namespace baleen::dissect::http2 {

/// How many bytes at the front were used up; zero when more are needed.
size_t Tunnel::step(Side& side, const Input& in, Output& out) {
  if (side.lost) {
    const Resync r = session_.resync(in);
    if (r.found) {
      side.lost = false;
      out.count(Counter::kResyncs);
    }
    out.count(Counter::kSkippedBytes, r.ruled_out);
    return r.ruled_out > 0 || !r.found ? r.ruled_out : step(side, in, out);
  }
  const Step step = session_.dissect(in, out);
  if (step.kind == Step::Kind::kTook) return static_cast<size_t>(step.bytes);
  if (step.kind == Step::Kind::kNeed) return side.need = step.bytes, 0;
  out.count(Counter::kMalformed);
  side.lost = true;
  return this->step(side, in, out);  // resync() goes past what was refused
}

void Tunnel::feed(Direction direction, Bytes bytes, Timestamp time, Output& out) {
  Side& side = sides_[static_cast<size_t>(direction)];
  const size_t old = side.held.size();  // bytes before this came earlier
  if (old > 0) {
    side.held.insert(side.held.end(), bytes.begin(), bytes.end());
    bytes = side.held;
  }
  size_t at = 0;
  const auto time_of = [&] { return at < old ? side.time : time; };
  while (at < bytes.size() && bytes.size() - at >= side.need) {
    side.need = 0;
    const size_t used = step(side, {direction, bytes.subspan(at), time_of(), false}, out);
    if (used == 0) break;
    at += used;
  }
  const Timestamp first = time_of();
  if (bytes.size() - at > out.settings().header_cap) {
    out.count(Counter::kMessageTooLong);
    at = bytes.size();
    side.lost = true;
  }
  if (old > 0) {
    side.held.erase(side.held.begin(), side.held.begin() + static_cast<ptrdiff_t>(at));
  } else {
    side.held.assign(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.end());
  }
  side.time = first;
}

void Tunnel::lose(Direction direction, uint64_t bytes, Output& out) {
  Side& side = sides_[static_cast<size_t>(direction)];
  if (side.ended) return;
  side.need = 0;
  if (side.held.empty() && session_.gap(direction, bytes, out)) return;
  if (!side.held.empty()) session_.gap(direction, 0, out);
  out.count(Counter::kSkippedBytes, side.held.size());
  side.held.clear();
  side.lost = true;
}

bool Tunnel::end(Direction direction) {
  sides_[static_cast<size_t>(direction)].ended = true;
  return sides_[static_cast<size_t>(opposite(direction))].ended;
}

}  // namespace baleen::dissect::http2
