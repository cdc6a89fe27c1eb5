#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace baleen::codec {

/// A varint at the front, which is taken off; false when there is none.
bool read_varint(Bytes& bytes, uint64_t& out);

/// One record of a message in protobuf's wire format (https://protobuf.dev/programming-guides/encoding/).
struct WireField {
  enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kGroup = 3, kEndGroup = 4, kFixed32 = 5 };
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;  // of varints and fixed numbers
  Bytes bytes;         // of kBytes
};

/// Reads the records of a message one after the other. Groups come as their begin and their end; pairing them is the
/// caller's. Borrows the bytes.
class WireReader {
 public:
  explicit WireReader(Bytes bytes) : rest_(bytes) {}
  /// The next record; false at the end, and where there is none: then ok() is false.
  bool next(WireField& out);
  bool ok() const { return ok_; }
  /// What has not been read yet.
  Bytes rest() const { return rest_; }

 private:
  bool bad() { return ok_ = false; }

  Bytes rest_;
  bool ok_ = true;
};

}  // namespace baleen::codec
