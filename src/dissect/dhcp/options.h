#pragma once

#include "dissect/build.h"

namespace baleen::dissect::dhcp {

/// "02:42:ac:11:00:02"
std::string_view hardware_text(Bytes address, Arena& arena);

/// The options of one message as they are read, from the option field and, where that says so, from `file` and `sname`
/// (RFC 2131 4.1).
struct Options {
  explicit Options(Arena& a) : list(a), arena(a) {}
  ListOf list;
  Arena& arena;
  std::string_view type = "BOOTP";
  item::Value host;
  uint8_t overload = 0;

  /// Adds to the list, and to `map` those options that have fields of their own. False: they do not fit.
  bool read(Bytes field, MapOf& map);
};

}  // namespace baleen::dissect::dhcp
