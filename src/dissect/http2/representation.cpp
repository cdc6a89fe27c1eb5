#include "dissect/http2/representation.h"

namespace baleen::dissect::http2 {
namespace {

/// RFC 7541 5.1. At most four bytes follow the prefix: nobody needs more.
bool read_integer(Bytes block, size_t& at, unsigned prefix_bits, uint32_t& out) {
  if (at >= block.size()) return false;
  const uint32_t most = (1u << prefix_bits) - 1;
  out = block[at++] & most;
  if (out < most) return true;
  for (unsigned shift = 0; shift <= 21; shift += 7) {
    if (at >= block.size()) return false;
    const uint8_t b = block[at++];
    out += static_cast<uint32_t>(b & 0x7F) << shift;
    if (b < 0x80) return true;
  }
  return false;
}

/// RFC 7541 5.2.
bool skip_string(Bytes block, size_t& at) {
  uint32_t length = 0;
  if (!read_integer(block, at, 7, length) || length > block.size() - at) return false;
  at += length;
  return true;
}

}  // namespace

bool next_representation(Bytes block, Representation& out) {
  if (block.empty()) return false;
  const uint8_t b = block[0];
  size_t at = 0;
  using enum Representation::Kind;
  out.kind = b >= 0x80 ? kIndexed : b >= 0x40 ? kIndexing : b >= 0x20 ? kSizeUpdate : kLiteral;
  const unsigned prefix = out.kind == kIndexed ? 7 : out.kind == kIndexing ? 6 : out.kind == kSizeUpdate ? 5 : 4;
  if (!read_integer(block, at, prefix, out.index)) return false;
  if (out.kind == kIndexed && out.index == 0) return false;
  if (out.kind == kIndexing || out.kind == kLiteral) {
    if (out.index == 0 && !skip_string(block, at)) return false;
    out.value_at = at;
    if (!skip_string(block, at)) return false;
  }
  out.bytes = at;
  return true;
}

}  // namespace baleen::dissect::http2
