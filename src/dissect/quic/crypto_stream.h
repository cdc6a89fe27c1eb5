#pragma once

#include <array>
#include <cstdint>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::dissect::quic {

/// The handshake messages of one direction's Initial packets, put together from pieces that come in any order and more
/// than once (RFC 9000 7.5, 19.6). First bytes win where pieces overlap. Its bytes are the arena's.
class CryptoStream {
 public:
  static constexpr size_t kMost = 64 << 10;   // bytes that are kept
  static constexpr size_t kAhead = 16 << 10;  // how far a piece may lie behind what is there from the beginning
  static constexpr size_t kMostHoles = 32;

  /// Whether there was room for it.
  bool insert(uint64_t offset, Bytes piece, Arena& arena);
  /// The message at the front with its four bytes of head, when all of it is there.
  Bytes front() const;
  /// What is there of it, whole or not.
  Bytes contiguous() const;
  void consume(size_t n) { read_ += static_cast<uint32_t>(n); }
  bool is_empty() const { return count_ == 0; }

 private:
  struct Range {
    uint32_t begin, end;
  };
  void grow(size_t to, Arena& arena);

  uint8_t* bytes_ = nullptr;
  uint32_t room_ = 0, read_ = 0;
  size_t count_ = 0;
  std::array<Range, kMostHoles> ranges_{};  // what is there, sorted, with holes between
};

}  // namespace baleen::dissect::quic
