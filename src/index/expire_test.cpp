#include "index/expire.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/units.h"
#include "index/block.h"

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

using std::chrono::hours;

/// A store that notes what is removed, and stops when it is told to.
class Watched : public store::ObjectStore {
 public:
  explicit Watched(std::unique_ptr<store::ObjectStore> inner) : inner_(std::move(inner)) {}
  Result<store::ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                        const store::PutOptions& options) override {
    return inner_->put_source(key, source, options);
  }
  Result<store::ObjectFacts> put(std::string_view key, Bytes content, const store::PutOptions& options) override {
    return inner_->put(key, content, options);
  }
  Result<std::string> get(std::string_view key) override { return inner_->get(key); }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_->get_range(key, offset, length);
  }
  Result<store::ObjectFacts> head(std::string_view key) override { return inner_->head(key); }
  Result<store::ListPage> list(const store::ListOptions& options) override {
    store::ListOptions small = options;
    small.page_size = 2;
    return inner_->list(small);
  }
  Result<> remove(std::string_view key) override {
    if (static_cast<int>(removed.size()) == stop_at) return Error{Code::kDenied, "no permission"};
    removed.emplace_back(key);
    return inner_->remove(key);
  }
  std::string name() const override { return inner_->name(); }
  std::vector<std::string> removed;
  int stop_at = -1;

 private:
  std::unique_ptr<store::ObjectStore> inner_;
};

class ExpireTest : public testing::Test {
 protected:
  ExpireTest() {
    std::string pattern = (fs::temp_directory_path() / "baleen-expire-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto inner = store::open(*store::Location::parse("file://" + folder_));
    EXPECT_TRUE(inner);
    store_ = std::make_unique<Watched>(*std::move(inner));
  }
  ~ExpireTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  void put(const std::string& key, const std::string& content = "x") {
    EXPECT_TRUE(store_->put(key, as_bytes(content), {}));
  }
  BlockKeys block(const std::string& recording, Timestamp first, Timestamp last, bool record = true) {
    BlockRecord r;
    r.recording = recording;
    r.block = block_id(first, "n", "r", ++sequence_);
    r.first = first;
    r.last = last;
    r.items = 2;
    r.packets = 3;
    const BlockKeys keys = block_keys(recording, first, r.block);
    r.packets_object = {"p/" + keys.packets, 10, 1};
    r.packets_object.key = keys.packets;
    r.items_object = {keys.items, 5, 1};
    put("p/" + keys.packets);
    put("p/" + keys.items);
    if (record) put("p/" + keys.record, r.to_json());
    return keys;
  }
  bool there(const std::string& key) { return store_->head("p/" + key).has_value(); }
  Expired expire(std::string recording = {}, bool dry_run = false) {
    return index::expire(*store_, "p/", {std::move(recording), noon_, dry_run});
  }
  const Timestamp noon_ = *parse_time("2026-11-23T12:00:00Z", Timestamp{});
  std::string folder_;
  std::unique_ptr<Watched> store_;
  uint64_t sequence_ = 0;
};

TEST_F(ExpireTest, RemovesBlocksThatAreOldAndNothingElse) {
  const BlockKeys old = block("a", noon_ - hours(3), noon_ - hours(2));
  const BlockKeys over = block("a", noon_ - hours(3), noon_ + hours(1));
  const BlockKeys young = block("a", noon_ + hours(3), noon_ + hours(4));
  const BlockKeys other = block("b", noon_ - hours(3), noon_ - hours(2));
  put("p/readme.txt");
  put("p/recording=a/notes.txt");
  put("recording=a/blocks/date=2020-01-01/hour=00/20200101T000000.000000000Z-n-r-000001.json", "outside");
  Expired done = expire("a", true);
  EXPECT_EQ(done.blocks, 1u);
  EXPECT_EQ(store_->removed.size(), 0u);
  done = expire("a");
  EXPECT_EQ(done.blocks, 1u);
  EXPECT_EQ(done.bytes, 15u);
  EXPECT_EQ(done.items, 2u);
  EXPECT_EQ(done.packets, 3u);
  EXPECT_EQ(done.kept_blocks, 2u);
  EXPECT_TRUE(done.problems.empty());
  ASSERT_EQ(store_->removed.size(), 3u);
  EXPECT_EQ(store_->removed[0], "p/" + old.record) << "the record first";
  EXPECT_FALSE(there(old.packets) || there(old.items) || there(old.record));
  for (const BlockKeys& keys : {over, young, other})
    EXPECT_TRUE(there(keys.packets) && there(keys.items) && there(keys.record));
  EXPECT_EQ(expire().blocks, 1u) << "of all recordings";
  EXPECT_FALSE(there(other.record));
  EXPECT_TRUE(there("readme.txt") && there("recording=a/notes.txt"));
}

TEST_F(ExpireTest, WhatWasCutShortIsFinishedByTheNextOne) {
  for (int cut = 0; cut < 3; ++cut) {
    const BlockKeys old = block("a", noon_ - hours(40), noon_ - hours(39));
    const BlockKeys fresh = block("a", noon_ - hours(2), noon_ - hours(1), false);  // may be on its way up
    store_->removed.clear();
    store_->stop_at = cut;
    const Expired first = expire("a");
    EXPECT_FALSE(first.problems.empty()) << cut;
    if (there(old.record)) {
      EXPECT_TRUE(there(old.packets) && there(old.items)) << "a record has its objects";
    }
    store_->stop_at = -1;
    const Expired second = expire("a");
    EXPECT_TRUE(second.problems.empty());
    EXPECT_EQ(first.blocks + second.blocks, 1u) << cut;
    EXPECT_FALSE(there(old.packets) || there(old.items) || there(old.record)) << cut;
    EXPECT_TRUE(there(fresh.packets) && there(fresh.items));
  }
}

TEST_F(ExpireTest, ADamagedRecordStays) {
  const std::string key = "p/recording=a/blocks/date=2020-01-01/hour=00/20200101T000000.000000000Z-n-r-000001.json";
  put(key, "{");
  const Expired done = expire();
  EXPECT_EQ(done.blocks, 0u);
  EXPECT_EQ(done.problems.size(), 1u);
  EXPECT_TRUE(store_->head(key));
}

}  // namespace
}  // namespace baleen::index
