#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

// What the stores sign and check with: OpenSSL's EVP behind a few functions.

namespace baleen::io {

class ByteSource;

using Sha256 = std::array<uint8_t, 32>;
using Md5 = std::array<uint8_t, 16>;

/// FIPS 180-4.
Sha256 sha256(Bytes bytes);
/// RFC 2104 with SHA-256.
Sha256 hmac_sha256(Bytes key, Bytes message);
/// RFC 1321. Good against damage only, never against somebody.
Md5 md5(Bytes bytes);
/// Digests of a part of an upload; what was not asked for is zeros.
struct PartDigests {  // zeros where nobody asked
  Sha256 sha256{};
  Md5 md5{};
  uint32_t crc32c = 0;
};
struct Digests {
  bool sha256 = false, md5 = false, crc32c = false;
  bool has(const Digests& all) const { return sha256 >= all.sha256 && md5 >= all.md5 && crc32c >= all.crc32c; }
};
/// Those of a part of a source, read once.
Result<PartDigests> digest_part(const ByteSource& source, uint64_t offset, uint64_t length, Digests wanted);
/// Lower case.
std::string to_hex(Bytes bytes);
/// RFC 4648 4, with padding.
std::string base64(Bytes bytes);
/// RFC 4648 5, without padding, as JWS wants it (RFC 7515 2).
std::string base64url(Bytes bytes);
/// Either alphabet, padding optional; kInvalid for anything else.
Result<std::string> base64_decode(std::string_view text);
/// `n` bytes that nobody can guess, in hex; for names of temporary files and multipart boundaries.
std::string random_hex(size_t n);

/// A JSON Web Token signed with RS256 (RFC 7515, RFC 7518 3.3). `private_key` is PEM, PKCS #8 or #1; `claims` is the
/// JSON text of the payload; `key_id` may be empty. kInvalid for a key that is none, and no error holds any of the key.
Result<std::string> sign_jwt(std::string_view claims, std::string_view private_key, std::string_view key_id);

}  // namespace baleen::io
