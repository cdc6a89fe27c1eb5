#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baleen::store {

/// How object stores write a CRC-32C: base64 of four bytes, big-endian.
std::string encode_crc32c(uint32_t crc);
std::optional<uint32_t> decode_crc32c(std::string_view text);
/// A decimal number that is all of the text.
std::optional<uint64_t> parse_number(std::string_view text);

}  // namespace baleen::store
