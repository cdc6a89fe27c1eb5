#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace baleen::capture {

/// Undoes a compression, a piece at a time. Files of several members or frames (as gzip and zstd allow) read as one.
class Decompressor {
 public:
  struct Step {
    size_t consumed = 0;
    size_t produced = 0;
  };

  virtual ~Decompressor() = default;
  /// Takes from `in` and fills `out` as far as it goes. Error: the data is corrupt.
  virtual Result<Step> decode(Bytes in, std::span<uint8_t> out) = 0;
  /// The input may end here: it is not inside a member or frame.
  virtual bool complete() const = 0;
};

std::unique_ptr<Decompressor> gzip_decompressor();
/// Windows of up to 128 MiB (zstd --long=27).
std::unique_ptr<Decompressor> zstd_decompressor();

/// The decompressor that the first bytes ask for (RFC 1952 2.3.1, RFC 8878 3.1.1), or nothing. REQUIRES: 4 bytes.
std::unique_ptr<Decompressor> decompressor_for(Bytes first);

}  // namespace baleen::capture
