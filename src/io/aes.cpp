#include "io/aes.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace baleen::io {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* p) const { EVP_CIPHER_CTX_free(p); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const uint8_t* data_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

constexpr size_t kWrapped = 40;

}  // namespace

void fill_random(std::span<uint8_t> out) { BALEEN_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1); }

void gcm_seal(const Key256& key, const Nonce96& nonce, std::string_view associated, std::string_view text,
              std::string& out) {
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  const size_t start = out.size();
  out.resize(start + text.size() + kGcmTag);
  auto* const to = reinterpret_cast<uint8_t*>(out.data() + start);
  BALEEN_CHECK(cipher && EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1);
  BALEEN_CHECK(EVP_EncryptUpdate(cipher.get(), nullptr, &n, data_of(associated), static_cast<int>(associated.size())) ==
               1);
  if (!text.empty())
    BALEEN_CHECK(EVP_EncryptUpdate(cipher.get(), to, &n, data_of(text), static_cast<int>(text.size())) == 1);
  BALEEN_CHECK(EVP_EncryptFinal_ex(cipher.get(), to + text.size(), &n) == 1);
  BALEEN_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kGcmTag, to + text.size()) == 1);
}

bool gcm_open(const Key256& key, const Nonce96& nonce, std::string_view associated, std::string_view sealed,
              std::string& out) {
  if (sealed.size() < kGcmTag) return false;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  const std::string_view text = sealed.substr(0, sealed.size() - kGcmTag);
  std::string tag(sealed.substr(text.size()));
  int n = 0;
  const size_t start = out.size();
  out.resize(start + text.size());
  auto* const to = reinterpret_cast<uint8_t*>(out.data() + start);
  BALEEN_CHECK(cipher && EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1);
  bool ok =
      EVP_DecryptUpdate(cipher.get(), nullptr, &n, data_of(associated), static_cast<int>(associated.size())) == 1 &&
      (text.empty() || EVP_DecryptUpdate(cipher.get(), to, &n, data_of(text), static_cast<int>(text.size())) == 1) &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kGcmTag, tag.data()) == 1;
  uint8_t nothing[16];
  ok = ok && EVP_DecryptFinal_ex(cipher.get(), nothing, &n) == 1;
  if (!ok) out.resize(start);
  return ok;
}

std::string wrap_key(const Key256& wrapping, const Key256& key) {
  const Cipher cipher(EVP_CIPHER_CTX_new());
  BALEEN_CHECK(cipher);
  EVP_CIPHER_CTX_set_flags(cipher.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  std::string out(kWrapped + 8, '\0');
  int n = 0;
  BALEEN_CHECK(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_wrap(), nullptr, wrapping.data(), nullptr) == 1 &&
               EVP_EncryptUpdate(cipher.get(), reinterpret_cast<uint8_t*>(out.data()), &n, key.data(),
                                 static_cast<int>(key.size())) == 1 &&
               n == static_cast<int>(kWrapped));
  out.resize(kWrapped);
  return out;
}

std::optional<Key256> unwrap_key(const Key256& wrapping, std::string_view wrapped) {
  if (wrapped.size() != kWrapped) return std::nullopt;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  BALEEN_CHECK(cipher);
  EVP_CIPHER_CTX_set_flags(cipher.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  std::array<uint8_t, kWrapped + 8> out{};
  int n = 0;
  if (EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_wrap(), nullptr, wrapping.data(), nullptr) != 1 ||
      EVP_DecryptUpdate(cipher.get(), out.data(), &n, data_of(wrapped), static_cast<int>(wrapped.size())) != 1 ||
      n != 32)
    return std::nullopt;
  Key256 key;
  std::copy_n(out.begin(), key.size(), key.begin());
  return key;
}

}  // namespace baleen::io
