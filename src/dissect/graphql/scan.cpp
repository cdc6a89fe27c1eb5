#include "dissect/graphql/scan.h"

#include <cstddef>

namespace baleen::dissect::graphql {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void skip_space(std::string_view& rest) {
  size_t n = 0;
  while (n < rest.size() && is_space(rest[n])) ++n;
  rest.remove_prefix(n);
}

/// Where the string that begins at `at` ends, behind its quote; zero when it does not.
size_t end_of_string(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    at = text.find_first_of("\"\\", at);
    if (at == std::string_view::npos) return 0;
    if (text[at] == '"') return at + 1;
    ++at;
  }
  return 0;
}

size_t end_of_nested(std::string_view text) {
  size_t depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      at = end_of_string(text, at);
      if (at == 0) return 0;
      --at;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return at + 1;
    }
  }
  return 0;
}

}  // namespace

bool take_char(std::string_view& rest, char c) {
  skip_space(rest);
  if (!rest.starts_with(c)) return false;
  rest.remove_prefix(1);
  return true;
}

std::string_view take_value(std::string_view& rest) {
  skip_space(rest);
  if (rest.empty()) return {};
  size_t end = 0;
  if (rest[0] == '"') {
    end = end_of_string(rest, 0);
  } else if (rest[0] == '{' || rest[0] == '[') {
    end = end_of_nested(rest);
  } else {
    while (end < rest.size() && !is_space(rest[end]) && rest[end] != ',' && rest[end] != '}' && rest[end] != ']') ++end;
  }
  const std::string_view value = rest.substr(0, end);
  rest.remove_prefix(end);
  return value;
}

}  // namespace baleen::dissect::graphql
