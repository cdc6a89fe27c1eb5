#include <algorithm>

#include "dissect/http/draft.h"
#include "dissect/http/head.h"
#include "dissect/http/http.h"

// What a head says that was cut off by a loss, or by the capture's snap length: its whole lines, or the method and the
// target as far as it goes. Where it ended nobody knows, so the next message is looked for.
//
// After loss: where could a message begin again? Anything may stand before it, for instance the rest of a body without
// a line end. A status line shows by "HTTP/1.", wherever it stands. A request line is looked for by a well-known method
// and a space, because an unknown method could begin anywhere in text.

namespace baleen::dissect::http {
namespace {

constexpr size_t kMaxLine = 8192;  // RFC 9112 3 recommends to support that much
constexpr std::string_view kMethods[] = {"GET",     "PUT",    "POST",     "HEAD",      "PATCH", "DELETE",    "OPTIONS",
                                         "CONNECT", "TRACE",  "COPY",     "MOVE",      "LOCK",  "MKCOL",     "UNLOCK",
                                         "SEARCH",  "REPORT", "PROPFIND", "PROPPATCH", "PURGE", "SUBSCRIBE", "NOTIFY"};
constexpr size_t kLongestMethod = 9;

/// Where the well-known method that ends right before `space` begins; `space` when none does.
size_t method_before(std::string_view text, size_t space) {
  size_t best = space;
  for (const std::string_view m : kMethods)
    if (m.size() <= space && text.substr(space - m.size(), m.size()) == m) best = std::min(best, space - m.size());
  return best;
}

std::string_view line_at(std::string_view text, size_t begin) {
  std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Resync find_status_line(std::string_view text) {
  size_t at = 0;
  for (;;) {
    at = text.find('H', at);
    if (at == std::string_view::npos) return {text.size(), false};
    const std::string_view rest = text.substr(at);
    if (!may_become_status_line(rest)) {
      ++at;
    } else if (rest.size() < 13) {
      return {at, false};
    } else if (rest[12] == ' ' || rest[12] == '\r' || rest[12] == '\n') {
      return {at, true};
    } else {
      ++at;
    }
  }
}

/// Whether nothing but a method, a target and the beginning of a version can stand here: what was cut off amid a body
/// could name a method, too.
bool is_lone_target(std::string_view start) {
  if (!is_cut_request_line(start)) return false;
  std::string_view rest = start.substr(start.find(' ') + 1);
  rest.remove_prefix(std::min(rest.find(' '), rest.size()));
  constexpr std::string_view kVersion = " HTTP/1.";
  const bool visible = std::all_of(start.begin(), start.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  return visible && rest.size() <= kVersion.size() + 1 &&
         rest.substr(0, kVersion.size()) == kVersion.substr(0, rest.size());
}

/// `cut`: what follows was lost.
Resync find_request_line(std::string_view text, bool cut) {
  for (size_t at = 0;;) {
    const size_t space = text.find(' ', at);
    // The last bytes could be a method whose space is still to come.
    if (space == std::string_view::npos)
      return {std::max(at, text.size() - std::min(text.size(), kLongestMethod)), false};
    const size_t begin = std::max(at, method_before(text, space));
    at = space + 1;
    if (begin >= space) continue;
    const size_t end = text.substr(0, begin + kMaxLine).find('\n', space);
    if (end == std::string_view::npos) {
      if (cut) {
        if (is_lone_target(text.substr(begin))) return {begin, true};
        continue;
      }
      if (text.size() - begin < kMaxLine) return {begin, false};
      continue;
    }
    if (parse_request_line(line_at(text, begin)).ok) return {begin, true};
  }
}

/// The fields in whole lines behind the first.
Fields fields_in(std::string_view lines, Arena& arena) {
  const auto count = static_cast<size_t>(std::count(lines.begin(), lines.end(), '\n'));
  const auto ends = arena.array<uint32_t>(count);
  size_t at = 0;
  for (uint32_t& end : ends) {
    at = lines.find('\n', at);
    end = static_cast<uint32_t>(at++);
  }
  if (count == 0) return parse_fields(lines, lines.size(), {}, arena);
  Fields fields = parse_fields(lines, ends[0] + 1, ends.subspan(1, std::min(count - 1, kMaxFields)), arena);
  fields.as_sent = true;  // the head is not shown again: it is not whole
  return fields;
}

constexpr const char* kCutOff = "bytes of the head were lost";

}  // namespace

/// RFC 9112 3.2.3. NATS and others have a word CONNECT, too.
static bool is_authority(std::string_view target) {
  const auto may_be_there = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-._~:[]%@").find(c) != std::string_view::npos;
  };
  return !target.empty() && std::all_of(target.begin(), target.end(), may_be_there);
}

bool is_cut_request_line(std::string_view start) {
  const size_t space = start.find(' ');
  if (std::find(std::begin(kMethods), std::end(kMethods), start.substr(0, space)) == std::end(kMethods)) return false;
  const std::string_view target = start.substr(std::min(start.size(), space + 1));
  const bool form = target.starts_with('/') || target.starts_with('*') || target.starts_with("http");
  return space != std::string_view::npos &&
         (form || (start.starts_with("CONNECT ") && is_authority(target.substr(0, target.find_first_of(" \r\n")))));
}

void Http::cut_off(const Input& in, Output& out) {
  const Side& side = side_of(in.direction);
  Input at = in;
  const bool lost = side.lost || side.state == State::kRefused;
  if (lost) {
    const Resync begin = resync(in);
    if (!begin.found) return;
    at.bytes = in.bytes.subspan(begin.ruled_out);
  }
  std::string_view text = as_text(at.bytes);
  while (!text.empty() && (text.front() == '\r' || text.front() == '\n')) text.remove_prefix(1);
  if (side.state != State::kHead || hold_ || text.empty()) return;
  const size_t end = text.rfind('\n');
  const std::string_view lines = end == std::string_view::npos ? text : text.substr(0, end + 1);
  at.direction == Direction::kToServer ? cut_request(lines, at.bytes.size(), at.time, kCutOff, out)
                                       : cut_response(at, lines, out);
  if (lost) gap(in.direction, 0, out);  // which nobody else will say
}

/// It waits for its answer like any other, if it has none yet. `lines`: whole ones, or the beginning of the first.
void Http::cut_request(std::string_view lines, uint64_t wire_size, Timestamp time, const char* why, Output& out) {
  const bool whole_line = lines.ends_with('\n');
  const std::string_view first = line_at(lines, 0);
  const RequestLine seen = whole_line ? parse_request_line(first) : guess_request_line(first);
  if (whole_line ? !seen.ok : !is_cut_request_line(first)) return;
  Draft draft;
  item::Item* const answered = take_early();
  draft.item = answered != nullptr ? answered : out.begin(seen.version == "HTTP/1.0" ? kProtocol10 : kProtocol);
  draft.time = time;
  draft.wire_size = wire_size;
  const std::string_view copy = draft.arena().copy(lines);
  const RequestLine line = whole_line ? parse_request_line(line_at(copy, 0)) : guess_request_line(copy);
  const Fields fields = fields_in(copy, draft.arena());
  start_request(draft, {line.method, line.target, line.version, true}, fields, copy);
  draft.add("truncated", true);
  draft.holed = true;
  draft.error = why;
  draft.item->match_key = answered != nullptr ? draft.item->match_key & kResponseDone : 0;
  draft.item->match_key |= line.method == "HEAD" ? uint64_t{kHeadMethod} : 0;
  if (answered == nullptr) waiting_.push(draft.item, out);
  finish(draft, out);
}

/// The answer of the oldest request.
void Http::cut_response(const Input& in, std::string_view lines, Output& out) {
  if (probe_status_line(lines) != Probe::kYes) return;
  const int status = parse_status_line(line_at(lines, 0)).status;
  if (status < 200) return;
  Side& side = side_of(in.direction);
  Draft fresh;
  Draft& draft = side.draft != nullptr ? *side.draft : fresh;  // there is one after 1xx
  if (draft.item == nullptr) draft.item = waiting_.pop();
  const std::string_view version = lines.substr(0, 8);
  if (draft.item == nullptr) {
    draft.item = out.begin(version[7] == '0' ? kProtocol10 : kProtocol);
    draft.item->outcome = item::Outcome::kNoRequest;
    draft.item->match_key = kRequestDone;
  }
  draft.time = in.time;
  draft.wire_size += in.bytes.size();
  const std::string_view copy = draft.arena().copy(lines);
  start_response(draft, parse_status_line(line_at(copy, 0)), fields_in(copy, draft.arena()), copy);
  draft.add("truncated", true);
  draft.holed = true;
  draft.error = kCutOff;
  finish(draft, out);
}

Resync Http::resync(const Input& in) {
  Side& side = side_of(in.direction);
  std::string_view text = as_text(in.bytes);
  // dissect() has refused what stands here; finding it again would lead nowhere.
  const size_t first = side.state == State::kRefused && !text.empty() ? 1 : 0;
  if (first > 0) side.state = State::kHead;
  text.remove_prefix(first);
  const Resync found =
      in.direction == Direction::kToServer ? find_request_line(text, in.missing != 0) : find_status_line(text);
  return {found.ruled_out + first, found.found};
}

}  // namespace baleen::dissect::http
