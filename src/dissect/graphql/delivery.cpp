#include "dissect/graphql/delivery.h"

#include <algorithm>
#include <optional>

#include "dissect/graphql/scan.h"

namespace baleen::dissect::graphql {
namespace {

/// A line without its end: CR, LF or both (HTML 9.2.5); nothing where the end is missing.
std::optional<std::string_view> take_line(std::string_view& rest) {
  const size_t end = rest.find_first_of("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  return line;
}

/// The value of a line with this field name, one space behind the colon left out (HTML 9.2.6).
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(name.size());
  if (line.empty()) return line;
  if (line[0] != ':') return std::nullopt;
  line.remove_prefix(line.substr(1).starts_with(' ') ? 2 : 1);
  return line;
}

/// The lines of data of an event, `size` bytes with a line break behind each, as one text.
std::string_view joined_data(std::string_view event, size_t size, Arena& arena) {
  char* const text = static_cast<char*>(arena.allocate(size, 1));
  char* at = text;
  while (const auto line = take_line(event)) {
    if (line->empty()) break;
    const auto data = value_of(*line, "data");
    if (!data) continue;
    at = std::copy(data->begin(), data->end(), at);
    *at++ = '\n';
  }
  return {text, size};
}

}  // namespace

Results Results::of_parts(std::string_view body, std::string_view content_type) {
  const std::string_view boundary = http::parameter(content_type, "boundary");
  return {{}, http::Parts(body, boundary.empty() ? "-" : boundary), false};
}

Results Results::of_events(std::string_view body) {
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  return {body, http::Parts({}, {}), true};
}

/// What `json` says of the end; the result when there is one. Some servers put it into `payload` (multipart
/// subscriptions), and send `{}` to keep the connection alive.
std::string_view Results::take(std::string_view json) {
  std::string_view rest = json, result;
  const std::string_view object = take_value(rest);
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "hasNext" && value == "false") complete_ = true;
    if (name == "payload" && value.starts_with('{')) {
      result = value;
    } else if (result.empty() && name != "hasNext" && name != "payload") {
      result = object;
    }
    return true;
  });
  return result;
}

std::string_view Results::next_event(Arena& arena) {
  std::string_view event = rest_, name, only;
  size_t size = 0, lines = 0;
  while (const auto line = take_line(rest_)) {
    if (!line->empty()) {
      if (const auto value = value_of(*line, "event")) name = *value;
      if (const auto value = value_of(*line, "data")) {
        only = *value;
        size += value->size() + 1;
        ++lines;
      }
      continue;
    }
    if (name == "complete") complete_ = true;
    if (lines > 0 && (name.empty() || name == "next" || name == "message"))
      if (const std::string_view result = take(lines == 1 ? only : joined_data(event, size, arena)); !result.empty())
        return result;
    event = rest_;
    name = {};
    size = lines = 0;
  }
  return {};
}

std::string_view Results::next(Arena& arena) {
  if (events_) return next_event(arena);
  http::Part part;
  while (parts_.next(part))
    if (const std::string_view result = take(part.body); !result.empty()) return result;
  complete_ |= parts_.closed();
  return {};
}

}  // namespace baleen::dissect::graphql
