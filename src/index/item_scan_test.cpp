#include "index/item_scan.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

namespace baleen::index {
namespace {

struct Key {
  int64_t time;
  std::string node, stream;
  int64_t index;
  auto operator<=>(const Key&) const = default;
};

/// Blocks of nodes that overlap in time, as files.
class Overlapping final : public ScanBlocks {
 public:
  Overlapping(unsigned seed, size_t nodes, size_t blocks_of_node) : random_(seed) {
    char pattern[] = "/tmp/baleen-scan-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    for (size_t node = 0; node < nodes; ++node) {
      int64_t time = static_cast<int64_t>(random_() % 500);
      for (size_t i = 0; i < blocks_of_node; ++i) add("n" + std::to_string(node), time, random_() % 400);
    }
    std::sort(blocks_.begin(), blocks_.end(), [](const Block& a, const Block& b) { return a.first < b.first; });
  }
  ~Overlapping() override { std::filesystem::remove_all(folder_); }

  size_t count() const override { return blocks_.size(); }
  Timestamp first(size_t block) const override { return timestamp_from_ns(blocks_[block].first); }
  std::string_view node(size_t block) const override { return blocks_[block].node; }
  Result<std::vector<std::string>> fetch(size_t begin, size_t end) override {
    std::vector<std::string> files;
    for (size_t i = begin; i < end; ++i) files.push_back(blocks_[i].file);
    fetched += end - begin;
    return files;
  }
  void done(size_t block) override { EXPECT_TRUE(ended.insert(block).second) << "each is done once"; }
  Result<> failed(size_t block, Error error) override {
    broken.insert(block);
    return {};
  }
  void spoil(size_t block) { std::filesystem::resize_file(blocks_[block].file, 100); }

  std::vector<Key> rows;  // all of them, in the order in which they must come
  size_t fetched = 0;
  std::set<size_t> ended, broken;

 private:
  struct Block {
    std::string node, file;
    int64_t first;
  };
  void add(const std::string& node, int64_t& time, size_t n) {
    std::vector<Key> own;
    const int64_t first = time;
    for (size_t i = 0; i < n; ++i) {
      own.push_back({time, node, std::to_string(random_() % 3), static_cast<int64_t>(i)});
      time += static_cast<int64_t>(random_() % 3);
    }
    std::sort(own.begin(), own.end());
    rows.insert(rows.end(), own.begin(), own.end());
    std::sort(rows.begin(), rows.end());
    const std::string file = folder_ + "/" + std::to_string(blocks_.size());
    size_t next = 0;
    const auto written = write_parquet(
        file,
        [&](ItemRow& row) {
          if (next == own.size()) return false;
          row.time_ns = own[next].time;
          row.node = node;
          row.stream = own[next].stream;
          row.index = own[next].index;
          row.json = R"({"index":)" + std::to_string(own[next].index) + "}";
          ++next;
          return true;
        },
        {}, "");
    EXPECT_TRUE(written);
    blocks_.push_back({node, file, first});
  }
  std::mt19937 random_;
  std::string folder_;
  std::vector<Block> blocks_;
};

std::vector<Key> scan(Overlapping& blocks, const ScanQuery& query, size_t limit = SIZE_MAX) {
  std::vector<Key> out;
  ScanCounters counters;
  const auto outcome = scan_items(
      query, blocks,
      [&](const StoredItem& item, size_t block) {
        out.push_back({item.time_ns, std::string(blocks.node(block)), item.stream, 0});
        return out.size() < limit;
      },
      counters);
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_GE(counters.rows, out.size());
  return out;
}

std::vector<Key> without_index(std::vector<Key> rows) {
  for (Key& row : rows) row.index = 0;
  return rows;
}

TEST(ItemScan, RowsComeInOrderOverAllBlocksHoweverTheseOverlap) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    Overlapping blocks(seed, 1 + seed % 5, 1 + seed % 7);
    for (const unsigned threads : {1u, 3u}) {
      ScanQuery query;
      query.threads = threads;
      blocks.ended.clear();
      EXPECT_EQ(scan(blocks, query), without_index(blocks.rows)) << seed;
      EXPECT_EQ(blocks.ended.size(), blocks.count());
    }
  }
}

TEST(ItemScan, ATimeRangeAndACondition) {
  Overlapping blocks(5, 4, 6);
  ScanQuery query;
  query.since_ns = 300;
  query.until_ns = 900;
  query.condition = "node <> 'n1'";
  std::vector<Key> expected = without_index(blocks.rows);
  std::erase_if(expected, [](const Key& k) { return k.time < 300 || k.time > 900 || k.node == "n1"; });
  EXPECT_EQ(scan(blocks, query), expected);
}

TEST(ItemScan, AFilterThatMatchesNothingReadsAll) {
  Overlapping blocks(6, 3, 20);
  ScanQuery query;
  query.filter = *kfl::compile("index == 100000", {}).filter;
  EXPECT_EQ(scan(blocks, query), std::vector<Key>{});
  EXPECT_EQ(blocks.ended.size(), blocks.count());
}

TEST(ItemScan, AnEarlyStopFetchesLittle) {
  Overlapping blocks(7, 1, 60);
  EXPECT_EQ(scan(blocks, {}, 3).size(), 3u);
  EXPECT_LT(blocks.fetched, 10u);
  EXPECT_EQ(blocks.ended.size(), blocks.fetched) << "what was fetched is given back";
}

TEST(ItemScan, ADamagedFileSpoilsNoOther) {
  Overlapping blocks(8, 3, 5);
  blocks.spoil(4);
  const std::vector<Key> found = scan(blocks, {});
  EXPECT_EQ(blocks.broken, std::set<size_t>{4});
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  EXPECT_LT(found.size(), blocks.rows.size());
  EXPECT_GT(found.size(), blocks.rows.size() / 2);
}

}  // namespace
}  // namespace baleen::index
