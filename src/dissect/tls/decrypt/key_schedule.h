#pragma once

#include <openssl/types.h>

#include <span>
#include <string_view>

#include "base/bytes.h"
#include "dissect/tls/decrypt/key_log.h"

namespace baleen::dissect::tls {

/// HKDF-Expand-Label(secret, label, "", out.size()) (RFC 8446 7.1). REQUIRES: at most 255 hashes and 200 characters.
void expand_label(const EVP_MD* hash, Bytes secret, std::string_view label, std::span<uint8_t> out);

/// HKDF-Extract (RFC 5869 2.2).
Secret extract(const EVP_MD* hash, Bytes salt, Bytes key);

/// The traffic secret after a KeyUpdate (RFC 8446 7.2).
Secret next_traffic_secret(const EVP_MD* hash, const Secret& secret);

/// PRF of TLS 1.2 (RFC 5246 5): P_hash(secret, label + seed). REQUIRES: label and seed of at most 128 bytes together.
void prf(const EVP_MD* hash, Bytes secret, std::string_view label, Bytes seed, std::span<uint8_t> out);

}  // namespace baleen::dissect::tls
