#include "dissect/http2/huffman.h"

#include <array>
#include <cstdint>

// The code is canonical: codes of one length are consecutive numbers in the order of their characters, and longer ones
// follow. So the lengths say all of it. The common characters have at most eight bits and are looked up by these.

namespace baleen::dissect::http2 {
namespace {

constexpr unsigned kEos = 256, kLongest = 30, kShort = 8;

constexpr uint8_t kLengths[257] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,  5,  5,  5,  6,  6,  6,  6,  6,  6,  6,
    7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  8,  7,  8,  13, 19, 13, 14, 6,  15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,
    5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24,
    24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26,
    27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23,
    22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
};

struct Code {
  struct Short {
    uint8_t character, length;  // length zero: the code is longer than that
  };
  std::array<Short, 1 << kShort> by_bits{};
  std::array<uint32_t, kLongest + 1> first{};  // the first code of that length
  std::array<uint32_t, kLongest + 1> end{};    // one past the last
  std::array<uint16_t, kLongest + 1> place{};  // of the first in `characters`
  std::array<uint16_t, 257> characters{};
};

constexpr Code make_code() {
  Code c;
  uint32_t next = 0;
  uint16_t place = 0;
  for (unsigned length = 1; length <= kLongest; ++length) {
    next <<= 1;
    c.first[length] = next;
    c.place[length] = place;
    for (unsigned i = 0; i <= kEos; ++i) {
      if (kLengths[i] != length) continue;
      c.characters[place++] = static_cast<uint16_t>(i);
      if (length <= kShort)
        for (uint32_t rest = 0; rest < 1u << (kShort - length); ++rest)
          c.by_bits[next << (kShort - length) | rest] = {static_cast<uint8_t>(i), static_cast<uint8_t>(length)};
      ++next;
    }
    c.end[length] = next;
  }
  return c;
}
constexpr Code kCode = make_code();

}  // namespace

size_t decode_huffman(Bytes bytes, char* out) {
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  char* to = out;
  uint64_t bits = 0;  // the next ones, from the highest on
  unsigned count = 0;
  for (;;) {
    while (count <= 56 && at < end) {
      bits |= uint64_t{*at++} << (56 - count);
      count += 8;
    }
    const Code::Short common = kCode.by_bits[bits >> (64 - kShort)];
    unsigned length = common.length;
    unsigned character = common.character;
    if (length == 0) {
      for (length = kShort + 1; length <= kLongest; ++length) {
        const auto code = static_cast<uint32_t>(bits >> (64 - length));
        if (code >= kCode.end[length]) continue;
        character = kCode.characters[kCode.place[length] + (code - kCode.first[length])];
        break;
      }
    }
    if (length > count) break;  // only zeroes follow what is there
    if (character == kEos) return SIZE_MAX;
    *to++ = static_cast<char>(character);
    bits <<= length;
    count -= length;
  }
  // RFC 7541 5.2: what is left is the beginning of EOS, all ones, and shorter than a byte.
  const bool padding = count < 8 && (count == 0 || bits >> (64 - count) == (uint64_t{1} << count) - 1);
  return padding ? static_cast<size_t>(to - out) : SIZE_MAX;
}

}  // namespace baleen::dissect::http2
