#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/bytes.h"
#include "dissect/build.h"
#include "dissect/http2/representation.h"
#include "item/value.h"

namespace baleen::dissect::http2 {

/// Fields beyond this many of one block are left out.
constexpr size_t kMaxBlockFields = 1024;

/// The fields of one block, in order; text in the arena, or constant. An empty name: the table's entry was before our
/// time.
struct Block {
  explicit Block(Arena& arena) : fields(arena) {}
  Growing<item::Member, 48> fields;
  size_t bytes = 0;        // of all names and values, kept or not
  uint32_t unknown = 0;    // fields of which not even the value is known; not among `fields`
  bool malformed = false;  // what follows the fields could not be read
  bool too_long = false;   // fields were left out
};

/// The dynamic table of one direction (RFC 7541 2.3.2): texts one behind the other in one buffer, which has the size
/// that they need.
class HeaderTable {
 public:
  struct Entry {
    std::string_view name, value;  // views until the next change
  };
  size_t count() const { return entries_.size() - oldest_; }
  /// REQUIRES: index < count(). Zero is the newest.
  Entry operator[](size_t index) const;
  void add(std::string_view name, std::string_view value);
  /// What it may hold, by RFC 7541 4.1's measure.
  void resize(size_t most);
  void clear();

 private:
  struct Place {
    uint32_t at;
    uint16_t name, value;  // sizes
  };
  void evict(size_t room);

  std::vector<char> text_;
  std::vector<Place> entries_;  // oldest first
  uint32_t oldest_ = 0;         // those before it have left the table
  uint32_t size_ = 0;           // RFC 7541 4.1
  uint32_t most_ = 4096;        // RFC 9113 6.5.2, SETTINGS_HEADER_TABLE_SIZE
};

/// The header compression of one direction (RFC 7541).
///
/// A connection joined in the middle has a table that nobody told us. What its encoder adds from then on is known by
/// the same numbers, because these count from the newest entry; what points behind that is marked unknown. The same
/// holds after lost bytes, and after a block that cannot be read.
class HeaderDecoder {
 public:
  /// Reads a whole field block. Names and values beyond `cap` bytes in all are left out, but followed.
  void decode(Bytes block, size_t cap, Arena& arena, Block& out);
  /// Blocks were missed: from now on the table is known only as far as it is new.
  void forget();

 private:
  bool field(Bytes block, const Representation& r, size_t cap, Arena& arena, Block& out);
  bool lookup(uint32_t index, HeaderTable::Entry& out) const;

  HeaderTable table_;
  bool partial_ = false;
};

}  // namespace baleen::dissect::http2
