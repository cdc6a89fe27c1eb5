#include "index/position.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "codec/base64.h"

namespace baleen::index {
namespace {

constexpr std::string_view kVersion = "1";

/// Takes a line off the front.
std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

bool read_number(std::string_view text, int64_t& n) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string Position::to_token() const {
  Arena arena;
  const std::string text = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", kVersion, time_ns, index, node, stream, block);
  std::string out(codec::to_base64(as_bytes(text), arena));
  // RFC 4648 section 5, so that no shell minds.
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  out.erase(std::min(out.find('='), out.size()));
  return out;
}

std::optional<Position> Position::from_token(std::string_view token) {
  Arena arena;
  const auto bytes = codec::from_base64(token, arena);
  if (!bytes) return std::nullopt;
  std::string_view text = as_text(*bytes);
  Position out;
  if (std::count(text.begin(), text.end(), '\n') != 5 || take_line(text) != kVersion ||
      !read_number(take_line(text), out.time_ns) || !read_number(take_line(text), out.index))
    return std::nullopt;
  out.node = take_line(text);
  out.stream = take_line(text);
  out.block = text;
  return out;
}

}  // namespace baleen::index
