#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace baleen::index {

/// Encodings of values within a page (parquet-format Encodings.md); each appends to `out`.

/// How many bits the largest of the values needs.
unsigned bits_of(uint64_t largest);
/// RLE_DICTIONARY's and levels' hybrid of runs and bit-packed groups of eight; `width` up to 32.
void append_hybrid(std::span<const uint32_t> values, unsigned width, std::string& out);
/// DELTA_BINARY_PACKED. Numbers of a 32-bit column (`narrow`) have deltas that wrap at 32 bits.
void append_delta(std::span<const int64_t> values, bool narrow, std::string& out);

}  // namespace baleen::index
