#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace baleen::io {

/// Bytes of a known number that are read from where they lie: a file, or what is put together as it is read. Reading
/// the same place again gives the same bytes. Any thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  /// Fills `out` with what begins at `offset`, or its front, by at least one byte. kIo when that cannot be read, also
  /// because nothing is there (any more): `offset` is below size() and `out` is not empty.
  virtual Result<size_t> read(uint64_t offset, std::span<uint8_t> out) const = 0;
};

/// A file, as long as it was when it was opened.
Result<std::unique_ptr<ByteSource>> open_source(const std::string& path);

/// All of `out`, which lies within the source.
Result<> read_all(const ByteSource& source, uint64_t offset, std::span<uint8_t> out);

}  // namespace baleen::io
