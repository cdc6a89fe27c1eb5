#include <algorithm>

#include "index/recording_blocks.h"

namespace baleen::index {

Result<std::vector<BlockRecord>> RecordingReader::records(const ReadQuery& query) {
  BALEEN_TRY(std::vector<IndexedRecord> known, blocks(query));
  BALEEN_TRY_DO(make_whole(known));
  std::vector<BlockRecord> out;
  for (IndexedRecord& block : known) out.push_back(std::move(block.record));
  return out;
}

/// Fetches those records that an index has told without the places of their streams.
Result<> RecordingReader::make_whole(std::vector<IndexedRecord>& blocks) {
  std::vector<std::string> missing;
  for (const IndexedRecord& block : blocks)
    if (!block.whole) missing.push_back(block.key);
  std::vector<IndexedRecord> fetched;
  BALEEN_TRY_DO(fetch_records(missing, fetched));
  std::map<std::string_view, IndexedRecord*> by_key;
  for (IndexedRecord& block : fetched) by_key[block.key] = &block;
  std::erase_if(blocks, [&](const IndexedRecord& block) { return !block.whole && !by_key.contains(block.key); });
  for (IndexedRecord& block : blocks) {
    if (block.whole) continue;
    IndexedRecord* const whole = by_key[block.key];
    block.record = std::move(whole->record);
    block.whole = true;
  }
  return {};
}

Result<std::unique_ptr<ItemSql>> RecordingReader::sql(const ReadQuery& query, std::string_view text,
                                                      const std::string& temporary, bool verify) {
  held_.reset();
  BALEEN_TRY(const std::vector<std::string> columns, ItemSql::columns_read(std::string(text)));
  BALEEN_TRY(std::vector<IndexedRecord> chosen, blocks(query));
  if (sql_names(text, "streams")) BALEEN_TRY_DO(make_whole(chosen));
  // Files are handed over recording by recording.
  std::stable_sort(chosen.begin(), chosen.end(), [](const IndexedRecord& a, const IndexedRecord& b) {
    return a.record.recording < b.record.recording;
  });
  held_ = std::unique_ptr<Held>(new Held{std::move(chosen), ItemPruning({}, query.since, query.until), std::nullopt});
  Blocks& files = held_->files.emplace(*this, held_->blocks, held_->pruning, columns, true);
  std::vector<ItemsFile> handed;
  if (!columns.empty()) {
    BALEEN_TRY(const std::vector<std::string> paths, files.fetch(0, files.count()));
    for (size_t i = 0; i < paths.size(); ++i) {
      if (paths[i].empty()) continue;
      ParquetQuery whole;
      whole.files = {paths[i]};
      const auto readable = verify ? count_rows(whole, columns, [](auto, uint64_t) {}) : Result<>();
      if (readable) {
        handed.push_back({files.record(i).recording, paths[i]});
      } else {
        BALEEN_TRY_DO(files.failed(i, readable.error()));
      }
    }
  }
  return ItemSql::open(handed, held_->blocks, to_ns(query.since), to_ns(query.until), temporary);
}

}  // namespace baleen::index
