#include <algorithm>
#include <cstring>

#include "dissect/http/chars.h"
#include "dissect/http/draft.h"
#include "dissect/http/head.h"
#include "dissect/http/http.h"

// Bodies (RFC 9112 6): by length, in chunks, until the close.

namespace baleen::dissect::http {
namespace {

constexpr size_t kMaxChunkLine = 16 << 10;

/// RFC 9112 7.1: chunk-size and its extensions, which mean nothing to us.
bool chunk_size(std::string_view line, uint64_t& size) {
  size_t digits = 0;
  uint64_t n = 0;
  for (; digits < line.size(); ++digits) {
    const char c = lower(line[digits]);
    if (!is_digit(c) && (c < 'a' || c > 'f')) break;
    if (digits == 15) return false;
    n = n << 4 | static_cast<uint64_t>(is_digit(c) ? c - '0' : c - 'a' + 10);
  }
  if (digits == 0) return false;
  const std::string_view rest = trim(line.substr(digits, line.size() - digits - (line.ends_with('\r') ? 1 : 0)));
  if (!rest.empty() && rest.front() != ';') return false;
  size = n;
  return true;
}

}  // namespace

Step Http::body(Side& side, const Input& in, size_t at, Draft& draft, Output& out) {
  const size_t begin = at;
  for (;;) {
    const BodyTurn turn = body_turn(side, in, at, draft, out);
    if (turn.wrong != nullptr) {
      draft.wire_size += at - begin;
      return broken(side, draft, turn.wrong, at, out);
    }
    at += turn.used;
    if (turn.whole) {
      draft.wire_size += at - begin;
      finish(draft, out);
      return Step::took(at);
    }
    if (turn.used > 0 && at < in.bytes.size()) continue;
    draft.wire_size += at - begin;
    keep_for_later(side, draft);
    return at > 0 ? Step::took(at) : Step::need(in.bytes.size() + 1);
  }
}

inline Http::BodyTurn Http::body_turn(Side& side, const Input& in, size_t at, Draft& draft, Output& out) {
  const Bytes rest = in.bytes.subspan(at);
  const size_t cap = out.settings().body_cap;
  switch (side.state) {
    case State::kLength: return content(side, rest, draft, cap);
    case State::kChunkSize: return chunk_size_line(side, rest);
    case State::kChunkData: return chunk(side, rest, draft, cap);
    case State::kChunkEnd: return chunk_end(side, rest);
    case State::kTrailers: return trailers(side, rest, draft, out.settings().header_cap);
    case State::kUntilClose:
      draft.keep(rest, rest.size(), UINT64_MAX, cap);
      if (in.end_of_stream) side.state = State::kHead;
      return {.used = rest.size(), .whole = in.end_of_stream};
    default: return {.wrong = "not in a body"};  // dissect() does not come here with these
  }
}

/// A body of known length. What lies beyond the cap is not waited for: the item has all that it will keep.
inline Http::BodyTurn Http::content(Side& side, Bytes rest, Draft& draft, size_t cap) {
  const size_t used = static_cast<size_t>(std::min<uint64_t>(side.left, rest.size()));
  draft.keep(rest.first(used), side.left, side.left, cap);
  side.left -= used;
  const bool full = side.left > 0 && !draft.holed && draft.text.size() == cap;
  if (side.left > 0 && !full) return {used};
  draft.capped |= full;
  draft.body_size += side.left;
  draft.wire_size += side.left;
  side.state = full ? State::kSkip : State::kHead;
  return {.used = used, .whole = true};
}

Http::BodyTurn Http::chunk_size_line(Side& side, Bytes rest) {
  const void* const lf =
      rest.size() > side.scanned ? std::memchr(rest.data() + side.scanned, '\n', rest.size() - side.scanned) : nullptr;
  const size_t line = lf != nullptr ? static_cast<size_t>(static_cast<const uint8_t*>(lf) - rest.data()) : rest.size();
  if (line > kMaxChunkLine || (lf != nullptr && !chunk_size(as_text(rest.first(line)), side.left)))
    return {.wrong = "malformed chunk size"};
  side.scanned = lf == nullptr ? static_cast<uint32_t>(rest.size()) : 0;
  if (lf == nullptr) return {};
  side.state = side.left > 0 ? State::kChunkData : State::kTrailers;
  return {line + 1};
}

Http::BodyTurn Http::chunk(Side& side, Bytes rest, Draft& draft, size_t cap) {
  const size_t used = static_cast<size_t>(std::min<uint64_t>(side.left, rest.size()));
  draft.keep(rest.first(used), side.left, UINT64_MAX, cap);
  side.left -= used;
  if (side.left == 0) side.state = State::kChunkEnd;
  return {used};
}

Http::BodyTurn Http::chunk_end(Side& side, Bytes rest) {
  if (rest.empty() || (rest[0] == '\r' && rest.size() == 1)) return {};
  if (rest[0] != '\n' && (rest[0] != '\r' || rest[1] != '\n')) return {.wrong = "no line end after a chunk"};
  side.state = State::kChunkSize;
  return {rest[0] == '\n' ? 1u : 2u};
}

Http::BodyTurn Http::trailers(Side& side, Bytes rest, Draft& draft, size_t cap) {
  LineEnds lines;
  const size_t used = find_head_end(rest, side.scanned, lines);
  side.scanned = used == 0 ? static_cast<uint32_t>(rest.size()) : 0;
  if (used == 0 && rest.size() >= cap) return {.wrong = "trailers without an end"};
  if (used == 0) return {};
  const std::string_view block = as_text(rest.first(used));
  draft.trailers = draft.arena().copy(block.substr(0, used - (block.ends_with("\r\n") ? 2 : 1)));
  side.state = State::kHead;
  return {.used = used, .whole = true};
}

Step Http::broken(Side& side, Draft& draft, const char* why, size_t used, Output& out) {
  draft.error = why;
  side.state = used > 0 ? State::kBroken : State::kHead;
  side.scanned = 0;
  finish(draft, out);
  return used > 0 ? Step::took(used) : Step::lost();
}

}  // namespace baleen::dissect::http
