#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "index/encryption.h"
#include "index/item_row.h"
#include "item/item.h"

namespace baleen::record {

/// What a block's record says about its items, row by row.
void note(const index::ItemRow& row, index::BlockRecord& record);
/// Sets beyond what a record may hold say nothing.
void limit_zone_map(index::BlockRecord& record);

/// A block of items whose packets lie in another block: they were dissected out of those anew. It is called as the
/// other is, in a recording of its own. What is not finished when the process dies is lost: its input is still there.
class ItemBlock {
 public:
  /// `folder` must be there. `packets_of`: the other block's record, as the new one shall name its packets. `key`: the
  /// other's, to encrypt the items with; then none of them reaches the disk before that.
  static Result<std::unique_ptr<ItemBlock>> create(std::string folder, std::string recording, std::string filter,
                                                   const index::BlockRecord& packets_of,
                                                   std::optional<index::BlockKey> key);
  Result<> add(const item::Item& item);
  /// Writes items.parquet into the folder; returns the block's record. REQUIRES: nothing comes after it.
  Result<index::BlockRecord> finish();
  const std::string& items_path() const { return path_; }

 private:
  struct Place {
    int64_t time_ns, index;
    std::string stream;
    uint64_t offset;
    uint32_t length;
  };
  ItemBlock() = default;
  Result<> write_out();
  Result<> write_rows(const std::string& path) const;

  std::string path_, buffer_;
  UniqueFd journal_;  // the rows as they came: a file without a name, or memory
  uint64_t written_ = 0;
  std::vector<Place> places_;
  index::BlockRecord record_;
  std::optional<index::BlockKey> key_;
};

}  // namespace baleen::record
