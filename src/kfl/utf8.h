#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace baleen::kfl {

/// Reads the character at `at` and moves behind it; U+FFFD and one byte for what is not UTF-8.
inline uint32_t next_utf8(std::string_view s, size_t& at) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : uint8_t{0}; };
  const uint8_t c = byte(at);
  const size_t length = c < 0x80                 ? 1
                        : c >= 0xC2 && c <= 0xDF ? 2
                        : (c & 0xF0) == 0xE0     ? 3
                        : c >= 0xF0 && c <= 0xF4 ? 4
                                                 : 0;
  if (length == 1) return ++at, c;
  if (length == 0) return ++at, 0xFFFD;
  uint32_t value = c & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return ++at, 0xFFFD;
    value = value << 6 | (byte(at + i) & 0x3F);
  }
  static constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return ++at, 0xFFFD;
  at += length;
  return value;
}

inline void append_utf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

inline bool is_utf8(std::string_view s) {
  for (size_t at = 0; at < s.size();) {
    const size_t from = at;
    if (next_utf8(s, at) == 0xFFFD && at - from == 1) return false;
  }
  return true;
}

inline size_t characters(std::string_view s) {
  size_t n = 0;
  for (size_t at = 0; at < s.size(); ++n) {
    if (static_cast<uint8_t>(s[at]) < 0x80)
      ++at;
    else
      next_utf8(s, at);
  }
  return n;
}

}  // namespace baleen::kfl
