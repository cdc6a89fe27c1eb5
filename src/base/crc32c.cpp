#include "base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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

constexpr size_t kSteps = 256;
/// By how far pieces of less than 65,536 bytes move a CRC up: x^(8 n), and x^(8 * 256 n).
struct Shifts {
  std::array<uint32_t, kSteps> low{}, high{};
};

/// `n` powers less, modulo the polynomial.
constexpr uint32_t over_x(uint32_t c, int n) {
  for (; n > 0; --n) c = (c >> 31) != 0 ? (c ^ kPolynomial) << 1 | 1 : c << 1;
  return c;
}

/// `less` powers of x less than that, as the processor's multiplication wants it.
constexpr Shifts make_shifts(int less) {
  Shifts out;
  uint32_t low = over_x(uint32_t{1} << 31, less), high = low;
  const uint32_t low_step = shift_of(1), high_step = shift_of(kSteps);
  for (size_t n = 0; n < kSteps; ++n, low = product(low, low_step), high = product(high, high_step)) {
    out.low[n] = low;
    out.high[n] = high;
  }
  return out;
}

uint32_t moved(uint32_t crc, uint64_t size) {
  static constexpr Shifts kShifts = make_shifts(0);
  if (size >= kSteps * kSteps) return product(crc, shift_of(size));
  if (size >= kSteps) crc = product(crc, kShifts.high[size / kSteps]);
  return size % kSteps == 0 ? crc : product(crc, kShifts.low[size % kSteps]);
}

#if defined(__x86_64__)
/// The CRC instruction divides: it takes what is multiplied by x^32 and, as bits lie, by x.
__attribute__((target("sse4.2,pclmul"))) uint32_t quick_product(uint32_t a, uint32_t b_less) {
  const __m128i both =
      _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(a)), _mm_cvtsi32_si128(static_cast<int>(b_less)), 0);
  return static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(both))));
}

uint32_t quickly_moved(uint32_t crc, uint64_t size) {
  static constexpr Shifts kShifts = make_shifts(33);
  if (size >= kSteps * kSteps) return moved(crc, size);
  if (size >= kSteps) crc = quick_product(crc, kShifts.high[size / kSteps]);
  return size % kSteps == 0 ? crc : quick_product(crc, kShifts.low[size % kSteps]);
}

/// The instruction takes three cycles, and can begin in each: three lanes at a time, while there are whole ones.
template <size_t kLane>
__attribute__((target("sse4.2,pclmul"))) uint64_t by_lanes(const uint8_t*& p, size_t& n, uint64_t c) {
  static constexpr uint32_t kOneLane = over_x(shift_of(kLane), 33), kTwoLanes = over_x(shift_of(2 * kLane), 33);
  for (; n >= 3 * kLane; p += 3 * kLane, n -= 3 * kLane) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      c = _mm_crc32_u64(c, load_le64(p + i));
      second = _mm_crc32_u64(second, load_le64(p + kLane + i));
      third = _mm_crc32_u64(third, load_le64(p + 2 * kLane + i));
    }
    c = quick_product(static_cast<uint32_t>(c), kTwoLanes) ^ quick_product(static_cast<uint32_t>(second), kOneLane) ^
        third;
  }
  return c;
}

__attribute__((target("sse4.2,pclmul"))) uint32_t with_instructions(const uint8_t* p, size_t n, uint32_t crc) {
  uint64_t c = by_lanes<4096>(p, n, crc);
  c = by_lanes<512>(p, n, c);  // packets are shorter: one round for most that are full
  c = by_lanes<128>(p, n, c);
  for (; n >= 8; p += 8, n -= 8) c = _mm_crc32_u64(c, load_le64(p));
  if (n >= 4) {
    c = _mm_crc32_u32(static_cast<uint32_t>(c), load_le32(p));
    p += 4;
    n -= 4;
  }
  while (n-- != 0) c = _mm_crc32_u8(static_cast<uint32_t>(c), *p++);
  return static_cast<uint32_t>(c);
}

bool has_instructions() {
  static const bool has = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
  return has;
}
#endif

}  // namespace

uint32_t crc32c(Bytes bytes, uint32_t crc) {
  crc = ~crc;
#if defined(__x86_64__)
  if (has_instructions()) return ~with_instructions(bytes.data(), bytes.size(), crc);
#endif
  return ~portable(bytes.data(), bytes.size(), crc);
}

uint32_t crc32c_of_both(uint32_t first, uint32_t second, uint64_t second_size) {
#if defined(__x86_64__)
  if (has_instructions()) return quickly_moved(first, second_size) ^ second;
#endif
  return moved(first, second_size) ^ second;
}

}  // namespace baleen
