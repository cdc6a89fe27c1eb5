#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "index/block.h"
#include "store/object_store.h"

namespace baleen::index {

/// A block record as an index has it: perhaps without the places of its streams, of which the numbers are kept.
struct IndexedRecord {
  std::string key{};    // of the record's object in the store; not written
  uint64_t size = 0;    // of the record's object: another size in the listing is another record
  uint32_t crc32c = 0;  // of the same: stores that tell it in listings show a record that has changed
  bool whole = true;    // `record` has its `streams`
  BlockRecord record;
  bool numbered = true;                                // false: its streams' names are no numbers, any may be in it
  std::vector<std::pair<uint64_t, uint64_t>> streams;  // first and last number of each run of numbers, ascending

  /// Whether this is what a listing says is there.
  bool is(const store::ObjectFacts& object) const;
  bool may_have_stream(std::string_view name) const;
};

/// Index objects repeat block records, many in one, so that a reader needs few requests. They are derived: the listing
/// of `blocks/` says which blocks there are, an index only spares fetching their records. Any may be removed at any
/// time.
std::string index_prefix(std::string_view recording);

/// `records`: key below the destination's prefix, and what is known of it.
std::string index_text(const std::map<std::string, IndexedRecord>& records);
/// Adds what a text has; a damaged text is kInvalid, and what stood before the damage has been added.
Result<> add_index(std::string_view text, std::map<std::string, IndexedRecord>& records);
IndexedRecord indexed(BlockRecord record, std::string_view text);

/// What becomes of a recording's index.
struct IndexOutcome {
  uint64_t days = 0, written = 0, removed = 0, records = 0;
};
/// Writes the index of each day whose records are not all in one already, then removes what that replaces. Block
/// records and the blocks themselves are only read. `prefix` as in RecordingReader.
Result<IndexOutcome> compact(store::ObjectStore& store, const std::string& prefix, const std::string& recording);

/// Objects' contents, in the order of `keys`, by several requests at a time.
std::vector<Result<std::string>> get_all(store::ObjectStore& store, std::span<const std::string> keys);

}  // namespace baleen::index
