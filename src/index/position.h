#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baleen::index {

/// Where an item stands in the order in which queries hand items on: a place to go on behind, whatever blocks have come
/// or gone since.
struct Position {
  int64_t time_ns = 0;
  std::string node, stream;
  int64_t index = 0;
  std::string block;  // key of its record
  auto operator<=>(const Position&) const = default;

  /// As a word for a command line, and back; nothing when it is none.
  std::string to_token() const;
  static std::optional<Position> from_token(std::string_view token);
};

}  // namespace baleen::index
