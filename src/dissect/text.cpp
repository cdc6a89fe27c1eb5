#include "dissect/text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace baleen::dissect {
namespace {

/// The first byte from `p` on that is not ASCII, or one a little before it.
const uint8_t* skip_ascii(const uint8_t* p, const uint8_t* end) {
#ifdef __SSE2__
  const auto at = [&p](ptrdiff_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i)); };
  while (end - p >= 64 &&
         _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(at(0), at(16)), _mm_or_si128(at(32), at(48)))) == 0)
    p += 64;
  while (end - p >= 16 && _mm_movemask_epi8(at(0)) == 0) p += 16;
#endif
  while (end - p >= 8 && (load_le64(p) & 0x8080808080808080u) == 0) p += 8;
  while (p < end && *p < 0x80) ++p;
  return p;
}

}  // namespace

bool is_utf8(std::string_view text, bool cut) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = p + text.size();
  while ((p = skip_ascii(p, end)) < end) {
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

}  // namespace baleen::dissect
