#include "store/checksum.h"

#include <charconv>

#include "base/bytes.h"
#include "io/crypto.h"

namespace baleen::store {

std::string encode_crc32c(uint32_t crc) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(crc >> 24), static_cast<uint8_t>(crc >> 16),
                            static_cast<uint8_t>(crc >> 8), static_cast<uint8_t>(crc)};
  return io::base64(bytes);
}

std::optional<uint32_t> decode_crc32c(std::string_view text) {
  const auto bytes = io::base64_decode(text);
  if (!bytes || bytes->size() != 4) return std::nullopt;
  return load_be32(as_bytes(*bytes).data());
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace baleen::store
