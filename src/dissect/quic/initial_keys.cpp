#include "dissect/quic/initial_keys.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "dissect/tls/decrypt/key_schedule.h"

namespace baleen::dissect::quic {
namespace {

constexpr size_t kTag = 16, kSample = 16, kMostDatagram = 64 << 10;

/// What this thread opens packets with: keys change with each packet, ciphers do not.
struct Opener {
  EVP_CIPHER_CTX* const block = EVP_CIPHER_CTX_new();
  EVP_CIPHER_CTX* const gcm = EVP_CIPHER_CTX_new();
  std::array<uint8_t, kMostDatagram> plain;

  Opener() {
    BALEEN_CHECK(block != nullptr && gcm != nullptr);
    BALEEN_CHECK(EVP_EncryptInit_ex(block, EVP_aes_128_ecb(), nullptr, nullptr, nullptr) == 1);
    BALEEN_CHECK(EVP_DecryptInit_ex(gcm, EVP_aes_128_gcm(), nullptr, nullptr, nullptr) == 1);
  }
  ~Opener() {
    EVP_CIPHER_CTX_free(block);
    EVP_CIPHER_CTX_free(gcm);
  }
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;

  static Opener& mine() {
    static thread_local std::unique_ptr<Opener> opener;
    if (!opener) opener = std::make_unique<Opener>();
    return *opener;
  }
};

InitialKey expand(const Version& version, Bytes initial, std::string_view side) {
  std::array<uint8_t, 32> secret;
  const EVP_MD* const hash = EVP_sha256();
  tls::expand_label(hash, initial, side, secret);
  InitialKey out;
  tls::expand_label(hash, secret, version.second_labels ? "quicv2 key" : "quic key", out.key);
  tls::expand_label(hash, secret, version.second_labels ? "quicv2 iv" : "quic iv", out.iv);
  tls::expand_label(hash, secret, version.second_labels ? "quicv2 hp" : "quic hp", out.header);
  return out;
}

/// The number that ends in these low bits and lies nearest to the next one (RFC 9000 A.3).
uint64_t whole_number(uint64_t low, size_t bytes, uint64_t next) {
  const uint64_t window = uint64_t{1} << (8 * bytes), half = window / 2;
  const uint64_t candidate = (next & ~(window - 1)) | low;
  if (candidate + half <= next && candidate < (uint64_t{1} << 62) - window) return candidate + window;
  if (candidate > next + half && candidate >= window) return candidate - window;
  return candidate;
}

}  // namespace

InitialKeys derive_initial_keys(const Version& version, Bytes destination) {
  const tls::Secret initial = tls::extract(EVP_sha256(), version.salt, destination);
  return {expand(version, initial.view(), "client in"), expand(version, initial.view(), "server in")};
}

std::optional<Opened> open_initial(const Packet& packet, const InitialKey& key, uint64_t next) {
  const Bytes b = packet.bytes;
  const size_t at = packet.number_at;
  if (b.size() > kMostDatagram || b.size() < at + 4 + kSample) return {};
  Opener& o = Opener::mine();
  int n = 0;
  // Header protection (RFC 9001 5.4): a mask made of the bytes after a number of four.
  uint8_t mask[kSample];
  if (EVP_EncryptInit_ex(o.block, nullptr, nullptr, key.header.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(o.block, 0) != 1 || EVP_EncryptUpdate(o.block, mask, &n, &b[at + 4], kSample) != 1)
    return {};
  const uint8_t first = b[0] ^ (mask[0] & 0x0F);
  const size_t size = (first & 3u) + 1;
  uint8_t low[4];
  uint64_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    low[i] = b[at + i] ^ mask[1 + i];
    number = number << 8 | low[i];
  }
  number = whole_number(number, size, next);
  if (b.size() < at + size + kTag) return {};
  std::array<uint8_t, 12> nonce = key.iv;
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<uint8_t>(number >> (8 * i));
  const Bytes head = b.first(at).subspan(1), tag = b.last(kTag);
  const Bytes sealed = b.subspan(at + size, b.size() - at - size - kTag);
  if (EVP_DecryptInit_ex(o.gcm, nullptr, nullptr, key.key.data(), nonce.data()) != 1 ||
      EVP_CIPHER_CTX_ctrl(o.gcm, EVP_CTRL_AEAD_SET_TAG, kTag, const_cast<uint8_t*>(tag.data())) != 1 ||
      EVP_DecryptUpdate(o.gcm, nullptr, &n, &first, 1) != 1 ||
      EVP_DecryptUpdate(o.gcm, nullptr, &n, head.data(), static_cast<int>(head.size())) != 1 ||
      EVP_DecryptUpdate(o.gcm, nullptr, &n, low, static_cast<int>(size)) != 1 ||
      (!sealed.empty() &&
       EVP_DecryptUpdate(o.gcm, o.plain.data(), &n, sealed.data(), static_cast<int>(sealed.size())) != 1) ||
      EVP_DecryptFinal_ex(o.gcm, o.plain.data() + sealed.size(), &n) != 1)
    return {};
  return Opened{number, Bytes(o.plain).first(sealed.size())};
}

}  // namespace baleen::dissect::quic
