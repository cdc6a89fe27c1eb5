#pragma once

#include <string>
#include <string_view>

namespace baleen::index {

/// A literal of SQL.
inline std::string sql_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    out += c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

}  // namespace baleen::index
