#pragma once

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace baleen::dissect::http {

namespace detail {
constexpr std::array<bool, 256> make_token_chars() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = table[c | 0x20] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> kTokenChars = make_token_chars();
constexpr char token_row(int low_half) {
  int bits = 0;
  for (int high_half = 0; high_half < 8; ++high_half)
    bits |= kTokenChars[static_cast<size_t>(high_half << 4 | low_half)] ? 1 << high_half : 0;
  return static_cast<char>(bits);
}
}  // namespace detail

/// RFC 9110 5.6.2, tchar.
inline bool is_token_char(char c) { return detail::kTokenChars[static_cast<uint8_t>(c)]; }

/// How many token characters stand at the front of `text`. `readable`: bytes from there on that may be read.
inline size_t token_size(std::string_view text, size_t readable) {
  size_t i = 0;
#ifdef __SSSE3__
  // Row by the low half of a character, bit by its high half: a bit that is set is a token character.
  const __m128i rows =
      _mm_setr_epi8(detail::token_row(0), detail::token_row(1), detail::token_row(2), detail::token_row(3),
                    detail::token_row(4), detail::token_row(5), detail::token_row(6), detail::token_row(7),
                    detail::token_row(8), detail::token_row(9), detail::token_row(10), detail::token_row(11),
                    detail::token_row(12), detail::token_row(13), detail::token_row(14), detail::token_row(15));
  const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m128i low_half = _mm_set1_epi8(15);
  for (; i < text.size() && i + 16 <= readable; i += 16) {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + i));
    const __m128i row = _mm_shuffle_epi8(rows, _mm_and_si128(c, low_half));
    const __m128i bit = _mm_shuffle_epi8(bits, _mm_and_si128(_mm_srli_epi16(c, 4), low_half));
    const __m128i none = _mm_cmpeq_epi8(_mm_and_si128(row, bit), _mm_setzero_si128());
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(none));
    if (mask != 0) return std::min(i + static_cast<size_t>(__builtin_ctz(mask)), text.size());
  }
  i = std::min(i, text.size());
#endif
  while (i < text.size() && is_token_char(text[i])) ++i;
  return i;
}

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Equal without regard to ASCII case.
inline bool alike(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  return true;
}

/// Without optional white space at both ends (RFC 9110 5.6.3).
inline std::string_view trim(std::string_view text) {
  const char *begin = text.data(), *end = begin + text.size();
  while (begin != end && is_blank(*begin)) ++begin;
  while (begin != end && is_blank(end[-1])) --end;
  return {begin, static_cast<size_t>(end - begin)};
}

/// Cuts the text up to `separator` off the front of `rest` (all of it when there is none) and returns it trimmed.
inline std::string_view next_part(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return trim(part);
}

}  // namespace baleen::dissect::http
