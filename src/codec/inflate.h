#pragma once

#include <cstddef>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::codec {

/// A content coding or transfer coding (RFC 9110 8.4.1, RFC 8878, RFC 7932).
enum class Coding : unsigned char { kIdentity, kGzip, kDeflate, kBrotli, kZstd, kUnknown };

/// The coding of that name, without regard to case: "gzip", "x-gzip", "deflate", "br", "zstd", "identity", "".
Coding coding_of(std::string_view name);

/// How decoding ended. Only kFailed leaves nothing; the others give what was decoded.
enum class Ending : unsigned char {
  kWhole,      // the compressed data ended as its format says
  kCapped,     // `cap` bytes came out and there would be more
  kTruncated,  // the input stopped in the middle
  kFailed,     // not this format, or broken before the first byte of output
};

struct Decoded {
  Bytes bytes;  // in the arena
  Ending ending = Ending::kFailed;
};

/// Undoes one coding into `arena`; never more than `cap` bytes come out, whatever the input claims (bombs). Any thread;
/// decoders' state is kept per thread, so that the steady state of gzip, deflate and zstd calls no malloc. "deflate" is
/// the zlib format (RFC 1950), or raw (RFC 1951) as some servers send it.
Decoded decode(Coding coding, Bytes input, size_t cap, Arena& arena);

}  // namespace baleen::codec
