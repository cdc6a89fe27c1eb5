#include "dissect/text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace baleen::dissect {
namespace {

/// The first byte from `p` on that is not ASCII, or is NUL and `kNoNul`; or one a little before it.
template <bool kNoNul>
const uint8_t* skip_ascii(const uint8_t* p, const uint8_t* end) {
#ifdef __SSE2__
  const auto at = [&p](ptrdiff_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)); };
  // The top bits tell what is not ASCII; the lowest byte of all tells whether there is a NUL.
  const auto odd = [](__m128i all, __m128i least) {
    return _mm_movemask_epi8(kNoNul ? _mm_or_si128(all, _mm_cmpeq_epi8(least, _mm_setzero_si128())) : all) != 0;
  };
  for (; end - p >= 64; p += 64) {
    const __m128i a = at(0), b = at(16), c = at(32), d = at(48);
    if (odd(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)), _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d))))
      break;
  }
  for (; end - p >= 16 && !odd(at(0), at(0)); p += 16) {
  }
#endif
  constexpr uint64_t kOnes = kNoNul ? 0x0101010101010101u : 0, kTops = 0x8080808080808080u;
  while (end - p >= 8 && ((load_le64(p) | (load_le64(p) - kOnes)) & kTops) == 0) p += 8;
  while (p < end && *p < 0x80 && (!kNoNul || *p != 0)) ++p;
  return p;
}

template <bool kNoNul>
bool is_good(std::string_view text, bool cut) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = p + text.size();
  while ((p = skip_ascii<kNoNul>(p, end)) < end) {
    const int more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : 1;
    if (*p < 0xC2 || *p > 0xF4) return false;
    // RFC 3629 4: no overlong forms, no surrogates, nothing beyond U+10FFFF.
    const uint8_t least = *p == 0xE0 ? 0xA0 : *p == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = *p == 0xED ? 0x9F : *p == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i <= more; ++i) {
      if (p + i == end) return cut;
      if (p[i] < (i == 1 ? least : 0x80) || p[i] > (i == 1 ? most : 0xBF)) return false;
    }
    p += more + 1;
  }
  return true;
}

}  // namespace

bool is_utf8(std::string_view text, bool cut) { return is_good<false>(text, cut); }
bool is_text_slow(std::string_view text, bool cut) { return is_good<true>(text, cut); }

}  // namespace baleen::dissect
