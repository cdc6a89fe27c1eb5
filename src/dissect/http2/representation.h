#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace baleen::dissect::http2 {

/// The entries of HPACK's static table (RFC 7541 appendix A).
constexpr uint32_t kStaticEntries = 61;

/// One instruction of a field block (RFC 7541 6), as far as it can be told without any table.
struct Representation {
  enum class Kind : uint8_t { kIndexed, kIndexing, kLiteral, kSizeUpdate };
  Kind kind;
  uint32_t index;   // of the field, or of its name; zero for a literal name. The size of a size update
  size_t value_at;  // where the value's string begins, for literals
  size_t bytes;     // of all of it
};

/// The first instruction of a block. False when it does not end within it, or is malformed.
bool next_representation(Bytes block, Representation& out);

}  // namespace baleen::dissect::http2
