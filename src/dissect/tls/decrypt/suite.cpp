#include "dissect/tls/decrypt/suite.h"

#include <openssl/evp.h>

#include <string_view>

#include "dissect/tls/names.h"

// What a suite does stands in its name: "..._WITH_AES_128_GCM_SHA256", in TLS 1.3 "TLS_AES_128_GCM_SHA256".

namespace baleen::dissect::tls {
namespace {

bool has(std::string_view name, std::string_view part) { return name.find(part) != std::string_view::npos; }

/// The library has no Camellia-GCM.
const EVP_CIPHER* cipher_of(std::string_view name, bool large) {
  const bool camellia = has(name, "_CAMELLIA_"), aria = has(name, "_ARIA_");
  if (has(name, "_GCM_")) {
    if (camellia) return nullptr;
    if (aria) return large ? EVP_aria_256_gcm() : EVP_aria_128_gcm();
    return large ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
  }
  if (!has(name, "_CCM") && !has(name, "_CBC_")) return nullptr;
  if (has(name, "_CCM")) return large ? EVP_aes_256_ccm() : EVP_aes_128_ccm();
  if (camellia) return large ? EVP_camellia_256_cbc() : EVP_camellia_128_cbc();
  if (aria) return large ? EVP_aria_256_cbc() : EVP_aria_128_cbc();
  return large ? EVP_aes_256_cbc() : EVP_aes_128_cbc();
}

}  // namespace

Suite suite_of(uint16_t number) {
  const std::string_view name = cipher_name(number);
  Suite s;
  s.hash = name.ends_with("_SHA384") ? EVP_sha384() : EVP_sha256();
  if (has(name, "CHACHA20_POLY1305")) {
    s.kind = Suite::Kind::kChaCha;
    s.key_size = 32;
    s.tag_size = 16;
    s.cipher = EVP_chacha20_poly1305();
    return s;
  }
  if (has(name, "_3DES_EDE_CBC_")) {
    s.kind = Suite::Kind::kCbc;
    s.key_size = 24;
    s.block_size = 8;
    s.cipher = EVP_des_ede3_cbc();
    s.mac = name.ends_with("_SHA") ? EVP_sha1() : s.hash;
    return s;
  }
  const bool small = has(name, "_128_"), large = has(name, "_256_");
  if (!(has(name, "_AES_") || has(name, "_CAMELLIA_") || has(name, "_ARIA_")) || small == large) return s;
  s.cipher = cipher_of(name, large);
  if (s.cipher == nullptr) return s;
  s.key_size = large ? 32 : 16;
  s.tag_size = has(name, "_CCM_8") ? 8 : 16;
  s.kind = has(name, "_GCM_") ? Suite::Kind::kGcm : has(name, "_CCM") ? Suite::Kind::kCcm : Suite::Kind::kCbc;
  if (s.kind != Suite::Kind::kCbc) return s;
  s.tag_size = 0;
  s.mac = name.ends_with("_SHA") ? EVP_sha1() : s.hash;
  return s;
}

}  // namespace baleen::dissect::tls
