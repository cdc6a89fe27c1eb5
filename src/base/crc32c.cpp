#include "base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace baleen {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // the highest power in the lowest bit

/// One power more, modulo the polynomial.
constexpr uint32_t times_x(uint32_t c) { return (c & 1) != 0 ? kPolynomial ^ (c >> 1) : c >> 1; }

constexpr uint32_t product(uint32_t a, uint32_t b) {
  uint32_t out = 0;
  for (uint32_t bit = uint32_t{1} << 31; bit != 0; bit >>= 1, b = times_x(b))
    if ((a & bit) != 0) out ^= b;
  return out;
}

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = times_x(c);
    table[i] = c;
  }
  return table;
}
constexpr auto kTable = make_table();

uint32_t portable(const uint8_t* p, size_t n, uint32_t crc) {
  for (size_t i = 0; i < n; ++i) crc = kTable[(crc ^ p[i]) & 0xFF] ^ (crc >> 8);
  return crc;
}

/// x^(8 size): what moves a CRC up by so many bytes.
constexpr uint32_t shift_of(uint64_t size) {
  uint32_t out = uint32_t{1} << 31, square = uint32_t{1} << 23;
  for (; size != 0; size >>= 1, square = product(square, square))
    if ((size & 1) != 0) out = product(out, square);
  return out;
}

#if defined(__x86_64__)
constexpr size_t kLane = 4096;  // bytes
constexpr uint32_t kOneLane = shift_of(kLane), kTwoLanes = shift_of(2 * kLane);

__attribute__((target("sse4.2"))) uint32_t with_sse42(const uint8_t* p, size_t n, uint32_t crc) {
  uint64_t c = crc;
  // The instruction takes three cycles, and can begin in each: three lanes at a time.
  for (; n >= 3 * kLane; p += 3 * kLane, n -= 3 * kLane) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      c = _mm_crc32_u64(c, load_le64(p + i));
      second = _mm_crc32_u64(second, load_le64(p + kLane + i));
      third = _mm_crc32_u64(third, load_le64(p + 2 * kLane + i));
    }
    c = product(static_cast<uint32_t>(c), kTwoLanes) ^ product(static_cast<uint32_t>(second), kOneLane) ^ third;
  }
  while (n >= 8) {
    c = _mm_crc32_u64(c, load_le64(p));
    p += 8;
    n -= 8;
  }
  while (n-- != 0) c = _mm_crc32_u8(static_cast<uint32_t>(c), *p++);
  return static_cast<uint32_t>(c);
}
#endif

}  // namespace

uint32_t crc32c(Bytes bytes, uint32_t crc) {
  crc = ~crc;
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2");
  if (has_sse42) return ~with_sse42(bytes.data(), bytes.size(), crc);
#endif
  return ~portable(bytes.data(), bytes.size(), crc);
}

uint32_t crc32c_of_both(uint32_t first, uint32_t second, uint64_t second_size) {
  return product(first, shift_of(second_size)) ^ second;
}

}  // namespace baleen
