#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "index/item_pruning.h"
#include "index/item_scan.h"
#include "index/recording_reader.h"

namespace baleen::index {

/// The blocks of one query that have items, as a scan asks for them.
class RecordingReader::Blocks final : public ScanBlocks {
 public:
  /// `columns`: nothing else is read of the files; none: what a scan needs. What else is given must outlive it.
  Blocks(RecordingReader& reader, const std::vector<IndexedRecord>& blocks, const ItemPruning& pruning,
         std::vector<std::string> columns = {}, bool as_they_lie = false);
  size_t count() const override { return blocks_.size(); }
  Timestamp first(size_t block) const override { return blocks_[block]->first; }
  std::string_view node(size_t block) const override { return blocks_[block]->node; }
  std::string_view name(size_t block) const override { return names_[block]; }
  const BlockRecord& record(size_t block) const { return *blocks_[block]; }

  Result<std::vector<std::string>> fetch(size_t begin, size_t end) override;
  void done(size_t block) override;
  Result<> failed(size_t block, Error error) override;

 private:
  struct File {
    std::string path;
    UniqueFd memory;  // what is encrypted stays so on the disk, and is read in memory
  };
  Result<> open(const BlockRecord& block, File& file) const;

  RecordingReader& reader_;
  const ItemPruning& pruning_;
  std::vector<std::string> columns_;
  bool as_they_lie_;
  std::vector<const BlockRecord*> blocks_;
  std::vector<std::string_view> names_;  // keys of their records
  std::vector<File> files_;
};

/// Blocks whose files a database reads: they are not to go before it has.
struct RecordingReader::Held {
  std::vector<IndexedRecord> blocks;
  ItemPruning pruning;
  std::optional<Blocks> files;
};

}  // namespace baleen::index
