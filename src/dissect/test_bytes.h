#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace baleen::dissect {

/// "01 02 0a" and text in quotes as bytes: hex("00 03 'abc'").
inline std::string unhex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == ' ' || text[i] == '\n') {
      ++i;
    } else if (text[i] == '\'') {
      const size_t end = text.find('\'', i + 1);
      out += text.substr(i + 1, end - i - 1);
      i = end + 1;
    } else {
      out += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
      i += 2;
    }
  }
  return out;
}

/// Big-endian numbers and lengths before bytes.
inline std::string be(uint64_t n, size_t bytes) {
  std::string out(bytes, '\0');
  for (size_t i = bytes; i-- > 0; n >>= 8) out[i] = static_cast<char>(n & 255);
  return out;
}
inline std::string sized(size_t width, const std::string& s) { return be(s.size(), width) + s; }

}  // namespace baleen::dissect
