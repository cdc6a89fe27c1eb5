#pragma once

// Initial packets in the making, for tests and the fuzz target.

#include <openssl/evp.h>

#include <string>

#include "base/check.h"
#include "dissect/dissector.h"
#include "dissect/quic/initial_keys.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::quic {

/// A number in the fewest bytes (RFC 9000 16), of those that are written here.
inline std::string varint(uint64_t n) {
  return n < 64          ? be(n, 1)
         : n < 16384     ? be(n | 0x4000, 2)
         : n < (1 << 30) ? be(n | 0x80000000, 4)
                         : be(n | 3ull << 62, 8);
}

struct Sealed {
  Direction direction = Direction::kToServer;
  std::string keyed;  // identifier that the keys come from
  std::string destination, source;
  uint64_t number = 0;
  std::string frames;
  std::string token{};
  uint32_t version = 1;
  uint8_t number_size = 2;
  bool fixed_bit = true;
};

/// The packet; `frames` are padded to what header protection needs (RFC 9001 5.4.2). REQUIRES: a known version.
inline std::string seal(const Sealed& s) {
  const Version& version = *find_version(s.version);
  const InitialKeys keys = derive_initial_keys(version, as_bytes(s.keyed));
  const InitialKey& key = s.direction == Direction::kToServer ? keys.client : keys.server;
  std::string frames = s.frames;
  if (frames.size() < 4) frames.resize(4);
  const int first = 0x80 | (s.fixed_bit ? 0x40 : 0) | (version.second_types ? 0x10 : 0) | (s.number_size - 1);
  std::string head = be(static_cast<uint64_t>(first), 1) + be(s.version, 4) + sized(1, s.destination) +
                     sized(1, s.source) + varint(s.token.size()) + s.token +
                     varint(s.number_size + frames.size() + 16) + be(s.number, s.number_size);
  std::array<uint8_t, 12> nonce = key.iv;
  for (size_t i = 0; i < 8; ++i) nonce[11 - i] ^= static_cast<uint8_t>(s.number >> (8 * i));
  std::string text(frames.size(), '\0'), tag(16, '\0'), mask(32, '\0');
  const auto in = [](const std::string& b) { return as_bytes(b).data(); };
  const auto out = [](std::string& b) { return reinterpret_cast<uint8_t*>(b.data()); };
  int n = 0;
  EVP_CIPHER_CTX* const c = EVP_CIPHER_CTX_new();
  BALEEN_CHECK(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), nullptr, key.key.data(), nonce.data()) == 1 &&
               EVP_EncryptUpdate(c, nullptr, &n, in(head), static_cast<int>(head.size())) == 1 &&
               EVP_EncryptUpdate(c, out(text), &n, in(frames), static_cast<int>(frames.size())) == 1 &&
               EVP_EncryptFinal_ex(c, out(text), &n) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag.data()) == 1);
  std::string packet = head + text + tag;
  const size_t at = head.size() - s.number_size;
  BALEEN_CHECK(EVP_EncryptInit_ex(c, EVP_aes_128_ecb(), nullptr, key.header.data(), nullptr) == 1 &&
               EVP_EncryptUpdate(c, out(mask), &n, in(packet) + at + 4, 16) == 1);
  EVP_CIPHER_CTX_free(c);
  packet[0] = static_cast<char>(packet[0] ^ (mask[0] & 15));
  for (size_t i = 0; i < s.number_size; ++i) packet[at + i] = static_cast<char>(packet[at + i] ^ mask[1 + i]);
  return packet;
}

inline std::string crypto(uint64_t offset, const std::string& bytes) {
  return varint(6) + varint(offset) + varint(bytes.size()) + bytes;
}

}  // namespace baleen::dissect::quic
