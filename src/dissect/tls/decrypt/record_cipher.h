#pragma once

#include <openssl/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "dissect/tls/decrypt/key_log.h"
#include "dissect/tls/decrypt/suite.h"

namespace baleen::dissect::tls {

/// What a record held.
struct Opened {
  uint8_t type = 0;  // of its content: in TLS 1.3 that which was hidden inside
  Bytes plaintext;   // in the room that open() was given
};

/// What the keys of TLS 1.2 are made of.
struct KeyBlockSeed {
  Bytes master, client_random, server_random;
};

/// The keys of one direction in one epoch. Opens records under any number, so that a place in the stream can be found
/// by trying. One thread.
class RecordCipher {
 public:
  static constexpr size_t kHead = 5;
  static constexpr size_t kMostPlaintext = 16384 + 2048;

  /// TLS 1.3 (RFC 8446 5.2). Null when the secret does not fit the suite.
  static std::unique_ptr<RecordCipher> tls13(const Suite& suite, const Secret& traffic);
  /// TLS 1.2 (RFC 5246 6.3). Null for a suite that is not known.
  static std::unique_ptr<RecordCipher> tls12(const Suite& suite, const KeyBlockSeed& seed, bool of_client,
                                             bool encrypt_then_mac);
  ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  /// `record` is one whole record with its head. Nothing when it was not sealed with these keys under that number.
  /// REQUIRES: `room` for the record's bytes.
  std::optional<Opened> open(Bytes record, uint64_t number, std::span<uint8_t> room);

 private:
  explicit RecordCipher(const Suite& suite) : suite_(suite) {}
  bool prepare(Bytes key);
  std::optional<Opened> open_aead(Bytes record, uint64_t number, std::span<uint8_t> room);
  std::optional<Opened> open_cbc(Bytes record, uint64_t number, std::span<uint8_t> room);
  bool decrypt_cbc(Bytes iv, Bytes ciphertext, uint8_t* out);
  bool is_mac(Bytes head, uint64_t number, Bytes content, Bytes mac) const;

  Suite suite_;
  bool is_13_ = false, encrypt_then_mac_ = false;
  std::array<uint8_t, 12> iv_{};
  std::array<uint8_t, 48> mac_key_{};
  uint8_t mac_size_ = 0;
  EVP_CIPHER_CTX* context_ = nullptr;
};

}  // namespace baleen::dissect::tls
