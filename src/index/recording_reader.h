#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "index/encryption.h"
#include "index/items_cache.h"
#include "index/parquet.h"
#include "index/position.h"
#include "index/record_index.h"
#include "index/sql.h"
#include "item/protocol.h"
#include "kfl/kfl.h"
#include "store/object_store.h"

namespace baleen::index {

struct RecordingFacts {
  std::string name;
  uint64_t blocks = 0, items = 0, packets = 0, bytes = 0;
  Timestamp first{}, last{};
  std::map<std::string, uint64_t> items_by_protocol;
  std::string filter;
  LossLedger ledger;                   // the sum over runs of each run's last
  std::vector<DroppedBlocks> dropped;  // before they could be uploaded, as later blocks tell
};

struct ReadQuery {
  std::string recording;  // empty: all
  kfl::Filter filter;
  Timestamp since = timestamp_from_ns(INT64_MIN), until = timestamp_from_ns(INT64_MAX);
  uint64_t limit = 0;
  std::string item, stream;              // only the item with this id, only the stream of this name
  std::optional<Position> after;         // only items behind it
  bool whole_rows = false;               // items come with all columns
  std::optional<Timestamp> listed_from;  // blocks older than that are not looked for; unset: `since`
};

/// What has been handed on of a recording that is still being written.
struct Followed {
  std::set<std::string> blocks;        // keys of the records that the last look has found: they are done with
  std::vector<IndexedRecord> pending;  // of a look that was cut short
  std::optional<Position> after;       // ... where it stands in those
};

/// Reads recordings where they lie, without the program that wrote them: lists block records, prunes by them, fetches
/// only the items it needs (into a local cache of limited size), and streams' packets by range. One thread.
///
/// An object that is missing or damaged spoils no other: what cannot be read is left out and stands in problems(). Only
/// what concerns the whole bucket (credentials, no answer) ends a call with an error.
class RecordingReader {
 public:
  /// `prefix`: what keys begin with, "" or "p/" (store::Location::key_prefix()). `cache_folder` may be empty: then a
  /// temporary one.
  RecordingReader(store::ObjectStore& store, std::string prefix, std::string cache_folder = {},
                  uint64_t cache_limit = uint64_t{4} << 30);
  ~RecordingReader();

  /// With what encrypted blocks are read. Before anything is.
  void set_keys(std::shared_ptr<const KeyRing> keys) { keys_ = std::move(keys); }

  /// The protocols that are known, which lets columns answer for items of theirs. Before anything is read.
  void set_protocols(std::span<const item::Protocol* const> cards) { cards_ = cards; }

  Result<std::vector<RecordingFacts>> recordings();
  /// Items that match, in time order over all blocks; `each` answers false to stop.
  Result<> items(const ReadQuery& query, const std::function<bool(const StoredItem&)>& each);
  /// The same of blocks that `followed` does not know yet. After an error that may go away, call it again with the same
  /// `followed`: no item comes twice, none is left out. Items are in order within a call; a block that comes late
  /// brings older ones.
  Result<> new_items(const ReadQuery& query, Followed& followed, const std::function<bool(const StoredItem&)>& each);
  /// How many items match, by protocol (short name). What columns or block records answer, they do, and no item is
  /// read.
  Result<std::map<std::string, uint64_t>> count(const ReadQuery& query);
  /// DuckDB over the items of the query's recording, streams and times (not its filter), as far as `text` asks for
  /// them. Their files last until the next call of anything here. `temporary`: see ItemSql.
  /// `verify`: each file is read first, and left out where it is damaged; for when DuckDB has found that one is.
  Result<std::unique_ptr<ItemSql>> sql(const ReadQuery& query, std::string_view text, const std::string& temporary,
                                       bool verify = false);
  /// The block records that may have what the query asks for, with the places of their streams.
  Result<std::vector<BlockRecord>> records(const ReadQuery& query);
  /// Bytes of a block's packets object as they were before encryption.
  Result<std::string> packets_bytes(const BlockRecord& block, uint64_t offset, uint64_t length) {
    return packets_range(block, offset, length);
  }
  struct Packets {
    uint64_t written = 0;
    bool more = false;  // the limit has left out items
  };
  /// The whole streams of the items that match, as one pcapng in time order of the streams.
  Result<Packets> packets(const ReadQuery& query, const std::function<void(std::string_view)>& write);

  const ReadStatistics& statistics() const { return statistics_; }
  /// What was left out so far and why, each object once.
  const std::vector<Error>& problems() const { return problems_; }

 private:
  class Blocks;
  class Count;
  struct Held;  // what a database has in hand
  using EachItem = std::function<bool(const StoredItem&, const BlockRecord&)>;
  using Streams = std::set<std::pair<std::string, std::string>>;  // run and name
  Result<> leave_out(Error error);
  Result<std::vector<std::string>> recording_names();
  Result<std::vector<IndexedRecord>> blocks(const ReadQuery& query);
  Result<std::vector<store::ObjectFacts>> list_records(const std::string& recording, const ReadQuery& query);
  std::map<std::string, IndexedRecord> load_index(const std::string& recording,
                                                  const std::vector<store::ObjectFacts>& records);
  Result<> make_whole(std::vector<IndexedRecord>& blocks);
  Result<> fetch_records(const std::vector<std::string>& keys, std::vector<IndexedRecord>& out);
  void skip(uint64_t ReadStatistics::* why, uint64_t n = 1);
  /// `condition`: SQL over `columns`, which are read besides.
  Result<> items_of(const std::vector<IndexedRecord>& blocks, const ReadQuery& query, const EachItem& each,
                    const std::string& condition = {}, std::span<const std::string> columns = {});
  Result<> add_streams_without_items(const std::vector<IndexedRecord>& all, const std::vector<IndexedRecord>& chosen,
                                     const ReadQuery& query, Streams& wanted);
  Result<uint64_t> write_streams(const BlockRecord& block, const Streams& wanted,
                                 const std::function<void(std::string_view)>& write);
  Result<std::string> range(const std::string& key, uint64_t offset, uint64_t length);
  Result<std::string> packets_range(const BlockRecord& block, uint64_t offset, uint64_t length);

  store::ObjectStore& store_;
  std::shared_ptr<const KeyRing> keys_;
  std::span<const item::Protocol* const> cards_;
  std::string prefix_;
  ReadStatistics statistics_;
  ItemsCache cache_;
  std::vector<Error> problems_;
  std::unique_ptr<Held> held_;
};

}  // namespace baleen::index
