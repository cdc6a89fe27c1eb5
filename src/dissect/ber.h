#pragma once

#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::dissect {

/// One element of ASN.1's Basic Encoding Rules (X.690 8.1), with a definite length and a tag in one octet: what LDAP
/// and X.509 use.
struct Ber {
  uint8_t tag = 0;
  Bytes content;
  bool is_constructed() const { return (tag & 0x20) != 0; }
  std::string_view text() const { return as_text(content); }
};

/// What the head of an element says. `size` is that of head and content; zero when more bytes are needed to tell.
struct BerHead {
  bool ok = true;
  uint8_t tag = 0;
  size_t head = 0;
  uint64_t size = 0;
};

inline BerHead ber_head(Bytes b) {
  if (b.size() < 2) return {};
  const uint8_t first = b[1];
  if (first < 0x80) return {true, b[0], 2, uint64_t{2} + first};
  const size_t n = first & 0x7F;
  if (n == 0 || n > 4) return {false};  // indefinite, or longer than anything
  if (b.size() < 2 + n) return {};
  uint64_t size = 0;
  for (size_t i = 0; i < n; ++i) size = size << 8 | b[2 + i];
  return {true, b[0], 2 + n, 2 + n + size};
}

/// The element at the front of what is left, taken off it; fails the reader when it is not whole.
inline Ber ber(ByteReader& r) {
  const uint8_t tag = r.u8();
  uint64_t size = r.u8();
  if (size >= 0x80) {
    const size_t n = size & 0x7F;
    if (n == 0 || n > 4) return r.fail(), Ber{};
    size = 0;
    for (size_t i = 0; i < n; ++i) size = size << 8 | r.u8();
  }
  return {tag, r.bytes(static_cast<size_t>(size))};
}

/// A signed integer of at most eight octets; the low ones of a longer.
inline int64_t ber_integer(Bytes content) {
  int64_t v = !content.empty() && (content[0] & 0x80) != 0 ? -1 : 0;
  for (const uint8_t b : content) v = static_cast<int64_t>(static_cast<uint64_t>(v) << 8 | b);
  return v;
}

}  // namespace baleen::dissect
