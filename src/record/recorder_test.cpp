#include "record/recorder.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <thread>

#include "index/recording_reader.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

class RecorderTest : public testing::Test {
 protected:
  std::string bucket(std::string_view name = "bucket") const { return folder_ / name; }
  Recording recording(std::string name, std::string_view pattern = "http",
                      std::string_view bucket_name = "bucket") const {
    return {std::move(name), filter(pattern), "file://" + bucket(bucket_name)};
  }
  RecorderOptions options(std::string run = "00000001") const {
    return recorder_options(folder_ / "spool", std::move(run));
  }
  /// Ends, and looks at the numbers: they balance, and nothing is left in the spool.
  static index::LossLedger finish(Shard& shard) {
    shard->stop(seconds(20));
    const Recorder::Status status = shard->status();
    const index::LossLedger& l = status.ledger;
    EXPECT_TRUE(l.balances());
    EXPECT_EQ(l.items_seen, shard.items());
    EXPECT_EQ(l.items_in_flight, 0u);
    EXPECT_EQ(l.packets_in_flight, 0u);
    EXPECT_EQ(l.packets_captured, shard.numbers().packets);
    EXPECT_EQ(status.spool.waiting_blocks, 0u) << status.spool.last_error;
    EXPECT_EQ(status.spool.refused_blocks, 0u) << status.spool.last_error;
    EXPECT_EQ(status.write_errors, 0u) << status.last_error;
    return l;
  }
  /// The packets of these streams, all of them, once.
  static void expect_whole(const Kept& kept, Shard& shard, std::initializer_list<uint64_t> streams) {
    uint64_t expected = 0;
    for (const uint64_t stream : streams)
      for (uint64_t n = 0; n < shard.packets_of(stream); ++n, ++expected)
        EXPECT_EQ(kept.packets.contains({stream, n}) ? kept.packets.at({stream, n}) : 0, 1) << stream << " " << n;
    EXPECT_EQ(kept.packets.size(), expected) << "and of no other stream";
  }

  ScratchFolder folder_;
};

TEST_F(RecorderTest, AMatchKeepsTheWholeStreamFromTheFirstPacketToTheLast) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http && status_code == 500")});
  shard.packets(1, 20);
  shard.packets(2, 20);
  shard.item(1, 200);
  shard.item(2, 200);
  shard->settle();
  shard.item(1, 500);  // now it matches: what came before is kept too
  shard.packets(1, 15);
  shard.packets(2, 15);
  shard->settle();
  shard.packets(1, 10);
  shard.item(1, 200);
  shard.packets(1, 5);
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  expect_whole(kept, shard, {1});
  EXPECT_EQ(kept.items, (std::map<std::string, int>{{"/s/1/1", 1}}));
  EXPECT_EQ(ledger.items_stored, 1u);
  EXPECT_EQ(ledger.items_not_matched, 3u);
  EXPECT_EQ(ledger.packets_stored, 50u);
  EXPECT_EQ(ledger.packets_lost_recorder, 0u);
}

TEST_F(RecorderTest, LatePacketsOfAStreamThatHasEndedAreKept) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all")});
  shard.packets(1, 5);
  shard.item(1);
  shard.end(1);
  std::this_thread::sleep_for(milliseconds(450));
  shard.packets(1, 3);  // the last ACK, a retransmission
  finish(shard);
  expect_whole(read_kept(bucket()), shard, {1});
}

TEST_F(RecorderTest, APatternThatComesInTheMiddleOfAStreamKeepsItFromItsFirstPacketOn) {
  Shard shard(folder_.path(), options());
  shard.packets(1, 30);
  shard.item(1);
  shard->settle();
  shard->set_recordings({recording("late")});
  shard.packets(1, 10);
  shard.item(1);
  shard.packets(1, 10);
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  expect_whole(kept, shard, {1});
  EXPECT_EQ(kept.items, (std::map<std::string, int>{{"/s/1/1", 1}})) << "items from the change on";
  EXPECT_EQ(ledger.items_not_matched, 1u);
}

TEST_F(RecorderTest, APatternThatGoesEndsItsRecordingAndKeepsWhatCameBefore) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all")});
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  shard->set_recordings({});
  shard->settle();
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 10u);
  EXPECT_EQ(kept.packets.rbegin()->first.number, 9u);
  EXPECT_EQ(kept.items.size(), 1u);
  EXPECT_EQ(ledger.items_not_matched, 1u);
}

TEST_F(RecorderTest, WhatWasOfferedBeforeAChangeIsKeptUnderTheOldPatterns) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all")});
  shard->settle();
  for (uint64_t n = 0; n < 200; ++n) shard.item(n % 5);
  shard->set_recordings({});  // while they wait in the ring
  for (uint64_t n = 0; n < 10; ++n) shard.item(n % 5);
  const index::LossLedger ledger = finish(shard);
  EXPECT_EQ(read_kept(bucket()).items.size(), 200u);
  EXPECT_EQ(ledger.items_stored, 200u);
}

TEST_F(RecorderTest, SeveralRecordingsOverOneStreamAreEachWhole) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http", "one"), recording("errors", "http && status_code >= 500", "two"),
                         recording("dns", "dns", "three"), recording("same", "http", "four")});
  for (int i = 0; i < 30; ++i) {
    shard.packets(1, 2);
    shard.packets(2, 1);
    shard.item(1, i == 17 ? 503 : 200);
    shard.item(2, 200);
    if (i % 10 == 0) shard->settle();
  }
  finish(shard);
  for (const char* name : {"one", "four"}) {
    const Kept kept = read_kept(bucket(name));
    expect_whole(kept, shard, {1, 2});
    EXPECT_EQ(kept.items.size(), 60u);
    for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
  }
  const Kept errors = read_kept(bucket("two"));
  expect_whole(errors, shard, {1});
  EXPECT_EQ(errors.items.size(), 1u);
  EXPECT_TRUE(files_below(bucket("three")).empty()) << "no empty blocks";
}

TEST_F(RecorderTest, AnItemSaysWhichRecordingsItBelongsTo) {
  Shard shard(folder_.path(), options());
  item::ItemPool pool;
  const auto offered = [&](int status) {
    const item::ItemRef item = http_item(pool, 1, 0, status);
    shard->offer(item);
    return item;
  };
  EXPECT_EQ(offered(200)->record, "");
  shard->set_recordings({recording("a"), recording("errors", "http and response.status == 500")});
  const item::ItemRef fine = offered(200), bad = offered(500);
  EXPECT_EQ(fine->record, "a");
  EXPECT_EQ(bad->record, "a,errors");
  EXPECT_TRUE(filter("record(\"errors\")").matches(*bad));
  EXPECT_TRUE(filter("record(\"a\") and !record(\"errors\")").matches(*fine));
  EXPECT_FALSE(filter("record(\"err\")").matches(*bad));
  shard->stop(seconds(20));
  auto store = store::open(*store::Location::parse("file://" + bucket()));
  ASSERT_TRUE(store);
  for (const auto& [pattern, count] : {std::pair{"record(\"a\")", 2},
                                       {"record(\"errors\")", 1},
                                       {"record(\"b\")", 0},
                                       {"record(\"a\") or record(\"errors\")", 3}}) {
    index::RecordingReader reader(**store, "");
    index::ReadQuery query;
    query.filter = filter(pattern);
    int found = 0;
    ASSERT_TRUE(reader.items(query, [&](const index::StoredItem&) { return ++found != 0; }));
    EXPECT_EQ(found, count) << pattern << ": once in each recording's own blocks";
  }
}

TEST_F(RecorderTest, OneRecordingOfSeveralGoesAndTheOthersGoOn) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("a", "http", "one"), recording("b", "http", "two")});
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  shard->set_recordings({recording("b", "http", "two"), recording("c", "http", "three")});
  shard->settle();
  shard.packets(1, 10);
  shard.item(1);
  finish(shard);
  EXPECT_EQ(read_kept(bucket("one")).packets.size(), 10u);
  const Kept b = read_kept(bucket("two"));
  expect_whole(b, shard, {1});
  EXPECT_EQ(b.blocks.size(), 1u) << "it was not interrupted";
  expect_whole(read_kept(bucket("three")), shard, {1});
}

TEST_F(RecorderTest, BlocksCloseAtTheirSizeAndNothingIsTwiceOrMissing) {
  RecorderOptions o = options();
  o.block_bytes = 20'000;
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording("all")});
  for (int i = 0; i < 60; ++i) {
    for (uint64_t stream = 1; stream <= 4; ++stream) {
      shard.packets(stream, 5);
      shard.item(stream);
    }
    if (i % 6 == 0) shard->settle();
  }
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  expect_whole(kept, shard, {1, 2, 3, 4});
  EXPECT_EQ(kept.items.size(), 240u);
  for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
  EXPECT_GE(kept.blocks.size(), 4u);
  std::set<std::string> names;
  uint64_t last = 0;
  for (const index::BlockRecord& block : kept.blocks) {
    names.insert(block.block);
    last = std::max(last, block.ledger.items_stored);
    EXPECT_LE(block.ledger.items_seen, ledger.items_seen);
  }
  EXPECT_EQ(names.size(), kept.blocks.size());
  EXPECT_EQ(last, 240u) << "the last block's ledger tells the whole";
}

TEST_F(RecorderTest, BlocksCloseAtTheirAge) {
  RecorderOptions o = options();
  o.block_age = milliseconds(100);
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording("all")});
  shard.packets(1, 10);
  shard.item(1);
  ASSERT_TRUE(eventually([&] {
    const Recorder::Status s = shard->status();
    return s.spool.waiting_blocks + s.spool.uploaded_blocks > 0;
  })) << "without more traffic";
  shard.packets(1, 10);
  finish(shard);
  const Kept kept = read_kept(bucket());
  expect_whole(kept, shard, {1});
  EXPECT_GE(kept.blocks.size(), 2u) << "the stream goes on in the next block";
}

TEST_F(RecorderTest, PacketsThatWereOverwrittenBeforeTheyCouldBeKeptAreInTheLedger) {
  Shard shard(folder_.path(), options(), 64 << 10);
  shard->set_recordings({recording("all")});
  shard.packets(1, 3000);
  shard.item(1);
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_GT(ledger.packets_lost_recorder, 0u);
  EXPECT_EQ(ledger.packets_lost_recorder, shard.flight().overwritten_packets());
  EXPECT_EQ(ledger.packets_lost_recorder + ledger.packets_stored, 3000u);
  EXPECT_EQ(kept.packets.size(), ledger.packets_stored);
  EXPECT_EQ(kept.packets.rbegin()->first.number, 2999u);
  ASSERT_EQ(kept.blocks.size(), 1u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_lost_recorder, ledger.packets_lost_recorder);
}

TEST_F(RecorderTest, TruncatedPacketsAndTheKernelsDropsAreInTheLedger) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all")});
  shard.numbers().dropped_by_kernel = 17;
  shard.packets(1, 4);
  shard.packets(1, 3, 60, 9000);
  shard.item(1);
  const index::LossLedger ledger = finish(shard);
  EXPECT_EQ(ledger.packets_truncated, 3u);
  EXPECT_EQ(ledger.packets_dropped_kernel, 17u);
  const Kept kept = read_kept(bucket());
  ASSERT_EQ(kept.blocks.size(), 1u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_truncated, 3u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_dropped_kernel, 17u);
  EXPECT_EQ(kept.blocks[0].ledger.packets_captured, 7u);
}

TEST_F(RecorderTest, AFullQueueDropsItemsAndCountsThem) {
  RecorderOptions o = options();
  o.ring_items = 4;
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording("all")});
  for (int i = 0; i < 2000; ++i) shard.item(1 + i % 3);
  const index::LossLedger ledger = finish(shard);
  EXPECT_GT(ledger.items_dropped_queue, 0u);
  EXPECT_EQ(ledger.items_stored + ledger.items_dropped_queue, 2000u);
  EXPECT_EQ(read_kept(bucket()).items.size(), ledger.items_stored);
}

TEST_F(RecorderTest, ABucketThatIsAwayStopsNothingAndGetsEverythingLater) {
  std::atomic<bool> away{true};
  RecorderOptions o = options();
  o.block_bytes = 10'000;
  o.open_store = [&](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
    if (away) return Error{Code::kUnavailable, "the bucket is away"};
    return store::open(location);
  };
  uint64_t packets = 0;
  {
    Shard shard(folder_.path(), o);
    shard->set_recordings({recording("all")});
    for (int i = 0; i < 20; ++i) {
      shard.packets(1, 20);
      shard.item(1);
      shard->settle();
    }
    shard->stop(Duration{0});
    const Recorder::Status status = shard->status();
    EXPECT_GE(status.spool.waiting_blocks, 2u);
    EXPECT_EQ(status.ledger.items_stored, 20u);
    EXPECT_EQ(status.write_errors, 0u);
    packets = shard.packets_of(1);
  }
  EXPECT_TRUE(files_below(bucket()).empty());
  away = false;
  o.run = "00000002";
  Shard next(folder_.path(), o);
  finish(next);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), packets);
  EXPECT_EQ(kept.items.size(), 20u);
  for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.number;
}

TEST_F(RecorderTest, WhatACrashLeftOpenIsFinishedAtTheNextStart) {
  fs::create_directories(folder_ / "spool/open");
  const auto block_at = [&](const std::string& name, uint64_t stream) {
    auto block = BlockWriter::create(folder_ / ("spool/open/" + name),
                                     {"all", "http", "file://" + bucket(), "node-1", "", "0a1b2c3d", stream});
    EXPECT_TRUE(block);
    for (uint64_t n = 0; n < 5; ++n) {
      const net::OwnedPacket packet = named_packet({stream, n});
      EXPECT_TRUE((*block)->add_packet(stream_file(stream), recorded(packet)));
    }
    EXPECT_TRUE((*block)->sync());
    return *std::move(block);
  };
  block_at("1-open", 1);
  EXPECT_TRUE(block_at("2-finished", 2)->finish({}, {}));  // died before it was moved
  fs::create_directories(folder_ / "spool/open/3-nothing");
  write_whole(folder_ / "spool/open/3-nothing/owner.json.part", "{");
  block_at("4-torn", 4);
  const std::string journal = folder_ / "spool/open/4-torn/packets.journal";
  fs::resize_file(journal, fs::file_size(journal) - 1);
  block_at("5-damaged", 5);
  write_whole(folder_ / "spool/open/5-damaged/owner.json", "{");
  Shard shard(folder_.path(), options());
  finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.blocks.size(), 3u);
  EXPECT_EQ(kept.packets.size(), 5u + 5 + 4);
  EXPECT_TRUE(fs::exists(folder_ / "spool/open/5-damaged/packets.journal")) << "what cannot be read is not thrown away";
  EXPECT_FALSE(fs::exists(folder_ / "spool/open/3-nothing"));
  for (const index::BlockRecord& block : kept.blocks)
    if (block.streams[0].stream != stream_file(2)) {
      EXPECT_EQ(block.ledger.packets_stored, block.packets) << "what is known of its process";
    }
}

TEST_F(RecorderTest, APatternThatChangesOverOneStreamMakesBlocksThatDoNotMeet) {
  Shard shard(folder_.path(), options());
  const char* const patterns[] = {"http", "http && status_code == 200", "", "http", "http && status_code == 200"};
  uint64_t turns = 0;
  for (const char* pattern : patterns) {
    if (*pattern != 0) {
      shard->set_recordings({recording("all", pattern)});
      ++turns;
    } else {
      shard->set_recordings({});
    }
    shard->settle();
    shard.packets(1, 10);
    shard.item(1);
    shard->settle();
  }
  finish(shard);  // no name was taken
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.blocks.size(), turns) << "each from where the one before it ended";
  expect_whole(kept, shard, {1});
  EXPECT_EQ(kept.items.size(), turns);
  for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
}

TEST_F(RecorderTest, ChangesThatComeAtOnceAreEachInForceForTheirItems) {
  Shard shard(folder_.path(), options());
  constexpr uint64_t kChanges = 60;
  for (uint64_t i = 0; i < kChanges; ++i) {
    shard->set_recordings(
        {recording("r" + std::to_string(i % 7), i % 2 == 0 ? "http" : "http and response.status > 99")});
    shard.packets(i, 1);
    shard.item(i);
  }
  shard->set_recordings({});
  const index::LossLedger ledger = finish(shard);
  EXPECT_EQ(ledger.items_stored, kChanges);
  EXPECT_EQ(ledger.items_not_matched, 0u);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.items.size(), kChanges);
  for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
  EXPECT_EQ(kept.packets.size(), kChanges);
}

TEST_F(RecorderTest, AStreamGoesOnUnderAnotherPatternUntilItEnds) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http")});
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  shard->set_recordings({recording("all", "http and response.status > 99")});
  shard->settle();
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  std::this_thread::sleep_for(milliseconds(2300));  // longer than a stream that has ended is looked at
  shard.packets(1, 10);
  finish(shard);
  expect_whole(read_kept(bucket()), shard, {1});
}

TEST_F(RecorderTest, AnotherDestinationGetsItsStreamsWhole) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http")});
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  shard->set_recordings({recording("all", "http", "other")});
  shard->settle();
  shard.packets(1, 10);
  shard.item(1);
  finish(shard);
  EXPECT_EQ(read_kept(bucket()).packets.size(), 10u);
  expect_whole(read_kept(bucket("other")), shard, {1});
}

TEST_F(RecorderTest, PacketsThatTheFlightRecorderRefusesAreInTheLedger) {
  Shard shard(folder_.path(), options(), 64 << 10);  // segments of 8 KiB
  shard->set_recordings({recording("all")});
  shard.packets(1, 3);
  shard.packets(1, 2, 9000);  // larger than a segment
  shard.packets(2, 1, 9000);  // of a stream that does not match
  shard.packets(1, 3);
  shard.item(1);
  const index::LossLedger ledger = finish(shard);
  EXPECT_EQ(ledger.packets_refused_recorder, 3u);
  EXPECT_EQ(ledger.packets_lost_recorder, 2u);
  EXPECT_EQ(ledger.packets_stored, 6u);
  EXPECT_EQ(ledger.packets_matched, 8u);
}

TEST_F(RecorderTest, AnItemThatComesAfterItsStreamsEndReadsNothingTwice) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all")});
  shard.packets(1, 20);
  shard.item(1);
  shard.end(1);
  std::this_thread::sleep_for(milliseconds(2500));
  shard.packets(1, 5);
  shard.item(1);
  finish(shard);
  const Kept kept = read_kept(bucket());
  expect_whole(kept, shard, {1});
  EXPECT_EQ(kept.items.size(), 2u);
}

TEST_F(RecorderTest, TheLedgerBalancesAtEveryMoment) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({recording("all", "http && status_code == 500")});
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    uint64_t seen = 0;
    while (!done) {
      const index::LossLedger l = shard->status().ledger;
      EXPECT_TRUE(l.balances());
      EXPECT_GE(l.items_seen, seen);
      EXPECT_LT(l.items_in_flight, 100'000u) << "nothing is negative";
      seen = l.items_seen;
    }
  });
  for (int i = 0; i < 20'000; ++i) shard.item(1 + i % 5, i % 3 == 0 ? 500 : 200);
  done = true;
  watcher.join();
  const index::LossLedger ledger = finish(shard);
  EXPECT_EQ(ledger.items_stored, 6667u);
}

TEST_F(RecorderTest, AFullDiskIsCountedAndWhatWasTakenInIsKeptWhenThereIsRoom) {
  RecorderOptions o = options();
  o.block_bytes = 50'000;
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording("all")});
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  {
    const FileSizeLimit full(2'000);
    for (int i = 0; i < 30; ++i) {
      shard.packets(1, 30);
      shard.item(1);
      shard->settle();
    }
    EXPECT_GT(shard->status().write_errors, 0u);
    EXPECT_NE(shard->status().last_error, "");
    EXPECT_TRUE(shard->status().ledger.balances());
  }
  shard.packets(1, 10);
  shard.item(1);
  shard->settle();
  shard->stop(seconds(20));
  const Recorder::Status status = shard->status();
  EXPECT_EQ(status.finishing_blocks, 0u) << "tried again, and done";
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), status.ledger.packets_stored);
  EXPECT_EQ(kept.items.size(), status.ledger.items_stored);
  EXPECT_EQ(status.ledger.packets_stored + status.ledger.packets_lost_recorder, shard.packets_of(1));
  EXPECT_EQ(status.ledger.items_stored + status.ledger.items_failed, shard.items());
  EXPECT_TRUE(status.ledger.balances());
  for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.number;
}

TEST_F(RecorderTest, AnEndWithoutAStopLosesNothing) {
  {
    Shard shard(folder_.path(), options());
    shard->set_recordings({recording("all")});
    shard.packets(1, 10);
    shard.item(1);
    shard.packets(1, 10);
  }
  Shard shard(folder_.path(), options("00000002"));
  finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 20u);
  EXPECT_EQ(kept.items.size(), 1u);
}

TEST_F(RecorderTest, AnyTrafficAndAnyChangesBalance) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    RecorderOptions o = options("0000000" + std::to_string(seed));
    o.block_bytes = 20'000 + random() % 100'000;
    o.ring_items = seed % 2 == 0 ? 64 : 1 << 12;
    const std::string names[] = {"a" + std::to_string(seed), "b" + std::to_string(seed), "c" + std::to_string(seed)};
    Shard shard(folder_.path(), o);
    std::vector<Recording> recordings = {recording("r0", "http", names[0]),
                                         recording("r1", "http && status_code == 500", names[1]),
                                         recording("r2", R"(http && path.contains("/3/"))", names[2])};
    std::set<uint64_t> ended;
    for (int i = 0; i < 1500; ++i) {
      const uint64_t stream = random() % 40;
      if (ended.contains(stream)) continue;
      shard.packets(stream, random() % 4, random() % 300);
      if (random() % 2 == 0) shard.item(stream, random() % 5 == 0 ? 500 : 200);
      if (random() % 100 == 0) shard.end(*ended.insert(stream).first);
      if (random() % 700 == 0 && recordings.size() > 1)
        recordings.erase(recordings.begin() + random() % recordings.size());
      if (i == 50 || random() % 300 == 0) shard->set_recordings(recordings);
      if (random() % 200 == 0) shard->settle();
    }
    const index::LossLedger ledger = finish(shard);
    uint64_t packets = 0;
    std::set<std::string> paths;
    for (const std::string& name : names) {
      const Kept kept = read_kept(bucket(name));
      for (const auto& [packet, times] : kept.packets) EXPECT_EQ(times, 1) << packet.stream << " " << packet.number;
      for (const auto& [path, times] : kept.items) {
        EXPECT_EQ(times, 1) << path;
        paths.insert(path);
      }
      packets += kept.packets.size();
    }
    EXPECT_GT(packets, 0u);
    EXPECT_EQ(packets, ledger.packets_stored);
    EXPECT_EQ(paths.size(), ledger.items_stored) << "an item that several recordings keep is counted once";
  }
}

TEST_F(RecorderTest, ThirtyTwoRecordingsAtOnce) {
  Shard shard(folder_.path(), options());
  std::vector<Recording> recordings;
  for (int i = 0; i < 32; ++i)
    recordings.push_back(recording("r" + std::to_string(i), "http", "b" + std::to_string(i)));
  shard->set_recordings(recordings);
  shard.packets(1, 3);
  shard.item(1);
  finish(shard);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(read_kept(bucket("b" + std::to_string(i))).packets.size(), 3u) << i;
}

/// What a process that is about to be killed has been promised.
struct Promised {
  std::atomic<uint64_t> batches{0};
  std::atomic<bool> begun{false};
};

/// Records until it is killed; settle() is the promise that what came before it is kept.
[[noreturn]] void record_until_killed(const std::string& folder, RecorderOptions options, const Recording& recording,
                                      uint64_t first_stream, unsigned seed, Promised& promised) {
  std::mt19937 random(seed);
  Shard shard(folder, std::move(options));
  shard->set_recordings({recording});
  promised.begun = true;
  const uint64_t stop_at = random() % 30;
  for (uint64_t batch = 0;; ++batch) {
    for (uint64_t stream = first_stream; stream < first_stream + 3; ++stream) {
      shard.packets(stream, 4);
      shard.item(stream);
    }
    shard->settle();
    promised.batches = batch + 1;
    if (batch != stop_at) continue;
    shard->stop(seconds(20));
    ::_exit(0);
  }
}

TEST_F(RecorderTest, KillAtAnyInstantLosesNothingThatWasPromisedAndDoublesNothing) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kChains = 2, kKills = 20;
#else
  constexpr int kChains = 10, kKills = 20;
#endif
  const unsigned seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  uint64_t promised_packets = 0;
  int killed = 0;
  for (int chain = 0; chain < kChains; ++chain) {
    const ScratchFolder folder;
    const bool bucket_is_away = chain % 2 == 1;
    RecorderOptions o = options();
    o.spool_folder = folder / "spool";
    o.block_bytes = 5'000 + random() % 50'000;
    const Recording all{"all", filter("http"), "file://" + (folder / "bucket")};
    uint64_t batches[kKills];
    for (int kill = 0; kill < kKills; ++kill) {
      auto* const promised = new (shared) Promised;
      const unsigned child_seed = static_cast<unsigned>(random());
      const auto delay = std::chrono::microseconds(random() % 12'000);
      const pid_t child = ::fork();
      if (child == 0) {
        RecorderOptions mine = o;
        mine.run = "run" + std::to_string(kill);
        if (bucket_is_away)
          mine.open_store = [](const store::Location&) -> Result<std::unique_ptr<store::ObjectStore>> {
            return Error{Code::kUnavailable, "away"};
          };
        record_until_killed(folder.path(), mine, all, static_cast<uint64_t>(kill + 1) * 10, child_seed, *promised);
      }
      // Three of four die while they record, the others whenever: while they take up what the last one left, too.
      if (kill % 4 != 0) {
        ASSERT_TRUE(eventually([&] { return promised->begun.load(); }));
      }
      // However slow the machine is, some have promised something.
      if (kill % 4 == 1) {
        ASSERT_TRUE(eventually([&] { return promised->batches.load() > 0; }));
      }
      std::this_thread::sleep_for(delay);
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      killed += WIFSIGNALED(status) ? 1 : 0;
      ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << status;
      batches[kill] = promised->batches;
    }
    o.run = "last";
    {
      Shard last(folder.path(), o);
      last->stop(seconds(30));
      EXPECT_EQ(last->status().spool.waiting_blocks, 0u) << last->status().spool.last_error;
    }
    const Kept kept = read_kept(folder / "bucket");
    for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.stream << " " << name.number;
    for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
    for (int kill = 0; kill < kKills; ++kill)
      for (uint64_t stream = static_cast<uint64_t>(kill + 1) * 10; stream < static_cast<uint64_t>(kill + 1) * 10 + 3;
           ++stream)
        for (uint64_t batch = 0; batch < batches[kill]; ++batch) {
          for (uint64_t n = 0; n < 4; ++n)
            EXPECT_TRUE(kept.packets.contains({stream, batch * 4 + n})) << stream << " " << batch;
          EXPECT_TRUE(kept.items.contains("/s/" + std::to_string(stream) + "/" + std::to_string(batch)));
          promised_packets += 4;
        }
  }
  EXPECT_GT(promised_packets, 100u) << "the processes were killed before they did anything";
  EXPECT_GT(killed, kChains * kKills / 2);
  ::munmap(shared, 4096);
}

}  // namespace
}  // namespace baleen::record
