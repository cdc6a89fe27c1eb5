#pragma once

#include <cstddef>

#include "base/bytes.h"

// The static Huffman code of HPACK (RFC 7541 5.2, appendix B).

namespace baleen::dissect::http2 {

/// The most characters that so many bytes can hold: the shortest code has five bits.
constexpr size_t most_decoded(size_t bytes) { return bytes * 8 / 5; }

/// Decodes all of it to `out`, which has room for most_decoded(). How many characters came out, or SIZE_MAX when the
/// bytes are not in this code: they hold EOS, or end in anything but less than eight bits of it.
size_t decode_huffman(Bytes bytes, char* out);

}  // namespace baleen::dissect::http2
