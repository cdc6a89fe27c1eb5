#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::mongodb {

/// Reads BSON documents (https://bsonspec.org/spec.html) into values that borrow the bytes. Depth, elements and work
/// are bounded; what is cut off or nonsense ends the document it stands in and sets truncated() or malformed().
class BsonReader {
 public:
  static constexpr uint32_t kMaxElements = 4096;
  static constexpr uint32_t kMaxDepth = 32;

  /// `bytes` outlive the values; lists and maps are made in `arena`.
  BsonReader(Bytes bytes, Arena& arena) : bytes_(bytes), arena_(arena) {}

  size_t position() const { return at_; }
  bool at_end() const { return at_ >= bytes_.size(); }
  bool truncated() const { return truncated_; }  // a document claims more bytes than there are
  bool limited() const { return limited_; }      // more elements than are kept
  bool malformed() const { return malformed_; }
  /// The document at the position, which moves behind it (or to the end when it is cut off).
  item::Value document() { return container(false, 0); }

 private:
  item::Value container(bool list, uint32_t depth);
  bool element(uint8_t type, size_t end, uint32_t depth, item::Value& value);
  std::string_view c_text(size_t end, bool& good);

  Bytes bytes_;
  Arena& arena_;
  size_t at_ = 0;
  uint32_t elements_ = 0;
  bool truncated_ = false;
  bool limited_ = false;
  bool malformed_ = false;
};

}  // namespace baleen::dissect::mongodb
