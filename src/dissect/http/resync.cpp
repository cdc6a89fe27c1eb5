#include <algorithm>

#include "dissect/http/head.h"
#include "dissect/http/http.h"

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

Resync find_request_line(std::string_view text) {
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
      if (text.size() - begin < kMaxLine) return {begin, false};
      continue;
    }
    if (parse_request_line(line_at(text, begin)).ok) return {begin, true};
  }
}

}  // namespace

Resync Http::resync(const Input& in) {
  Side& side = side_of(in.direction);
  std::string_view text = as_text(in.bytes);
  // dissect() has refused what stands here; finding it again would lead nowhere.
  const size_t first = side.state == State::kRefused && !text.empty() ? 1 : 0;
  if (first > 0) side.state = State::kHead;
  text.remove_prefix(first);
  const Resync found = in.direction == Direction::kToServer ? find_request_line(text) : find_status_line(text);
  return {found.ruled_out + first, found.found};
}

}  // namespace baleen::dissect::http
