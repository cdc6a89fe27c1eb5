#include "index/encryption.h"

#include <gtest/gtest.h>

#include "index/recording_reader.h"
#include "item/json.h"
#include "record/harness.h"

// Blocks that are encrypted: no text of theirs is in the spool or in the bucket, and with the key all is there.

namespace baleen::record {
namespace {

std::shared_ptr<const index::KeyRing> ring(std::initializer_list<std::string> texts) {
  auto out = std::make_shared<index::KeyRing>();
  for (const std::string& text : texts) EXPECT_TRUE(out->add_text(text, "test"));
  return out;
}

const std::string kFirst = "first:" + std::string(64, '1'), kSecond = "second:" + std::string(64, '2');

/// What packets and items of stream 7 hold in clear text.
constexpr std::string_view kPayload = "xxxxxxxxxxxxxxxxxxxxxxxx", kPath = "/s/7/";

void expect_secret(const std::string& folder, bool items) {
  for (const std::string& file : files_below(folder)) {
    const std::string content = read_whole(file);
    EXPECT_EQ(content.find(kPayload), std::string::npos) << file;
    EXPECT_TRUE(!items || content.find(kPath) == std::string::npos) << file;
    EXPECT_TRUE(!items || !content.starts_with("PAR1")) << file;
  }
}

struct Read {
  uint64_t items = 0, packets = 0, requests = 0;
  std::vector<Error> problems;
};

Read read_back(const std::string& bucket, std::shared_ptr<const index::KeyRing> keys, std::string cache = {}) {
  Read out;
  auto store = store::open(*store::Location::parse("file://" + bucket));
  EXPECT_TRUE(store);
  index::RecordingReader reader(**store, "", std::move(cache));
  reader.set_keys(std::move(keys));
  index::ReadQuery query;
  const auto items = reader.items(query, [&](const index::StoredItem& item) {
    EXPECT_EQ(path_of(item.json).substr(0, kPath.size()), kPath);
    return ++out.items != 0;
  });
  std::string pcapng;
  const auto packets = reader.packets(query, [&](std::string_view bytes) { pcapng += bytes; });
  if (packets && packets->written != 0) {
    for (const PacketRead& p : read_pcapng(pcapng)) {
      EXPECT_EQ(name_of(p.bytes).stream, 7u);
      EXPECT_NE(p.bytes.find(kPayload), std::string::npos);
      ++out.packets;
    }
  }
  out.problems = reader.problems();
  // What concerns all ends the call.
  for (const Error* e : {items ? nullptr : &items.error(), packets ? nullptr : &packets.error()})
    if (e != nullptr && out.problems.empty()) out.problems.push_back(*e);
  return out;
}

class EncryptionTest : public testing::TestWithParam<bool> {
 protected:
  /// Records `packets` packets and three items of stream 7.
  void record(std::shared_ptr<const index::KeyRing> keys, const std::string& run, uint64_t packets = 500) {
    RecorderOptions options = recorder_options(folder_ / "spool", run);
    options.encryption = {std::move(keys), GetParam()};
    Shard shard(folder_.path(), std::move(options));
    shard->set_recordings({{"all", filter("http"), "file://" + folder_ / "bucket"}});
    for (int i = 0; i < 3; ++i) {
      shard.packets(7, packets / 4, 800);
      shard.item(7);
      shard->settle();
      expect_secret(folder_ / "spool", true);
    }
    shard.packets(7, packets / 4, 800);
    shard->stop(std::chrono::seconds(20));
    EXPECT_EQ(shard->status().write_errors, 0u) << shard->status().last_error;
    EXPECT_EQ(shard->status().spool.waiting_blocks, 0u);
  }
  ScratchFolder folder_;
};

TEST_P(EncryptionTest, NothingIsReadWithoutTheKeyAndAllWithIt) {
  record(ring({kFirst}), "00000001");
  expect_secret(folder_ / "bucket", GetParam());
  const Read with = read_back(folder_ / "bucket", ring({kSecond, kFirst}));
  EXPECT_EQ(with.items, 3u);
  EXPECT_EQ(with.packets, 500u);
  EXPECT_TRUE(with.problems.empty());
  struct Row {
    std::shared_ptr<const index::KeyRing> keys;
    const char* message;
  };
  for (const Row& row : {Row{nullptr, "--decryption-key"}, Row{ring({kSecond}), "is not among the 1 given"},
                         Row{ring({"first:" + std::string(64, '3')}), "is not the one it was encrypted with"}}) {
    const Read without = read_back(folder_ / "bucket", row.keys);
    EXPECT_EQ(without.items, GetParam() ? 0u : 3u);
    EXPECT_EQ(without.packets, 0u);
    EXPECT_FALSE(without.problems.empty());
    for (const Error& problem : without.problems) {
      EXPECT_EQ(problem.code, row.keys ? Code::kInvalid : Code::kDenied);
      EXPECT_NE(problem.message.find(row.message), std::string::npos) << problem.message;
    }
  }
}

TEST_P(EncryptionTest, KeysAreChangedAndOldBlocksStayReadable) {
  record(ring({kFirst}), "00000001");
  record(ring({kSecond, kFirst}), "00000002");
  EXPECT_EQ(read_back(folder_ / "bucket", ring({kFirst, kSecond})).packets, 1000u);
  const Read half = read_back(folder_ / "bucket", ring({kSecond}));
  EXPECT_EQ(half.packets, 500u);
  EXPECT_EQ(half.problems.size(), GetParam() ? 2u : 1u);
}

TEST_P(EncryptionTest, TheCacheHoldsNoText) {
  record(ring({kFirst}), "00000001");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(read_back(folder_ / "bucket", ring({kFirst}), folder_ / "cache").items, 3u);
  expect_secret(folder_ / "cache", GetParam());
}

TEST_P(EncryptionTest, DamageIsSeen) {
  record(ring({kFirst}), "00000001");
  for (const std::string& file : files_below(folder_ / "bucket", ".pcapng")) {
    std::string content = read_whole(file);
    content[content.size() / 2] ^= 1;
    write_whole(file, content);
  }
  const Read damaged = read_back(folder_ / "bucket", ring({kFirst}));
  EXPECT_EQ(damaged.packets, 0u);
  ASSERT_EQ(damaged.problems.size(), 1u);
  EXPECT_NE(damaged.problems[0].message.find("not what was encrypted"), std::string::npos);
}

TEST_P(EncryptionTest, WhatACrashLeftIsRecoveredAtEveryCut) {
  const Encryption encryption{ring({kFirst}), GetParam()};
  item::ItemPool pool;
  const std::string whole = folder_ / "whole";
  {
    auto block = BlockWriter::create(whole, {"all", "http", "file:///b", "node-1", "", "00000001", 1}, encryption);
    ASSERT_TRUE(block);
    for (uint64_t i = 0; i < 6; ++i) {
      ASSERT_TRUE((*block)->add_packet(stream_file(7), recorded(named_packet({7, i}, 100))));
      ASSERT_TRUE((*block)->add_item(*http_item(pool, 7, i)));
      ASSERT_TRUE(i % 2 == 0 || (*block)->flush());
    }
  }
  expect_secret(whole, true);
  EXPECT_FALSE(BlockWriter::recover(whole, {}));
  EXPECT_FALSE(BlockWriter::recover(whole, {ring({kSecond}), false}));
  const std::string packets = read_whole(whole + "/packets.journal");
  uint64_t before = 0;
  for (size_t cut = 0; cut < packets.size(); cut += 7) {
    const std::string copy = folder_ / "copy";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(whole, copy);
    write_whole(copy + "/packets.journal", packets.substr(0, cut));
    auto block = BlockWriter::recover(copy, encryption);
    ASSERT_TRUE(block) << block.error().message;
    EXPECT_GE((*block)->packets(), before);
    EXPECT_EQ((*block)->packets() % 2, 0u) << "frames are whole or not there";
    EXPECT_EQ((*block)->items(), 6u);
    before = (*block)->packets();
    // It goes on where it was cut.
    ASSERT_TRUE((*block)->add_packet(stream_file(7), recorded(named_packet({7, 9}, 100))));
    const auto record = (*block)->finish({}, {});
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->packets, before + 1);
    const auto cipher = index::cipher_of(*record, record->packets_object, encryption.keys.get());
    ASSERT_TRUE(cipher && *cipher);
    const auto text = (*cipher)->open_all(read_whole(copy + "/packets.pcapng"));
    ASSERT_TRUE(text);
    EXPECT_EQ(read_pcapng(*text).size(), before + 1);
  }
  EXPECT_EQ(before, 4u) << "the last cut lies before the end";
}

INSTANTIATE_TEST_SUITE_P(, EncryptionTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "WithItems" : "PacketsOnly"; });

}  // namespace
}  // namespace baleen::record
