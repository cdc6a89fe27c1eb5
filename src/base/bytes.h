#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace baleen {

/// Borrowed, read-only bytes. Whoever hands them out says how long they live.
using Bytes = std::span<const uint8_t>;

/// The same bytes seen as text; no encoding is implied.
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// The same text seen as bytes.
inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

/// Unaligned loads. REQUIRES: the bytes are there.
inline uint16_t load_be16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t load_be32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}
inline uint64_t load_be64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}
inline uint16_t load_le16(const uint8_t* p) { return static_cast<uint16_t>(p[1] << 8 | p[0]); }
inline uint32_t load_le32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint64_t load_le64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// Reads a header field by field and is asked once, at the end, whether all of it was there.
///
/// Sticky: the first read past the end makes ok() false for good, and every later read gives zero or
/// nothing. Never allocates, never throws. Borrows the bytes.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()), begin_(bytes.data()) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  size_t position() const { return static_cast<size_t>(at_ - begin_); }
  bool at_end() const { return at_ == end_; }

  uint8_t u8() { return need(1) ? *at_++ : 0; }
  uint16_t be16() { return fixed<uint16_t, load_be16>(); }
  uint32_t be32() { return fixed<uint32_t, load_be32>(); }
  uint64_t be64() { return fixed<uint64_t, load_be64>(); }
  uint16_t le16() { return fixed<uint16_t, load_le16>(); }
  uint32_t le32() { return fixed<uint32_t, load_le32>(); }
  uint64_t le64() { return fixed<uint64_t, load_le64>(); }
  uint32_t be24() {
    if (!need(3)) return 0;
    const uint32_t v = uint32_t{at_[0]} << 16 | uint32_t{at_[1]} << 8 | at_[2];
    at_ += 3;
    return v;
  }
  uint32_t le24() {
    if (!need(3)) return 0;
    const uint32_t v = uint32_t{at_[2]} << 16 | uint32_t{at_[1]} << 8 | at_[0];
    at_ += 3;
    return v;
  }

  /// The next `n` bytes, or nothing when they are not all there.
  Bytes bytes(size_t n) {
    if (!need(n)) return {};
    const Bytes out{at_, n};
    at_ += n;
    return out;
  }
  std::string_view text(size_t n) { return as_text(bytes(n)); }
  Bytes rest() { return bytes(remaining()); }
  void skip(size_t n) {
    if (need(n)) at_ += n;
  }
  /// The next byte without taking it; zero (and still ok) at the end.
  uint8_t peek() const { return at_ < end_ ? *at_ : 0; }
  /// Declares what was read to be nonsense.
  void fail() {
    ok_ = false;
    at_ = end_;
  }

 private:
  bool need(size_t n) {
    if (__builtin_expect(n <= remaining(), 1)) return true;
    fail();
    return false;
  }
  template <class T, T (*load)(const uint8_t*)>
  T fixed() {
    if (!need(sizeof(T))) return 0;
    const T v = load(at_);
    at_ += sizeof(T);
    return v;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  const uint8_t* begin_;
  bool ok_ = true;
};

}  // namespace baleen
