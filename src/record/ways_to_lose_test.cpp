// The ways in which recording by the published scripts loses, spoils or hides what it should keep, a test for each: the
// recorder, the spool, a real folder as the bucket, and the reader. docs/design/ways-to-lose.md is the table.

#include <gtest/gtest.h>

#include <thread>

#include "codec/pcap/reader.h"
#include "index/recording_reader.h"
#include "record/harness.h"
#include "record/recorder.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

class WaysToLose : public testing::Test {
 protected:
  std::string bucket() const { return folder_ / "bucket"; }
  Recording recording(std::string name = "all", std::string_view pattern = "http") const {
    return {std::move(name), filter(pattern), "file://" + bucket()};
  }
  RecorderOptions options(std::string run = "run1") const {
    return recorder_options(folder_ / "spool", std::move(run));
  }
  static void finish(Shard& shard) {
    shard->stop(seconds(20));
    EXPECT_EQ(shard->status().spool.waiting_blocks, 0u) << shard->status().spool.last_error;
  }
  ScratchFolder folder_;
};

TEST_F(WaysToLose, Way01_AStreamIsNotCopiedOnceAtItsFirstMatch) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording()});
  shard.packets(1, 3);
  shard.item(1);
  for (int i = 0; i < 5; ++i) {
    shard->settle();  // the first match has long been dealt with
    shard.packets(1, 40);
  }
  finish(shard);
  EXPECT_EQ(read_kept(bucket()).packets.size(), 203u);
}

TEST_F(WaysToLose, Way02_AFailedUploadIsTriedAgainAndLosesNoWindow) {
  std::atomic<bool> away{true};
  RecorderOptions o = options();
  o.block_bytes = 3'000;
  o.open_store = [&](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
    if (away) return Error{Code::kUnavailable, "503"};
    return store::open(location);
  };
  {
    Shard shard(folder_.path(), o);
    shard->set_recordings({recording()});
    for (int i = 0; i < 10; ++i) {
      shard.packets(1, 10);
      shard.item(1);
      shard->settle();
    }
    shard->stop(milliseconds(500));  // nothing has got through yet
    EXPECT_GT(shard->status().spool.waiting_blocks, 1u);
    EXPECT_GT(shard->status().spool.failed_tries, 0u);
  }
  o.run = "run2";
  Shard next(folder_.path(), o);
  std::thread heals([&] {
    std::this_thread::sleep_for(milliseconds(100));
    away = false;
  });
  finish(next);
  heals.join();
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 100u);
  EXPECT_EQ(kept.items.size(), 10u);
  EXPECT_TRUE(files_below(folder_ / "spool/ready").empty()) << "and no orphans are left";
}

TEST_F(WaysToLose, Way03_ARestartErasesNothingThatWasNotSent) {
  {
    RecorderOptions o = options();
    o.open_store = [](const store::Location&) -> Result<std::unique_ptr<store::ObjectStore>> {
      return Error{Code::kUnavailable, "503"};
    };
    Shard shard(folder_.path(), o);
    shard->set_recordings({recording()});
    shard.packets(1, 30);
    shard.item(1);
    shard->settle();
    // As after kill -9: the journals of the open block are all that there is.
    fs::copy(folder_ / "spool", folder_ / "killed", fs::copy_options::recursive);
  }
  Shard next(folder_.path(), recorder_options(folder_ / "killed", "run2"));
  finish(next);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 30u);
  EXPECT_EQ(kept.items.size(), 1u);
}

TEST_F(WaysToLose, Way04_NothingInTheBucketIsEverOverwritten) {
  // Three nodes, three starts each, the same recording, the same prefix, the same traffic at the same time.
  std::map<std::string, std::string> before;
  for (const char* node : {"a", "b", "c"})
    for (const char* run : {"run1", "run2", "run3"}) {
      RecorderOptions o = recorder_options(folder_ / (std::string("spool-") + node), run);
      o.node = node;
      Shard shard(folder_.path(), o);
      shard->set_recordings({recording()});
      shard.packets(1, 3);
      shard.item(1);
      finish(shard);
      for (const auto& [file, content] : before) EXPECT_EQ(read_whole(file), content) << file;
      for (const std::string& file : files_below(bucket())) before[file] = read_whole(file);
    }
  EXPECT_EQ(before.size(), 27u);
  EXPECT_EQ(read_kept(bucket()).blocks.size(), 9u);
}

TEST_F(WaysToLose, Way05_BlocksOfTheSameSecondHaveTheirOwnNames) {
  RecorderOptions o = options();
  o.block_bytes = 500;
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording()});
  shard.item(1);
  for (int i = 0; i < 20; ++i) {
    shard.packets(1, 10);  // a named packet is a millisecond after the one before
    shard->settle();
  }
  finish(shard);
  const Kept kept = read_kept(bucket());
  std::set<std::string> names;
  for (const index::BlockRecord& block : kept.blocks) names.insert(block.block);
  EXPECT_GE(kept.blocks.size(), 10u);
  EXPECT_EQ(names.size(), kept.blocks.size());
  EXPECT_EQ(kept.packets.size(), 200u);
}

TEST_F(WaysToLose, Way06_WhatWasForgottenBeforeItMatchedIsCounted) {
  Shard shard(folder_.path(), options(), 64 << 10);
  shard->set_recordings({recording()});
  shard.packets(1, 2000);
  shard.item(1);
  finish(shard);
  const Kept kept = read_kept(bucket());
  ASSERT_EQ(kept.blocks.size(), 1u);
  EXPECT_GT(kept.blocks[0].ledger.packets_lost_recorder, 0u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_lost_recorder + kept.packets.size(), 2000u) << "the bucket itself tells";
}

TEST_F(WaysToLose, Way07_EvictionDoesNotTouchWhatIsRecorded) {
  Shard shard(folder_.path(), options(), 64 << 10);
  shard->set_recordings({recording()});
  shard.packets(1, 50);
  shard.item(1);
  shard->settle();
  shard.packets(2, 5000);  // of no recording; many times what the flight recorder holds
  EXPECT_GT(shard.flight().overwritten_packets(), 4000u);
  EXPECT_FALSE(shard.flight().knows(1));
  finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 50u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_lost_recorder, 0u);
}

TEST_F(WaysToLose, Way08_NoSecretIsWrittenDown) {
  // Credentials come by the store that the recorder is given; what it keeps of a destination is its name.
  RecorderOptions o = options();
  o.open_store = [secret = std::string("PRIVATE KEY hunter2")](
                     const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
    store::OpenOptions with;
    with.gcs_service_account_json = secret;
    return store::open(location, with);
  };
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording()});
  shard.packets(1, 3);
  shard.item(1);
  shard->settle();
  std::vector<std::string> files = files_below(folder_ / "spool");
  ASSERT_GE(files.size(), 3u);
  for (const std::string& file : files) EXPECT_EQ(read_whole(file).find("hunter2"), std::string::npos) << file;
  finish(shard);
  for (const std::string& file : files_below(bucket()))
    EXPECT_EQ(read_whole(file).find("hunter2"), std::string::npos) << file;
}

TEST_F(WaysToLose, Way09_PacketsThatNobodyDissectedAreThereToo) {
  Shard shard(folder_.path(), options());
  Recording unknown;
  unknown.name = "unknown";
  unknown.destination = "file://" + bucket();
  unknown.by_filter = false;
  unknown.undissected = true;
  shard->set_recordings({unknown});
  for (uint64_t stream = 1; stream <= 5; ++stream) shard.packets(stream, 10);  // no item of any
  shard->stream_undissected({2});
  std::set<PacketName> found;
  shard.flight().read_all(timestamp_from_ns(0), [&](StreamKey key, const RecordedPacket& packet) {
    found.insert(name_of(as_text(packet.bytes)));
    EXPECT_EQ(key.number, name_of(as_text(packet.bytes)).stream);
  });
  EXPECT_EQ(found.size(), 50u) << "the last minutes of everything, matched or not";
  finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 10u) << "and in the bucket, when they are asked for";
  for (const auto& [name, times] : kept.packets) EXPECT_EQ(name.stream, 2u);
}

TEST_F(WaysToLose, Way10_TheBucketSaysWhatIsInItAndWhetherItIsWhole) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording()});
  shard.packets(1, 100, 1000);
  for (int i = 0; i < 500; ++i) shard.item(1);
  finish(shard);
  const Kept kept = read_kept(bucket());  // compares sizes and checksums of all objects with the record's
  ASSERT_EQ(kept.blocks.size(), 1u);
  const index::BlockRecord& block = kept.blocks[0];
  EXPECT_EQ(block.filter, "http");
  EXPECT_EQ(block.items_by_protocol, (std::map<std::string, uint64_t>{{"http", 500}}));
  EXPECT_EQ(block.pods, std::set<std::string>{"frontend-1"});
  EXPECT_EQ(block.streams.size(), 1u);
  uint64_t json = 0;
  index::ParquetQuery query;
  query.files = {bucket() + "/" + block.items_object.key};
  ASSERT_TRUE(
      index::read_parquet(query, [&](const index::StoredItem& item) { return (json += item.json.size()) != 0; }));
  EXPECT_LT(block.items_object.size * 5, json) << "items are compressed";
  // Every byte counts: an object that has changed is not taken for what was recorded.
  const std::string items = bucket() + "/" + block.items_object.key;
  std::string content = read_whole(items);
  content[content.size() / 2] ^= 1;
  write_whole(items, content);
  const auto store = store::open(*store::Location::parse(bucket()));
  index::RecordingReader reader(**store, "");
  EXPECT_TRUE(reader.items({}, [](const index::StoredItem&) { return true; }));
  ASSERT_EQ(reader.problems().size(), 1u);
  EXPECT_NE(reader.problems()[0].message.find(block.items_object.key), std::string::npos);
}

TEST_F(WaysToLose, Way11_WhatWasRecordedIsReadWithoutTheWriter) {
  {
    RecorderOptions o = options();
    o.block_bytes = 5'000;
    Shard shard(folder_.path(), o);
    shard->set_recordings({recording()});
    for (int i = 0; i < 10; ++i)
      for (uint64_t stream = 1; stream <= 4; ++stream) {
        shard.packets(stream, 5);
        shard.item(stream, stream == 3 && i == 7 ? 503 : 200);
        if (stream == 4) shard->settle();
      }
    finish(shard);
  }
  fs::remove_all(folder_ / "spool");
  const auto store = store::open(*store::Location::parse(bucket()));
  index::RecordingReader reader(**store, "");
  index::ReadQuery query;
  query.filter = filter("status_code == 503");
  std::vector<std::string> paths;
  ASSERT_TRUE(reader.items(query, [&](const index::StoredItem& item) {
    paths.push_back(path_of(item.json));
    return true;
  }));
  EXPECT_EQ(paths, std::vector<std::string>{"/s/3/7"});
  std::string pcapng;
  const auto packets = reader.packets(query, [&](std::string_view bytes) { pcapng += bytes; });
  ASSERT_TRUE(packets) << packets.error().message;
  EXPECT_EQ(packets->written, 50u) << "its whole stream, out of several blocks";
  std::set<PacketName> names;
  for (const PacketRead& packet : read_pcapng(pcapng)) names.insert(name_of(packet.bytes));
  EXPECT_EQ(names.size(), 50u);
  EXPECT_EQ(names.begin()->stream, 3u);
  EXPECT_TRUE(reader.problems().empty());
}

// Way 12, all nodes in the same second: SpoolTest.NodesThatCloseBlocksTogetherDoNotUploadTogether.

TEST_F(WaysToLose, Way13_EveryByteOfAStreamIsFoundByItsItem) {
  // The stream's packets before, between and after its items lie in the range that the item's row names.
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http && status_code == 500")});
  shard.packets(1, 10);
  shard.item(1, 200);
  shard.packets(2, 10);
  shard.packets(1, 10);
  shard.item(1, 500);
  shard.packets(1, 10);
  finish(shard);
  const Kept kept = read_kept(bucket());
  ASSERT_EQ(kept.blocks.size(), 1u);
  ASSERT_EQ(kept.blocks[0].streams.size(), 1u);
  EXPECT_EQ(kept.blocks[0].streams[0].packets, 30u);
  index::ParquetQuery query;
  query.files = {bucket() + "/" + kept.blocks[0].items_object.key};
  query.condition = "packets_offset = " + std::to_string(kept.blocks[0].streams[0].offset) +
                    " AND packets_length = " + std::to_string(kept.blocks[0].streams[0].length);
  uint64_t rows = 0;
  ASSERT_TRUE(index::read_parquet(query, [&](const index::StoredItem& item) {
    EXPECT_EQ(item.packets_object, kept.blocks[0].packets_object.key);
    return ++rows != 0;
  }));
  EXPECT_EQ(rows, 1u);
}

}  // namespace
}  // namespace baleen::record
