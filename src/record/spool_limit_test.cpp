// The spool's limit: whatever comes, its files never take more; what gives way is the user's choice; and all of it is
// in the ledger, and told by the blocks that follow.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "index/recording_reader.h"
#include "record/harness.h"
#include "record/recorder.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kLimit = 2 << 20;

/// What all files below a folder take; looks at it all the time.
class Watch {
 public:
  explicit Watch(std::string folder) : folder_(std::move(folder)), thread_([this] { run(); }) {}
  ~Watch() { stop(); }
  uint64_t stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    return largest_;
  }

 private:
  /// Files come and go during a walk. Those that were there before its end and still are after it were there together,
  /// and were no smaller than when they were looked at.
  void run() {
    while (!done_) {
      std::vector<std::pair<fs::path, uint64_t>> seen;
      std::error_code failed;
      for (fs::recursive_directory_iterator it(folder_, failed), end; !failed && it != end; it.increment(failed)) {
        std::error_code gone;
        const uint64_t size = it->is_regular_file(gone) ? it->file_size(gone) : 0;
        if (!gone) seen.emplace_back(it->path(), size);
      }
      uint64_t bytes = 0;
      for (const auto& [path, size] : seen)
        if (std::error_code gone; fs::exists(path, gone)) bytes += size;
      largest_ = std::max(largest_, bytes);
    }
  }
  std::string folder_;
  std::atomic<bool> done_{false};
  uint64_t largest_ = 0;
  std::thread thread_;
};

class SpoolLimit : public testing::Test {
 protected:
  std::string spool() const { return folder_ / "spool"; }
  std::string bucket() const { return folder_ / "bucket"; }
  Recording recording(const std::string& name) const { return {name, filter("http"), "file://" + bucket()}; }
  RecorderOptions options(WhenFull when_full, std::string run = "00000001") {
    RecorderOptions o = recorder_options(spool(), std::move(run));
    o.spool = {.spread = milliseconds(0), .first_pause = milliseconds(1), .longest_pause = milliseconds(20)};
    o.spool.limit_bytes = kLimit;
    o.spool.when_full = when_full;
    o.open_store = [this](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
      if (away_) return Error{Code::kUnavailable, "503"};
      return store::open(location);
    };
    return o;
  }
  /// `streams` streams of `packets` packets of about 1 KB and an item each.
  static void traffic(Shard& shard, uint64_t first, uint64_t streams, uint64_t packets, uint64_t at_once = 8) {
    for (uint64_t n = first; n < first + streams; ++n) {
      shard.packets(n, packets, 1000);
      shard.item(n);
      shard.end(n);
      if (n % at_once == 0) shard->settle();
    }
    shard->settle();
  }
  static void expect_balance(const Recorder::Status& s) {
    EXPECT_TRUE(s.ledger.items_balance());
    EXPECT_TRUE(s.ledger.packets_balance());
    EXPECT_EQ(s.spool.added_blocks, s.spool.uploaded_blocks + s.spool.waiting_blocks + s.spool.dropped_blocks);
    EXPECT_EQ(s.spool.added_bytes, s.spool.uploaded_bytes + s.spool.waiting_bytes + s.spool.dropped_bytes);
    EXPECT_EQ(s.ledger.blocks_dropped_spool, s.spool.dropped_blocks);
    EXPECT_EQ(s.ledger.bytes_dropped_spool, s.spool.dropped_bytes);
  }
  std::atomic<bool> away_{true};
  ScratchFolder folder_;
};

TEST_F(SpoolLimit, TheOldestBlockGivesWayAndAllIsAccountedFor) {
  Shard shard(folder_.path(), options(WhenFull::kDropOldest));
  Watch watch(spool());
  shard->set_recordings({recording("all")});
  traffic(shard, 0, 400, 20);  // 8 MB through 2 MiB
  EXPECT_GT(shard->status().ledger.blocks_dropped_spool, 5u);
  away_ = false;
  traffic(shard, 400, 20, 20);
  shard->stop(seconds(20));
  EXPECT_LE(watch.stop(), kLimit);
  const Recorder::Status s = shard->status();
  expect_balance(s);
  EXPECT_EQ(s.spool.waiting_blocks, 0u) << s.spool.last_error;
  EXPECT_EQ(s.ledger.items_in_flight + s.ledger.packets_in_flight, 0u);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.items.size() + s.ledger.items_dropped_spool + s.ledger.items_refused_spool, 420u);
  EXPECT_EQ(kept.packets.size() + s.ledger.packets_dropped_spool + s.ledger.packets_refused_spool, 420u * 20);
  for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.stream;
  EXPECT_TRUE(kept.packets.contains({419, 19})) << "the newest are there";
  EXPECT_FALSE(kept.packets.contains({0, 0})) << "the oldest are not";

  // The bucket itself tells what is missing.
  auto store = store::open(*store::Location::parse("file://" + bucket()));
  ASSERT_TRUE(store);
  index::RecordingReader reader(**store, "");
  const auto facts = reader.recordings();
  ASSERT_TRUE(facts && facts->size() == 1);
  uint64_t blocks = 0, items = 0, packets = 0, bytes = 0;
  for (const index::DroppedBlocks& d : (*facts)[0].dropped) {
    blocks += d.blocks;
    items += d.items;
    packets += d.packets;
    bytes += d.bytes;
  }
  EXPECT_EQ(blocks, s.ledger.blocks_dropped_spool);
  EXPECT_EQ(items, s.ledger.items_dropped_spool);
  EXPECT_EQ(packets, s.ledger.packets_dropped_spool);
  EXPECT_EQ(bytes, s.ledger.bytes_dropped_spool);
}

TEST_F(SpoolLimit, StreamsThatBeginAreRefusedAndThoseThatRunGoOn) {
  Shard shard(folder_.path(), options(WhenFull::kRefuseNewest));
  Watch watch(spool());
  shard->set_recordings({recording("all")});
  shard.packets(1'000'000, 5, 100);
  shard.item(1'000'000);          // runs from the beginning to the end
  traffic(shard, 0, 200, 20, 1);  // one by one: what is kept for those that run is 256 KiB here
  shard.packets(1'000'000, 5, 100);
  shard.item(1'000'000);
  shard->settle();
  const Recorder::Status full = shard->status();
  EXPECT_GT(full.ledger.streams_refused_spool, 50u);
  EXPECT_EQ(full.ledger.blocks_dropped_spool, 0u);
  away_ = false;
  EXPECT_TRUE(eventually([&] { return shard->status().spool.waiting_blocks == 0; }));
  traffic(shard, 200, 5, 20);  // there is room again
  shard->stop(seconds(20));
  EXPECT_LE(watch.stop(), kLimit);
  const Recorder::Status s = shard->status();
  expect_balance(s);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.items.size() + s.ledger.items_refused_spool, 207u);
  EXPECT_EQ(kept.packets.size() + s.ledger.packets_refused_spool, 205u * 20 + 10);
  EXPECT_TRUE(kept.packets.contains({0, 0})) << "the oldest are there";
  for (uint64_t n = 0; n < 10; ++n) EXPECT_TRUE(kept.packets.contains({1'000'000, n})) << n;
  EXPECT_TRUE(kept.packets.contains({204, 19}));
  EXPECT_EQ(kept.blocks.back().dropped.size(), 0u);
}

TEST_F(SpoolLimit, ManyRecordingsShareIt) {
  Shard shard(folder_.path(), options(WhenFull::kDropOldest));
  Watch watch(spool());
  std::vector<Recording> recordings;
  for (int i = 0; i < 32; ++i) recordings.push_back(recording("r" + std::to_string(i)));
  shard->set_recordings(recordings);
  traffic(shard, 0, 40, 20);  // 32 times 0.8 MB
  away_ = false;
  shard->stop(seconds(30));
  EXPECT_LE(watch.stop(), kLimit);
  const Recorder::Status s = shard->status();
  expect_balance(s);
  uint64_t kept = 0;
  for (const index::BlockRecord& block : read_kept(bucket()).blocks) kept += block.packets;
  EXPECT_EQ(kept + s.ledger.packets_dropped_spool + s.ledger.packets_refused_spool, 32u * 40 * 20);
  EXPECT_EQ(s.ledger.packets_matched, 32u * 40 * 20);
}

TEST_F(SpoolLimit, WhatWasDroppedIsToldAfterARestartAndOnce) {
  index::LossLedger before;
  {
    Shard shard(folder_.path(), options(WhenFull::kDropOldest));
    shard->set_recordings({recording("all")});
    traffic(shard, 0, 200, 20);
    shard->stop(milliseconds(0));
    before = shard->status().ledger;
    EXPECT_GT(before.blocks_dropped_spool, 2u);
  }
  away_ = false;
  Shard next(folder_.path(), options(WhenFull::kDropOldest, "00000002"));
  next->set_recordings({recording("all"), recording("other")});
  traffic(next, 1000, 3, 3);
  next->stop(seconds(20));
  auto store = store::open(*store::Location::parse("file://" + bucket()));
  ASSERT_TRUE(store);
  index::RecordingReader reader(**store, "");
  const auto facts = reader.recordings();
  ASSERT_TRUE(facts && facts->size() == 2);
  uint64_t blocks = 0, packets = 0;
  for (const index::DroppedBlocks& d : (*facts)[0].dropped) {
    blocks += d.blocks;
    packets += d.packets;
    EXPECT_EQ(d.cause, "spool limit");
    EXPECT_LT(d.first, d.last);
  }
  EXPECT_EQ(blocks, before.blocks_dropped_spool + next->status().ledger.blocks_dropped_spool);
  EXPECT_EQ(packets, before.packets_dropped_spool + next->status().ledger.packets_dropped_spool);
  EXPECT_TRUE((*facts)[1].dropped.empty()) << "of another recording";
  EXPECT_EQ(read_whole(spool() + "/dropped.json"), "[]");
}

TEST_F(SpoolLimit, TombstonesAreBoundedAndLoseNoNumber) {
  auto o = options(WhenFull::kDropOldest);
  o.block_bytes = 30'000;
  o.spool.limit_bytes = 1 << 20;
  Shard shard(folder_.path(), o);
  shard->set_recordings({recording("all")});
  traffic(shard, 0, 900, 4);  // every few streams a block
  away_ = false;
  shard->stop(seconds(30));
  const Recorder::Status s = shard->status();
  EXPECT_GT(s.ledger.blocks_dropped_spool, 64u);
  uint64_t blocks = 0;
  std::map<std::string, index::DroppedBlocks> told;
  for (const index::BlockRecord& block : read_kept(bucket()).blocks) {
    EXPECT_LE(block.dropped.size(), 64u);
    for (const auto& d : block.dropped)
      if (d.blocks >= told[d.block].blocks) told[d.block] = d;
  }
  for (const auto& [id, d] : told) blocks += d.blocks;
  EXPECT_EQ(blocks, s.ledger.blocks_dropped_spool);
}

TEST_F(SpoolLimit, ABlockThatIsBeingUploadedIsNotDropped) {
  std::atomic<bool> hang{true};
  auto spool = Spool::open(this->spool(),
                           [&](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
                             while (hang) std::this_thread::sleep_for(milliseconds(1));
                             return store::open(location);
                           },
                           {.spread = milliseconds(0), .limit_bytes = kLimit, .parallel = 1});
  ASSERT_TRUE(spool);
  struct LetGo {  // before the spool, which waits for its uploads
    std::atomic<bool>& hang;
    ~LetGo() { hang = false; }
  } let_go{hang};
  (*spool)->start();
  item::ItemPool pool;
  std::vector<std::string> folders;
  for (uint64_t n = 0; n < 3; ++n) {
    folders.push_back((*spool)->new_folder());
    auto block = BlockWriter::create(folders.back(), {"a", "http", "file://" + bucket(), "n", "", "r", n});
    ASSERT_TRUE(block);
    ASSERT_TRUE((*block)->add_item(*http_item(pool, n, 0)));
    ASSERT_TRUE((*block)->finish({}, {}, PacketsAs::kOrder));
    ASSERT_TRUE((*spool)->ready(folders.back()));
    if (n == 0) std::this_thread::sleep_for(milliseconds(50));  // it is taken up
  }
  const std::string open = (*spool)->new_folder();
  ASSERT_TRUE((*spool)->reserve(open, kLimit - (*spool)->progress().waiting_bytes + 1));
  EXPECT_EQ((*spool)->progress().dropped_blocks, 1u);
  hang = false;
  (*spool)->stop(seconds(20));
  EXPECT_EQ((*spool)->progress().uploaded_blocks, 2u);
  EXPECT_FALSE((*spool)->reserve(open, kLimit)) << "there is nothing to drop";
  (*spool)->release(open);
  EXPECT_TRUE((*spool)->reserve(open, kLimit / 2));
}

/// A tombstone that grows between its being asked for and its being told leaves the rest under another name: whoever
/// adds up what blocks tell counts each dropped block once, whichever of those blocks are dropped themselves.
TEST_F(SpoolLimit, WhatATombstoneGrewByIsToldByItself) {
  auto spool = Spool::open(this->spool(), [](const store::Location& location) { return store::open(location); },
                           {.spread = milliseconds(0), .limit_bytes = kLimit});
  ASSERT_TRUE(spool);  // not started: nothing is uploaded
  item::ItemPool pool;
  uint64_t made = 0;
  const auto drop = [&](uint64_t count) {
    for (uint64_t n = 0; n < count; ++n) {
      const std::string folder = (*spool)->new_folder();
      auto block = BlockWriter::create(folder, {"a", "http", "file://" + bucket(), "n", "", "r", made});
      ASSERT_TRUE(block);
      ASSERT_TRUE((*block)->add_item(*http_item(pool, made++, 0)));
      ASSERT_TRUE((*block)->finish({}, {}, PacketsAs::kOrder));
      ASSERT_TRUE((*spool)->ready(folder));
      const std::string open = (*spool)->new_folder();
      (void)(*spool)->reserve(open, kLimit - (*spool)->progress().waiting_bytes + 1);
      (*spool)->release(open);
      ASSERT_EQ((*spool)->progress().waiting_blocks, 0u);
    }
  };
  const auto sum = [](const std::vector<index::DroppedBlocks>& all) {
    uint64_t blocks = 0;
    for (const index::DroppedBlocks& d : all) blocks += d.blocks;
    return blocks;
  };
  drop(70);
  const auto first = (*spool)->to_tell("a", "file://" + bucket());
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(sum(first), 70u);
  drop(3);
  (*spool)->told("a", "file://" + bucket(), first);
  const auto rest = (*spool)->to_tell("a", "file://" + bucket());
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].blocks, 3u);
  EXPECT_EQ(rest[0].items, 3u);
  for (const index::DroppedBlocks& d : first) EXPECT_NE(d.block, rest[0].block);
  (*spool)->told("a", "file://" + bucket(), rest);
  EXPECT_TRUE((*spool)->to_tell("a", "file://" + bucket()).empty());
}

TEST_F(SpoolLimit, ASmallerLimitIsMetAtTheStart) {
  {
    Shard shard(folder_.path(), options(WhenFull::kDropOldest));
    shard->set_recordings({recording("all")});
    traffic(shard, 0, 60, 20);
    shard->stop(milliseconds(0));
    EXPECT_GT(shard->status().spool.waiting_bytes, 1u << 20);
  }
  auto o = options(WhenFull::kDropOldest, "00000002");
  o.spool.limit_bytes = 1 << 20;
  Shard next(folder_.path(), o);
  const SpoolProgress p = next->status().spool;
  EXPECT_LE(p.waiting_bytes + p.reserved_bytes, 1u << 20);
  EXPECT_GT(p.dropped_blocks, 0u);
  EXPECT_EQ(p.added_blocks, p.dropped_blocks + p.waiting_blocks);
}

TEST_F(SpoolLimit, LessThanAMebibyteIsNoLimit) {
  auto o = options(WhenFull::kDropOldest);
  o.spool.limit_bytes = (1 << 20) - 1;
  EXPECT_FALSE(Recorder::open(o, {}, nullptr));
}

}  // namespace
}  // namespace baleen::record
