#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "index/block.h"
#include "io/aes.h"

// Encryption at rest: docs/design/recording-format.md. A user's key wraps a key of each block; from that one each
// object of the block has its own. Objects are chunks of one size, each sealed with AES-256-GCM, so that a range of the
// text is a range of the object.

namespace baleen::index {

/// A key of the user's. A secret but for its name.
struct NamedKey {
  std::string id;  // what block records call it
  io::Key256 key{};
};

/// The keys that a reader has; the first is what a writer uses. Immutable once in use.
class KeyRing {
 public:
  /// A file with 32 bytes, or with their 64 hexadecimal digits or base64; "id:" may stand before a text, otherwise the
  /// key is named by its fingerprint. No error holds any of it.
  Result<> add_file(const std::string& path);
  /// The same for the content of an environment variable.
  Result<> add_text(std::string_view text, std::string_view source);
  bool empty() const { return keys_.empty(); }
  const NamedKey& writer() const { return keys_.front(); }
  /// The block's key; kDenied when there is no key at all, kInvalid when none of them is its.
  Result<io::Key256> unwrap(const BlockEncryption& encryption) const;

 private:
  std::vector<NamedKey> keys_;
};

/// A key for a block, and how its record names it.
struct BlockKey {
  io::Key256 key{};
  BlockEncryption encryption;
};
BlockKey new_block_key(const NamedKey& user);

/// One object of a block: what is needed to seal or to open its chunks.
class ObjectCipher {
 public:
  static constexpr size_t kChunk = 64 << 10;
  /// For reading. `object`: "packets" or "items".
  ObjectCipher(const io::Key256& block_key, std::string block, std::string object, const ObjectEncryption& encryption);
  /// For writing: with a salt, and so a key, of its own.
  static ObjectCipher fresh(const io::Key256& block_key, std::string block, std::string object);

  /// Appends the sealed chunk. All but the last have kChunk bytes of text.
  void seal(uint64_t chunk, bool last, std::string_view text, std::string& out) const;

  /// Where in the object text [offset, offset + length) lies: whole chunks.
  struct Place {
    uint64_t offset = 0, length = 0, first_chunk = 0;
  };
  Place place(uint64_t offset, uint64_t length) const;
  /// The text of [offset, offset + length) out of the bytes at place(). kIo: they are not what was written.
  Result<std::string> open(uint64_t offset, uint64_t length, std::string_view sealed) const;
  /// A whole object's.
  Result<std::string> open_all(std::string_view sealed) const { return open(0, text_size(), sealed); }

  uint64_t text_size() const { return encryption_.text_size; }
  const ObjectEncryption& encryption() const { return encryption_; }
  void set_text_size(uint64_t n) { encryption_.text_size = n; }

 private:
  io::Nonce96 nonce(uint64_t chunk) const;
  std::string associated(uint64_t chunk, bool last) const;
  io::Key256 key_{};
  std::string block_, object_;
  ObjectEncryption encryption_;
};

/// An object's cipher out of the block's record; nothing when the object is not encrypted.
Result<std::optional<ObjectCipher>> cipher_of(const BlockRecord& record, const ObjectRecord& object,
                                              const KeyRing* keys);

}  // namespace baleen::index
