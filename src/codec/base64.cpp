#include "codec/base64.h"

#include <array>

namespace baleen::codec {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xFF;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNone);
  for (uint8_t i = 0; i < 64; ++i) values[static_cast<uint8_t>(kAlphabet[i])] = i;
  values['-'] = 62;
  values['_'] = 63;
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

}  // namespace

std::string_view to_base64(Bytes bytes, Arena& arena) {
  const size_t size = (bytes.size() + 2) / 3 * 4;
  if (size == 0) return {};
  char* const out = static_cast<char*>(arena.allocate(size, 1));
  char* at = out;
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t v = uint32_t{bytes[i]} << 16 | uint32_t{bytes[i + 1]} << 8 | bytes[i + 2];
    *at++ = kAlphabet[v >> 18];
    *at++ = kAlphabet[v >> 12 & 63];
    *at++ = kAlphabet[v >> 6 & 63];
    *at++ = kAlphabet[v & 63];
  }
  if (const size_t rest = bytes.size() - i; rest > 0) {
    const uint32_t v = uint32_t{bytes[i]} << 16 | (rest == 2 ? uint32_t{bytes[i + 1]} << 8 : 0);
    *at++ = kAlphabet[v >> 18];
    *at++ = kAlphabet[v >> 12 & 63];
    *at++ = rest == 2 ? kAlphabet[v >> 6 & 63] : '=';
    *at++ = '=';
  }
  return {out, size};
}

std::optional<Bytes> from_base64(std::string_view text, Arena& arena) {
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  const size_t size = text.size() * 3 / 4;
  if (size == 0) return Bytes();
  auto* const out = static_cast<uint8_t*>(arena.allocate(size, 1));
  uint8_t* at = out;
  uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const uint8_t v = kValues[static_cast<uint8_t>(c)];
    if (v == kNone) return std::nullopt;
    held = held << 6 | v;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    *at++ = static_cast<uint8_t>(held >> bits);
  }
  return Bytes{out, size};
}

}  // namespace baleen::codec
