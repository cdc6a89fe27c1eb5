#include "record/spool_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/crc32c.h"
#include "record/block_writer.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

class SpoolStoreTest : public testing::Test {
 protected:
  /// A finished block that waits; what its record says.
  index::BlockRecord wait(uint64_t n, const std::string& recording, PacketsAs packets) {
    const std::string folder = folder_ / ("data/spool/ready/" + std::to_string(n));
    auto block = BlockWriter::create(folder, {recording, "http", "gs://away", "node-1", "", "0a1b2c3d", n});
    EXPECT_TRUE(block) << block.error().message;
    for (uint64_t i = 0; i < 5; ++i) {
      const net::OwnedPacket packet = named_packet({n, i}, 100);
      EXPECT_TRUE((*block)->add_packet(stream_file(n), recorded(packet)));
    }
    EXPECT_TRUE((*block)->add_item(*http_item(pool_, n, 0)));
    const auto record = (*block)->finish({}, {}, packets);
    EXPECT_TRUE(record) << record.error().message;
    write_whole(folder_ / "data/spool/lock", "");
    return *record;
  }
  std::unique_ptr<store::ObjectStore> open() {
    auto store = SpoolStore::open(SpoolStore::spool_in(folder_ / "data"));
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }

  ScratchFolder folder_;
  item::ItemPool pool_;
};

TEST_F(SpoolStoreTest, HasWhatTheBucketWillHave) {
  for (const PacketsAs packets : {PacketsAs::kOrder, PacketsAs::kFile}) {
    const uint64_t n = packets == PacketsAs::kOrder ? 1 : 2;
    const index::BlockRecord record = wait(n, "shop", packets);
    const auto store = open();
    for (const index::ObjectRecord* object : {&record.packets_object, &record.items_object}) {
      const auto content = store->get(object->key);
      ASSERT_TRUE(content) << content.error().message;
      EXPECT_EQ(content->size(), object->size);
      EXPECT_EQ(crc32c(as_bytes(*content)), object->crc32c);
      const auto facts = store->head(object->key);
      ASSERT_TRUE(facts);
      EXPECT_EQ(facts->size, object->size);
      EXPECT_EQ(facts->crc32c, object->crc32c);
    }
    const index::StreamPlace& stream = record.streams.at(0);
    const auto whole = store->get(record.packets_object.key);
    const auto range = store->get_range(record.packets_object.key, stream.offset, stream.length);
    ASSERT_TRUE(range);
    EXPECT_EQ(*range, whole->substr(stream.offset, stream.length));
    EXPECT_EQ(store->get_range(record.packets_object.key, record.packets_object.size, 10).value_or("?"), "");
    const auto text = store->get(index::block_keys(record.recording, record.first, record.block).record);
    ASSERT_TRUE(text);
    EXPECT_EQ(index::BlockRecord::from_json(*text)->to_json(), record.to_json());
  }
}

TEST_F(SpoolStoreTest, IsListedAsABucketIs) {
  for (uint64_t n = 1; n <= 5; ++n) wait(n, n % 2 == 0 ? "even" : "odd", PacketsAs::kOrder);
  const auto store = open();
  const auto names = store->list({.prefix = "recording=", .delimiter = "/"});
  ASSERT_TRUE(names);
  EXPECT_EQ(names->prefixes, (std::vector<std::string>{"recording=even/", "recording=odd/"}));
  EXPECT_TRUE(names->objects.empty());
  for (const uint32_t page_size : {1u, 2u, 1000u}) {
    std::vector<std::string> keys;
    store::ListOptions options{.prefix = "recording=odd/"};
    options.page_size = page_size;
    do {
      const auto page = store->list(options);
      ASSERT_TRUE(page);
      EXPECT_LE(page->objects.size(), page_size);
      for (const store::ObjectFacts& object : page->objects) keys.push_back(object.key);
      options.page_token = page->next_page_token;
    } while (!options.page_token.empty());
    EXPECT_EQ(keys.size(), 9u) << "three objects of three blocks";
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  }
  EXPECT_TRUE(store->list({.prefix = "recording=other/"})->objects.empty());
}

TEST_F(SpoolStoreTest, WhatIsGoneIsNotFoundAndWhatIsDamagedIsLeftOut) {
  const index::BlockRecord gone = wait(1, "shop", PacketsAs::kOrder);
  const index::BlockRecord damaged = wait(2, "shop", PacketsAs::kOrder);
  write_whole(folder_ / "data/spool/ready/2/block.json", "{");
  const auto store = open();
  fs::remove_all(folder_ / "data/spool/ready/1");
  const auto content = store->get(gone.packets_object.key);
  ASSERT_FALSE(content);
  EXPECT_EQ(content.error().code, Code::kNotFound);
  EXPECT_NE(content.error().message.find("bucket"), std::string::npos) << content.error().message;
  EXPECT_EQ(store->get(damaged.packets_object.key).error().code, Code::kNotFound);
}

/// What is still written, or was left by a crash, is read with what its journals have: the folder stays as it is.
TEST_F(SpoolStoreTest, AnOpenBlockIsReadAsFarAsItGoes) {
  wait(1, "shop", PacketsAs::kOrder);
  const std::string folder = folder_ / "data/spool/open/2";
  fs::create_directories(folder_ / "data/spool/open");
  auto block = BlockWriter::create(folder, {"shop", "http", "gs://away", "node-1", "", "0a1b2c3d", 2});
  ASSERT_TRUE(block);
  for (uint64_t i = 0; i < 5; ++i) {
    const net::OwnedPacket packet = named_packet({2, i}, 100);
    ASSERT_TRUE((*block)->add_packet(stream_file(2), recorded(packet)));
  }
  ASSERT_TRUE((*block)->add_item(*http_item(pool_, 2, 0)));
  ASSERT_TRUE((*block)->flush());
  fs::create_directories(folder_ / "data/spool/open/3");  // begun by now
  const auto listed = [](const std::string& path) {
    std::map<std::string, uintmax_t> out;
    for (const auto& entry : fs::directory_iterator(path)) out[entry.path().filename()] = entry.file_size();
    return out;
  };
  const auto before = listed(folder);
  const auto store = open();
  const auto page = store->list({.prefix = "recording=shop/blocks/"});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->objects.size(), 2u);
  uint64_t items = 0, packets = 0;
  for (const store::ObjectFacts& object : page->objects) {
    const auto record = index::BlockRecord::from_json(*store->get(object.key));
    ASSERT_TRUE(record);
    items += record->items;
    packets += record->packets;
    EXPECT_EQ(store->get(record->packets_object.key).value_or("").size(), record->packets_object.size);
  }
  EXPECT_EQ(items, 2u);
  EXPECT_EQ(packets, 10u);
  EXPECT_EQ(listed(folder), before);
  // Finished meanwhile: the same block, once.
  ASSERT_TRUE((*block)->finish({}, {}));
  EXPECT_EQ(open()->list({.prefix = "recording=shop/blocks/"})->objects.size(), 2u);
}

TEST_F(SpoolStoreTest, AnOpenBlockThatIsEncryptedNeedsItsKey) {
  fs::create_directories(folder_ / "data/spool/ready");
  fs::create_directories(folder_ / "data/spool/open");
  write_whole(folder_ / "data/spool/lock", "");
  auto keys = std::make_shared<index::KeyRing>();
  ASSERT_TRUE(keys->add_text(std::string(64, 'a'), "test"));
  auto block = BlockWriter::create(folder_ / "data/spool/open/1", {"shop", "http", "gs://away", "n", "", "0a1b2c3d", 1},
                                   {keys, true});
  ASSERT_TRUE(block) << block.error().message;
  ASSERT_TRUE((*block)->add_item(*http_item(pool_, 1, 0)));
  ASSERT_TRUE((*block)->flush());
  const std::string spool = SpoolStore::spool_in(folder_ / "data");
  const auto without = SpoolStore::open(spool), with = SpoolStore::open(spool, {keys});
  ASSERT_TRUE(without && with);
  ASSERT_EQ((*without)->unread().size(), 1u);
  EXPECT_NE((*without)->unread()[0].message.find("key"), std::string::npos) << (*without)->unread()[0].message;
  EXPECT_TRUE((*without)->list({})->objects.empty());
  EXPECT_TRUE((*with)->unread().empty());
  EXPECT_EQ((*with)->list({})->objects.size(), 3u);
}

TEST_F(SpoolStoreTest, NobodyWritesIt) {
  const index::BlockRecord record = wait(1, "shop", PacketsAs::kOrder);
  const auto store = open();
  EXPECT_EQ(store->put("x", {}, {}).error().code, Code::kDenied);
  EXPECT_EQ(store->remove(record.items_object.key).error().code, Code::kDenied);
  EXPECT_TRUE(store->head(record.items_object.key));
}

TEST_F(SpoolStoreTest, OnlyASpoolIsTakenForOne) {
  wait(1, "shop", PacketsAs::kOrder);
  EXPECT_EQ(SpoolStore::spool_in(folder_ / "data"), folder_ / "data/spool");
  EXPECT_EQ(SpoolStore::spool_in(folder_ / "data/spool"), folder_ / "data/spool");
  EXPECT_EQ(SpoolStore::spool_in(folder_.path()), "");
  EXPECT_EQ(SpoolStore::spool_in(folder_ / "nowhere"), "");
}

}  // namespace
}  // namespace baleen::record
