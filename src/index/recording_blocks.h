#pragma once

#include <span>
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
  /// `columns`: nothing else is read of the files; none: what a scan needs. What is given must outlive it.
  Blocks(RecordingReader& reader, const std::vector<IndexedRecord>& blocks, const ItemPruning& pruning,
         std::span<const std::string> columns = {});
  size_t count() const override { return blocks_.size(); }
  Timestamp first(size_t block) const override { return blocks_[block]->first; }
  std::string_view node(size_t block) const override { return blocks_[block]->node; }
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
  std::span<const std::string> columns_;
  std::vector<const BlockRecord*> blocks_;
  std::vector<File> files_;
};

}  // namespace baleen::index
