#pragma once

#include <openssl/types.h>

#include <cstdint>

namespace baleen::dissect::tls {

/// How records of a cipher suite are sealed, and which hash derives keys.
struct Suite {
  enum class Kind : uint8_t { kUnknown, kGcm, kCcm, kChaCha, kCbc };
  Kind kind = Kind::kUnknown;
  uint8_t key_size = 0;
  uint8_t tag_size = 0;                // of AEAD suites
  uint8_t block_size = 16;             // of CBC suites
  const EVP_CIPHER* cipher = nullptr;  // lives as long as the program
  const EVP_MD* mac = nullptr;         // of CBC suites
  const EVP_MD* hash = nullptr;        // of HKDF (1.3) or of the pseudo-random function (1.2)

  bool is_known() const { return kind != Kind::kUnknown; }
};

/// The suite of this number; kUnknown when its records cannot be opened here (RC4, no encryption at all).
Suite suite_of(uint16_t number);

}  // namespace baleen::dissect::tls
