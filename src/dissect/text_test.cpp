#include "dissect/text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace baleen::dissect {
namespace {

std::string encoded(uint32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

/// What RFC 3629 allows, by its definition: the code points written in the shortest way.
class Definition {
 public:
  Definition() {
    for (uint32_t c = 0; c <= 0x10FFFF; ++c)
      if (c < 0xD800 || c > 0xDFFF) valid_.insert(encoded(c));
  }
  bool valid(std::string_view text) const {
    if (text.empty()) return true;
    for (size_t n = 1; n <= std::min<size_t>(4, text.size()); ++n)
      if (valid_.contains(std::string(text.substr(0, n)))) return valid(text.substr(n));
    return false;
  }

 private:
  std::set<std::string, std::less<>> valid_;
};

TEST(Text, a_nul_is_found_wherever_it_stands) {
  for (size_t size = 1; size <= 200; ++size)
    for (const char* const filling : {"a", "\x01", "\x7F", "\xC3\xA4"}) {
      std::string text;
      while (text.size() < size) text += filling;
      ASSERT_TRUE(is_text(text)) << size << filling;
      for (size_t at = 0; at < text.size(); ++at) {
        std::string with = text;
        with[at] = 0;
        ASSERT_FALSE(is_text(with)) << size << ' ' << at;
      }
    }
}

TEST(Text, utf8_is_what_its_definition_says) {
  const Definition definition;
  const uint8_t bytes[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                           0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};
  const size_t n = std::size(bytes);
  for (size_t i = 0; i < n * n * n * n; ++i) {
    std::string text;
    for (size_t rest = i, k = 0; k < 4; ++k, rest /= n) text += static_cast<char>(bytes[rest % n]);
    const bool expected = definition.valid(text);
    ASSERT_EQ(is_utf8(text), expected) << i;
    // In the midst of ASCII, at every distance from the ends of what is looked at at once.
    const std::string before(i % 131, 'a'), behind(i % 67, 'b');
    ASSERT_EQ(is_utf8(before + text + behind), expected) << i;
    ASSERT_EQ(is_text(before + text + behind), expected && text.find('\0') == std::string::npos) << i;
  }
}

TEST(Text, every_code_point_and_every_cut_of_it) {
  for (uint32_t c = 0x80; c <= 0x10FFFF; c += 7) {
    const std::string text = encoded(c);
    const bool good = c < 0xD800 || c > 0xDFFF;
    ASSERT_EQ(is_utf8(text), good) << c;
    for (size_t n = 1; n < text.size(); ++n) {
      ASSERT_FALSE(is_utf8(text.substr(0, n))) << c;
      ASSERT_EQ(is_utf8(text.substr(0, n), true), good || n == 1) << c;
    }
  }
}

}  // namespace
}  // namespace baleen::dissect
