#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace baleen::io {

/// A key of 256 bits; a secret.
using Key256 = std::array<uint8_t, 32>;
using Nonce96 = std::array<uint8_t, 12>;
inline constexpr size_t kGcmTag = 16;

/// Bytes that nobody can guess.
void fill_random(std::span<uint8_t> out);

/// AES-256-GCM (NIST SP 800-38D): appends the encrypted text and its tag of 16 bytes. A key sees each nonce once.
void gcm_seal(const Key256& key, const Nonce96& nonce, std::string_view associated, std::string_view text,
              std::string& out);
/// Appends the text; false, and nothing appended, when not exactly this was sealed with this key.
bool gcm_open(const Key256& key, const Nonce96& nonce, std::string_view associated, std::string_view sealed,
              std::string& out);

/// AES key wrap (RFC 3394) of a key: 40 bytes.
std::string wrap_key(const Key256& wrapping, const Key256& key);
/// Nothing when it was not wrapped with this key.
std::optional<Key256> unwrap_key(const Key256& wrapping, std::string_view wrapped);

}  // namespace baleen::io
