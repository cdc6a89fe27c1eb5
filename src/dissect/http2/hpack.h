#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "dissect/build.h"
#include "item/value.h"

struct nghttp2_hd_inflater;

namespace baleen::dissect::http2 {

/// Fields beyond this many of one block are left out.
constexpr size_t kMaxBlockFields = 1024;

/// The fields of one block, in order; text in the arena. An empty name: the table's entry was before our time.
struct Block {
  explicit Block(Arena& arena) : fields(arena) {}
  Growing<item::Member, 48> fields;
  size_t bytes = 0;        // of all names and values, kept or not
  uint32_t unknown = 0;    // fields of which not even the value is known; not among `fields`
  bool malformed = false;  // what follows the fields could not be read
  bool too_long = false;   // fields were left out
};

/// The header compression of one direction (RFC 7541): libnghttp2's inflater, made when it is first needed.
///
/// A connection joined in the middle has a table that nobody told us. What its encoder adds from then on is known by
/// the same numbers, because these count from the newest entry; what points behind that is marked unknown. The same
/// holds after lost bytes, and after a block that cannot be read.
class HeaderDecoder {
 public:
  HeaderDecoder() = default;
  ~HeaderDecoder() { forget(); }
  HeaderDecoder(const HeaderDecoder&) = delete;
  HeaderDecoder& operator=(const HeaderDecoder&) = delete;

  /// Reads a whole field block. Names and values beyond `cap` bytes in all are left out, but followed.
  void decode(Bytes block, size_t cap, Arena& arena, Block& out);
  /// Blocks were missed: from now on the table is known only as far as it is new.
  void forget();

 private:
  void ready();
  bool inflate(Bytes bytes, bool last, size_t cap, Arena& arena, Block& out);
  bool decode_part(Bytes block, size_t cap, Arena& arena, Block& out);

  nghttp2_hd_inflater* inflater_ = nullptr;
  bool partial_ = false;
};

}  // namespace baleen::dissect::http2
