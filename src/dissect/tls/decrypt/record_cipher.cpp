// Records are opened by whole: nothing of one is given out before its tag or its MAC has been verified, which also says
// whether keys and number are the right ones.

#include "dissect/tls/decrypt/record_cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "dissect/tls/decrypt/key_schedule.h"

namespace baleen::dissect::tls {
namespace {

constexpr size_t kNonce = 12, kSalt = 4, kExplicitNonce = 8, kBlock = 16;

void put_be64(uint64_t n, uint8_t* out) {
  for (int i = 7; i >= 0; --i, n >>= 8) out[i] = static_cast<uint8_t>(n);
}

/// Sequence number, type, version and length, as the MAC and the tag cover them (RFC 5246 6.2.3).
std::array<uint8_t, 13> pseudo_header(Bytes head, uint64_t number, size_t length) {
  std::array<uint8_t, 13> out;
  put_be64(number, out.data());
  std::copy_n(head.begin(), 3, out.begin() + 8);
  out[11] = static_cast<uint8_t>(length >> 8);
  out[12] = static_cast<uint8_t>(length);
  return out;
}

}  // namespace

RecordCipher::~RecordCipher() {
  EVP_CIPHER_CTX_free(context_);
  OPENSSL_cleanse(mac_key_.data(), mac_key_.size());
}

bool RecordCipher::prepare(Bytes key) {
  context_ = EVP_CIPHER_CTX_new();
  if (context_ == nullptr) return false;
  if (suite_.kind == Suite::Kind::kCbc)
    return EVP_DecryptInit_ex(context_, suite_.cipher, nullptr, key.data(), nullptr) == 1 &&
           EVP_CIPHER_CTX_set_padding(context_, 0) == 1;
  if (EVP_DecryptInit_ex(context_, suite_.cipher, nullptr, nullptr, nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_IVLEN, kNonce, nullptr) != 1)
    return false;
  // CCM wants to know the size of its tag before its key.
  if (suite_.kind == Suite::Kind::kCcm &&
      EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, suite_.tag_size, nullptr) != 1)
    return false;
  return EVP_DecryptInit_ex(context_, nullptr, nullptr, key.data(), nullptr) == 1;
}

std::unique_ptr<RecordCipher> RecordCipher::tls13(const Suite& suite, const Secret& traffic) {
  if (!suite.is_known() || suite.kind == Suite::Kind::kCbc || traffic.size != EVP_MD_get_size(suite.hash))
    return nullptr;
  std::unique_ptr<RecordCipher> out(new RecordCipher(suite));
  out->is_13_ = true;
  std::array<uint8_t, 32> key;
  const std::span<uint8_t> used(key.data(), suite.key_size);
  expand_label(suite.hash, traffic.view(), "key", used);
  expand_label(suite.hash, traffic.view(), "iv", out->iv_);
  const bool ok = out->prepare(used);
  OPENSSL_cleanse(key.data(), key.size());
  return ok ? std::move(out) : nullptr;
}

std::unique_ptr<RecordCipher> RecordCipher::tls12(const Suite& suite, const KeyBlockSeed& seed, bool of_client,
                                                  bool encrypt_then_mac) {
  if (!suite.is_known()) return nullptr;
  std::unique_ptr<RecordCipher> out(new RecordCipher(suite));
  const bool cbc = suite.kind == Suite::Kind::kCbc;
  out->encrypt_then_mac_ = cbc && encrypt_then_mac;
  out->mac_size_ = cbc ? static_cast<uint8_t>(EVP_MD_get_size(suite.mac)) : 0;
  const size_t mac = out->mac_size_, key = suite.key_size;
  const size_t iv = cbc ? 0 : suite.kind == Suite::Kind::kChaCha ? kNonce : kSalt;  // CBC: each record brings its own
  std::array<uint8_t, 2 * (48 + 32 + kNonce)> block;
  std::array<uint8_t, 64> randoms;
  std::copy_n(seed.server_random.begin(), 32, randoms.begin());
  std::copy_n(seed.client_random.begin(), 32, randoms.begin() + 32);
  prf(suite.hash, seed.master, "key expansion", randoms, std::span(block).first(2 * (mac + key + iv)));
  const uint8_t* at = block.data() + (of_client ? 0 : mac);
  std::copy_n(at, mac, out->mac_key_.begin());
  at = block.data() + 2 * mac + (of_client ? 0 : key);
  const bool ok = out->prepare({at, key});
  at = block.data() + 2 * (mac + key) + (of_client ? 0 : iv);
  std::copy_n(at, iv, out->iv_.begin());
  OPENSSL_cleanse(block.data(), block.size());
  return ok ? std::move(out) : nullptr;
}

std::optional<Opened> RecordCipher::open(Bytes record, uint64_t number, std::span<uint8_t> room) {
  return suite_.kind == Suite::Kind::kCbc ? open_cbc(record, number, room) : open_aead(record, number, room);
}

std::optional<Opened> RecordCipher::open_aead(Bytes record, uint64_t number, std::span<uint8_t> room) {
  const Bytes head = record.first(kHead);
  Bytes sealed = record.subspan(kHead);
  std::array<uint8_t, kNonce> nonce = iv_;
  if (is_13_ || suite_.kind == Suite::Kind::kChaCha) {
    uint8_t big_endian[8];
    put_be64(number, big_endian);
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] ^= big_endian[i];
  } else {
    if (sealed.size() < kExplicitNonce) return {};
    std::copy_n(sealed.begin(), kExplicitNonce, nonce.begin() + kSalt);
    sealed = sealed.subspan(kExplicitNonce);
  }
  if (sealed.size() < suite_.tag_size) return {};
  const Bytes text = sealed.first(sealed.size() - suite_.tag_size), tag = sealed.last(suite_.tag_size);
  const std::array<uint8_t, 13> covered_12 = pseudo_header(head, number, text.size());
  const Bytes covered = is_13_ ? head : Bytes(covered_12);
  const int size = static_cast<int>(text.size());
  int n = 0;
  const bool ccm = suite_.kind == Suite::Kind::kCcm;
  // CCM verifies before it decrypts, so it gets the tag and the whole size first.
  if (EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, suite_.tag_size, const_cast<uint8_t*>(tag.data())) != 1 ||
      EVP_DecryptInit_ex(context_, nullptr, nullptr, nullptr, nonce.data()) != 1 ||
      (ccm && EVP_DecryptUpdate(context_, nullptr, &n, nullptr, size) != 1) ||
      EVP_DecryptUpdate(context_, nullptr, &n, covered.data(), static_cast<int>(covered.size())) != 1)
    return {};
  // An empty text is still verified; CCM does so in this call, the others in the last one.
  if ((size != 0 || ccm) && EVP_DecryptUpdate(context_, room.data(), &n, text.data(), size) != 1) return {};
  if (!ccm && EVP_DecryptFinal_ex(context_, room.data() + size, &n) != 1) return {};
  Bytes plaintext = Bytes(room).first(text.size());
  if (!is_13_) return Opened{head[0], plaintext};
  // Zeros, and the true type before them (RFC 8446 5.4).
  while (!plaintext.empty() && plaintext.back() == 0) plaintext = plaintext.first(plaintext.size() - 1);
  if (plaintext.empty()) return {};
  return Opened{plaintext.back(), plaintext.first(plaintext.size() - 1)};
}

bool RecordCipher::decrypt_cbc(Bytes iv, Bytes ciphertext, uint8_t* out) {
  int n = 0;
  return EVP_DecryptInit_ex(context_, nullptr, nullptr, nullptr, iv.data()) == 1 &&
         EVP_DecryptUpdate(context_, out, &n, ciphertext.data(), static_cast<int>(ciphertext.size())) == 1 &&
         n == static_cast<int>(ciphertext.size());
}

/// Whether `mac` is that of the record with this content.
bool RecordCipher::is_mac(Bytes head, uint64_t number, Bytes content, Bytes mac) const {
  std::array<uint8_t, 13 + kBlock + kMostPlaintext> covered;
  const auto pseudo = pseudo_header(head, number, content.size());
  uint8_t* at = std::copy(pseudo.begin(), pseudo.end(), covered.data());
  at = std::copy(content.begin(), content.end(), at);
  std::array<uint8_t, EVP_MAX_MD_SIZE> computed;
  unsigned size = 0;
  return HMAC(suite_.mac, mac_key_.data(), mac_size_, covered.data(), static_cast<size_t>(at - covered.data()),
              computed.data(), &size) != nullptr &&
         size == mac.size() && CRYPTO_memcmp(computed.data(), mac.data(), size) == 0;
}

std::optional<Opened> RecordCipher::open_cbc(Bytes record, uint64_t number, std::span<uint8_t> room) {
  const Bytes head = record.first(kHead);
  Bytes sealed = record.subspan(kHead);
  const size_t block = suite_.block_size;
  if (encrypt_then_mac_) {  // RFC 7366
    if (sealed.size() < mac_size_ + 2 * block) return {};
    const Bytes mac = sealed.last(mac_size_);
    sealed = sealed.first(sealed.size() - mac_size_);
    if (!is_mac(head, number, sealed, mac)) return {};
  }
  if (sealed.size() < 2 * block || sealed.size() % block != 0) return {};
  const Bytes iv = sealed.first(block), text = sealed.subspan(block);
  if (!decrypt_cbc(iv, text, room.data())) return {};
  const Bytes padded = Bytes(room).first(text.size());
  const size_t padding = size_t{padded.back()} + 1, mac_size = encrypt_then_mac_ ? 0 : mac_size_;
  if (padding + mac_size > padded.size()) return {};
  for (const uint8_t b : padded.last(padding))
    if (b != padded.back()) return {};
  const Bytes content = padded.first(padded.size() - padding - mac_size);
  if (!encrypt_then_mac_ && !is_mac(head, number, content, padded.subspan(content.size(), mac_size))) return {};
  return Opened{head[0], content};
}

}  // namespace baleen::dissect::tls
