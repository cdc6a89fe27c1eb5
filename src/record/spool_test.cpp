#include "record/spool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>

#include "record/block_writer.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One upload at a time, so that calls have an order; those that run at once: spool_parallel_test.cpp.
const SpoolOptions kQuick = {
    .spread = milliseconds(0), .first_pause = milliseconds(1), .longest_pause = milliseconds(4), .parallel = 1};

/// What happens to one call of a store.
struct Fault {
  const char* what;
  Code code;
  bool afterwards = false;  // the bytes got there; the answer did not
};
constexpr Fault kFaults[] = {
    {"403", Code::kDenied},      {"404", Code::kNotFound},          {"408", Code::kTimeout},
    {"429", Code::kUnavailable}, {"500", Code::kUnavailable},       {"503", Code::kUnavailable},
    {"full", Code::kIo},         {"cut", Code::kUnavailable, true}, {"no answer", Code::kTimeout, true}};

/// Between a spool and a real folder: decides about each call that makes something.
class Trouble : public store::ObjectStore {
 public:
  struct Orders {
    std::atomic<int> calls{0};
    int fail_at = -1, fail_times = 1;
    Fault fault{};
    int die_at = -1;              // the process ends at this call …
    bool die_afterwards = false;  // … when the object is there
    std::atomic<bool> hang{false};
    std::atomic<bool> fail_all{false};
    std::mutex mutex;
    std::map<std::string, int> created;
  };
  Trouble(std::unique_ptr<store::ObjectStore> inner, Orders& orders) : inner_(std::move(inner)), orders_(orders) {}

  Result<store::ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                        const store::PutOptions& options) override {
    const int call = orders_.calls++;
    EXPECT_TRUE(options.only_if_absent);
    EXPECT_NE(options.cancel, nullptr);
    while (orders_.hang && !*options.cancel) std::this_thread::sleep_for(milliseconds(1));
    if (orders_.hang) return Error{Code::kIo, "cancelled"};
    if (orders_.fail_all) return Error{Code::kUnavailable, "the bucket is away"};
    const bool fails = orders_.fail_at >= 0 && call >= orders_.fail_at && call < orders_.fail_at + orders_.fail_times;
    if (fails && !orders_.fault.afterwards) return Error{orders_.fault.code, orders_.fault.what};
    if (call == orders_.die_at && !orders_.die_afterwards) ::_exit(9);
    auto facts = inner_->put_source(key, source, options);
    if (call == orders_.die_at) ::_exit(9);
    if (facts) {
      const std::lock_guard lock(orders_.mutex);
      ++orders_.created[std::string(key)];
    }
    if (fails) return Error{orders_.fault.code, orders_.fault.what};
    return facts;
  }
  Result<store::ObjectFacts> put(std::string_view key, Bytes content, const store::PutOptions& options) override {
    return inner_->put(key, content, options);
  }
  Result<std::string> get(std::string_view key) override { return inner_->get(key); }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_->get_range(key, offset, length);
  }
  Result<store::ObjectFacts> head(std::string_view key) override { return inner_->head(key); }
  Result<store::ListPage> list(const store::ListOptions& options) override { return inner_->list(options); }
  Result<> remove(std::string_view key) override { return inner_->remove(key); }
  std::string name() const override { return inner_->name(); }

 private:
  std::unique_ptr<store::ObjectStore> inner_;
  Orders& orders_;
};

class SpoolTest : public testing::Test {
 protected:
  std::string spool_folder() const { return folder_ / "spool"; }
  std::string bucket() const { return folder_ / "bucket"; }

  Result<std::unique_ptr<Spool>> open(const SpoolOptions& options = kQuick) {
    return Spool::open(
        spool_folder(),
        [this](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
          BALEEN_TRY(auto inner, store::open(location));
          return std::unique_ptr<store::ObjectStore>(std::make_unique<Trouble>(std::move(inner), *orders_));
        },
        options);
  }

  /// A finished block with one packet and one item, still in open/.
  std::string finished_block(Spool& spool, uint64_t n) {
    const std::string folder = spool.new_folder();
    auto block = BlockWriter::create(folder, {"shop", "http", "file://" + bucket(), "node-1", "", "0a1b2c3d", n + 1});
    EXPECT_TRUE(block) << block.error().message;
    const net::OwnedPacket packet = named_packet({n + 1, 0});
    EXPECT_TRUE((*block)->add_packet(stream_file(n + 1), recorded(packet)));
    EXPECT_TRUE((*block)->add_item(*http_item(pool_, n + 1, 0)));
    EXPECT_TRUE((*block)->finish({}, {}, PacketsAs::kOrder));
    return folder;
  }

  /// Blocks that lie in ready/ when no spool is open, made once and copied.
  void lay_out(uint64_t blocks) {
    if (templates_.empty()) {
      auto spool = open();
      ASSERT_TRUE(spool);
      for (uint64_t n = 0; n < 2; ++n) {
        const std::string folder = finished_block(**spool, n);
        templates_.push_back(folder_ / ("template" + std::to_string(n)));
        fs::rename(folder, templates_.back());
      }
    }
    fs::remove_all(bucket());
    for (const char* part : {"open", "ready", "done"}) fs::remove_all(spool_folder() + "/" + part);
    fs::create_directories(spool_folder() + "/ready");
    for (uint64_t n = 0; n < blocks; ++n)
      fs::copy(templates_[n], spool_folder() + "/ready/" + fs::path(templates_[n]).filename().string());
    orders_ = std::make_unique<Trouble::Orders>();
  }

  /// Everything has arrived, whole, once, and nothing is left.
  void expect_arrived(uint64_t blocks) {
    const Kept kept = read_kept(bucket());
    EXPECT_EQ(kept.blocks.size(), blocks);
    EXPECT_EQ(kept.packets.size(), blocks);
    EXPECT_EQ(kept.items.size(), blocks);
    for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.stream;
    for (const auto& [path, times] : kept.items) EXPECT_EQ(times, 1) << path;
    EXPECT_EQ(files_below(bucket()).size(), 3 * blocks) << "and nothing else";
    EXPECT_TRUE(files_below(spool_folder() + "/ready").empty());
    EXPECT_TRUE(files_below(spool_folder() + "/done").empty());
  }

  ScratchFolder folder_;
  item::ItemPool pool_;
  std::unique_ptr<Trouble::Orders> orders_ = std::make_unique<Trouble::Orders>();
  std::vector<std::string> templates_;
};

TEST_F(SpoolTest, BlocksThatBecomeReadyAreUploaded) {
  auto spool = open();
  ASSERT_TRUE(spool);
  (*spool)->start();
  for (uint64_t n = 0; n < 5; ++n) ASSERT_TRUE((*spool)->ready(finished_block(**spool, n)));
  ASSERT_TRUE(eventually([&] { return (*spool)->progress().uploaded_blocks == 5; }));
  const SpoolProgress progress = (*spool)->progress();
  EXPECT_EQ(progress.waiting_blocks, 0u);
  EXPECT_EQ(progress.waiting_bytes, 0u);
  EXPECT_GT(progress.uploaded_bytes, 5000u);
  EXPECT_EQ(progress.failed_tries, 0u);
  EXPECT_EQ(progress.last_error, "");
  (*spool)->stop(seconds(20));
  expect_arrived(5);
  EXPECT_TRUE((*spool)->left_open().empty());
}

TEST_F(SpoolTest, EveryFaultAtEveryCallEndsWithEverythingThereOnce) {
  for (const Fault& fault : kFaults)
    for (int call = 0; call < 6; ++call)
      for (const int times : {1, 4}) {
        SCOPED_TRACE(std::string(fault.what) + " at call " + std::to_string(call) + ", times " + std::to_string(times));
        lay_out(2);
        orders_->fault = fault;
        orders_->fail_at = call;
        orders_->fail_times = times;
        auto spool = open();
        ASSERT_TRUE(spool);
        EXPECT_EQ((*spool)->progress().waiting_blocks, 2u);
        (*spool)->start();
        ASSERT_TRUE(eventually([&] { return (*spool)->progress().uploaded_blocks == 2; }));
        const SpoolProgress progress = (*spool)->progress();
        EXPECT_GE(progress.failed_tries, 1u);
        EXPECT_EQ(progress.refused_blocks, 0u);
        EXPECT_NE(progress.last_error.find(fault.what), std::string::npos) << progress.last_error;
        spool->reset();
        for (const auto& [key, n] : orders_->created) EXPECT_EQ(n, 1) << key;
        EXPECT_EQ(orders_->created.size(), 6u);
        // Reading it all each time is for the worst of them.
        if (fault.afterwards) expect_arrived(2);
      }
}

TEST_F(SpoolTest, AStopInTheMiddleLeavesTheRestToTheNextStart) {
  for (int call = 0; call < 6; ++call) {
    SCOPED_TRACE(call);
    lay_out(2);
    orders_->fail_at = call;
    orders_->fail_times = 1000;
    orders_->fault = kFaults[5];
    {
      auto spool = open();
      ASSERT_TRUE(spool);
      (*spool)->start();
      ASSERT_TRUE(eventually([&] { return (*spool)->progress().failed_tries > 0; }));
      (*spool)->stop(milliseconds(5));
      EXPECT_GT((*spool)->progress().waiting_blocks, 0u);
    }
    orders_->fail_at = -1;
    auto spool = open();
    ASSERT_TRUE(spool);
    (*spool)->start();
    (*spool)->stop(seconds(20));
    EXPECT_EQ((*spool)->progress().waiting_blocks, 0u);
    expect_arrived(2);
  }
}

TEST_F(SpoolTest, AProcessThatDiesAtAnyCallLosesAndDoublesNothing) {
  for (int call = 0; call < 6; ++call)
    for (const bool afterwards : {false, true}) {
      SCOPED_TRACE(std::to_string(call) + (afterwards ? " after" : " before"));
      lay_out(2);
      orders_->die_at = call;
      orders_->die_afterwards = afterwards;
      const pid_t child = ::fork();
      if (child == 0) {
        auto spool = open();
        if (!spool) ::_exit(1);
        (*spool)->start();
        (*spool)->stop(seconds(20));
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 9) << status;
      orders_->die_at = -1;
      auto spool = open();
      ASSERT_TRUE(spool) << spool.error().message;
      (*spool)->start();
      (*spool)->stop(seconds(20));
      expect_arrived(2);
    }
}

TEST_F(SpoolTest, AHangingStoreHoldsUpNoStop) {
  lay_out(1);
  orders_->hang = true;
  auto spool = open();
  ASSERT_TRUE(spool);
  (*spool)->start();
  ASSERT_TRUE(eventually([&] { return orders_->calls > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  (*spool)->stop(milliseconds(20));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
  EXPECT_EQ((*spool)->progress().waiting_blocks, 1u);
  orders_->hang = false;
  spool = open();
  ASSERT_FALSE(spool) << "the first is still there";
}

TEST_F(SpoolTest, StopTriesAtOnceHoweverLongThePauseIs) {
  lay_out(2);
  orders_->fail_all = true;
  auto spool = open({.spread = milliseconds(0), .first_pause = seconds(600), .longest_pause = seconds(600)});
  ASSERT_TRUE(spool);
  (*spool)->start();
  ASSERT_TRUE(eventually([&] { return (*spool)->progress().failed_tries >= 1; }));
  orders_->fail_all = false;  // the bucket is back, and nobody knows it yet
  const auto begin = std::chrono::steady_clock::now();
  (*spool)->stop(seconds(60));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
  expect_arrived(2);
}

TEST_F(SpoolTest, WhereRoomRunsShortNoBlockWaitsForItsTurnAmongNodes) {
  lay_out(2);
  constexpr uint64_t kLimit = 8 << 20;
  auto spool = open({.spread = seconds(3600), .limit_bytes = kLimit});
  ASSERT_TRUE(spool);
  (*spool)->start();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(orders_->calls, 0);
  EXPECT_TRUE((*spool)->reserve("open", kLimit / 2));
  EXPECT_TRUE(eventually([&] { return (*spool)->progress().waiting_blocks == 0; }));
  (*spool)->stop(seconds(20));
  EXPECT_EQ((*spool)->progress().dropped_blocks, 0u);
  expect_arrived(2);
}

TEST_F(SpoolTest, NodesThatCloseBlocksTogetherDoNotUploadTogether) {
  // Each spool waits a random part of the spread before its first call.
  std::set<int64_t> begins;
  for (int node = 0; node < 6; ++node) {
    lay_out(1);
    auto spool = open({.spread = milliseconds(200), .first_pause = milliseconds(1), .longest_pause = milliseconds(1)});
    ASSERT_TRUE(spool);
    const auto begin = std::chrono::steady_clock::now();
    (*spool)->start();
    ASSERT_TRUE(eventually([&] { return orders_->calls > 0; }));
    const auto waited = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(waited, seconds(5));
    begins.insert(waited / milliseconds(10));
    spool->reset();
  }
  EXPECT_GE(begins.size(), 2u) << "six nodes, twenty places";
  lay_out(1);
  auto spool = open({.spread = seconds(3600)});
  ASSERT_TRUE(spool);
  (*spool)->start();
  (*spool)->stop(seconds(20));
  expect_arrived(1);
}

TEST_F(SpoolTest, ASecondProcessIsRefusedAndSaysWhy) {
  auto spool = open();
  ASSERT_TRUE(spool);
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().message.find(folder_.path()), std::string::npos) << second.error().message;
  const pid_t child = ::fork();
  if (child == 0) {
    // What the parent had open is closed as for a program that was started on its own.
    for (int fd = 3; fd < 256; ++fd) ::close(fd);
    const auto third = open();
    ::_exit(!third && third.error().code == Code::kConflict ? 7 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
  spool->reset();
  EXPECT_TRUE(open()) << "the lock goes with its owner";
}

TEST_F(SpoolTest, ABlockWhoseNameIsTakenIsRefusedOnceAndHoldsUpNoOther) {
  for (const int object : {0, 1, 2}) {
    SCOPED_TRACE(object);
    lay_out(2);
    const auto record = index::BlockRecord::from_json(read_whole(templates_[0] + "/block.json"));
    ASSERT_TRUE(record);
    const index::BlockKeys keys = index::block_keys(record->recording, record->first, record->block);
    const std::string taken = bucket() + "/" + (object == 0 ? keys.packets : object == 1 ? keys.items : keys.record);
    fs::create_directories(fs::path(taken).parent_path());
    write_whole(taken, "somebody else's");
    auto spool = open();
    ASSERT_TRUE(spool);
    (*spool)->start();
    const auto begin = std::chrono::steady_clock::now();
    (*spool)->stop(seconds(60));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10)) << "nothing more can be done";
    const SpoolProgress progress = (*spool)->progress();
    EXPECT_EQ(progress.uploaded_blocks, 1u);
    EXPECT_EQ(progress.refused_blocks, 1u);
    EXPECT_EQ(progress.waiting_blocks, 1u) << "it is kept";
    EXPECT_EQ(progress.failed_tries, 1u) << "not tried again and again";
    EXPECT_NE(progress.last_error, "");
    EXPECT_EQ(read_whole(taken), "somebody else's") << "nothing is overwritten";
    spool->reset();
    fs::remove(taken);
    auto next = open();
    ASSERT_TRUE(next);
    (*next)->start();
    (*next)->stop(seconds(20));
    expect_arrived(2);
  }
}

TEST_F(SpoolTest, DamagedBlocksAreKeptAndHoldUpNoOther) {
  const std::pair<const char*, const char*> damages[] = {{"owner.json", ""},
                                                         {"owner.json", R"({"destination": 5})"},
                                                         {"owner.json", R"({"destination": "nonsense://x"})"},
                                                         {"block.json", "{"},
                                                         {"block.json", R"({"schema_version": 99})"},
                                                         {"packets.order", ""},
                                                         {"packets.order", "BLNORDR1\x02?"},
                                                         {"packets.journal", ""},
                                                         {"packets.journal", "not what its checksum says"},
                                                         {"items.parquet", ""}};
  for (const auto& [file, content] : damages) {
    SCOPED_TRACE(std::string(file) + " " + content);
    lay_out(2);
    const std::string ready = spool_folder() + "/ready/" + fs::path(templates_[0]).filename().string();
    write_whole(ready + "/" + file, content);
    auto spool = open();
    ASSERT_TRUE(spool);
    (*spool)->start();
    (*spool)->stop(seconds(60));
    const SpoolProgress progress = (*spool)->progress();
    EXPECT_EQ(progress.uploaded_blocks, 1u);
    EXPECT_EQ(progress.waiting_blocks, 1u);
    EXPECT_EQ(progress.refused_blocks, 1u);
    EXPECT_NE(progress.last_error.find(fs::path(ready).filename().string()), std::string::npos) << progress.last_error;
    EXPECT_TRUE(fs::exists(ready + "/" + file));
  }
}

TEST_F(SpoolTest, ABucketOnAFullDiskIsTriedUntilThereIsRoom) {
  lay_out(2);
  auto spool = open();
  ASSERT_TRUE(spool);
  {
    const FileSizeLimit full(500);
    (*spool)->start();
    ASSERT_TRUE(eventually([&] { return (*spool)->progress().failed_tries > 3; }));
    EXPECT_EQ((*spool)->progress().uploaded_blocks, 0u);
    EXPECT_EQ((*spool)->progress().refused_blocks, 0u);
    EXPECT_TRUE(files_below(bucket(), ".json").empty()) << "no record without its objects";
  }
  (*spool)->stop(seconds(20));
  expect_arrived(2);
}

TEST_F(SpoolTest, CountsAreNeverOffForAMoment) {
  constexpr uint64_t kBlocks = 40;
  auto spool = open();
  ASSERT_TRUE(spool);
  std::vector<std::string> folders;
  for (uint64_t n = 0; n < kBlocks; ++n) folders.push_back(finished_block(**spool, n));
  std::atomic<uint64_t> begun{0}, moved{0};
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    uint64_t last = 0;
    while (!done) {
      const uint64_t at_least = moved;
      const SpoolProgress p = (*spool)->progress();
      const uint64_t at_most = begun;
      const uint64_t known = p.waiting_blocks + p.uploaded_blocks;
      EXPECT_GE(known, at_least);
      EXPECT_LE(known, at_most) << p.waiting_blocks << " wait";
      EXPECT_GE(p.uploaded_blocks, last);
      EXPECT_EQ(p.waiting_blocks == 0, p.waiting_bytes == 0);
      last = p.uploaded_blocks;
    }
  });
  (*spool)->start();
  for (const std::string& folder : folders) {
    ++begun;
    EXPECT_TRUE((*spool)->ready(folder));
    ++moved;
  }
  (*spool)->stop(seconds(20));
  done = true;
  watcher.join();
  EXPECT_EQ((*spool)->progress().uploaded_blocks, kBlocks);
  EXPECT_EQ((*spool)->progress().waiting_blocks, 0u);
}

TEST_F(SpoolTest, WhatIsDoneIsClearedAndWhatIsOpenIsLeft) {
  lay_out(1);
  fs::create_directories(spool_folder() + "/done/half");
  write_whole(spool_folder() + "/done/half/packets.pcapng", "x");
  fs::create_directories(spool_folder() + "/open/left");
  write_whole(spool_folder() + "/open/left/owner.json", "x");
  write_whole(spool_folder() + "/ready/stray-file", "x");
  auto spool = open();
  ASSERT_TRUE(spool);
  EXPECT_TRUE(files_below(spool_folder() + "/done").empty());
  ASSERT_EQ((*spool)->left_open().size(), 1u);
  EXPECT_EQ(fs::path((*spool)->left_open()[0]).filename(), "left");
  EXPECT_EQ((*spool)->progress().waiting_blocks, 1u) << "files are no blocks";
}

TEST_F(SpoolTest, NewFoldersHaveNamesThatNothingHas) {
  auto spool = open();
  ASSERT_TRUE(spool);
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) names.insert((*spool)->new_folder());
  EXPECT_EQ(names.size(), 1000u);
  for (const std::string& name : names) EXPECT_FALSE(fs::exists(name));
}

TEST_F(SpoolTest, AFolderThatCannotBeMadeIsAnError) {
  write_whole(folder_ / "spool", "a file is in the way");
  const auto spool = open();
  ASSERT_FALSE(spool);
  EXPECT_NE(spool.error().message.find(spool_folder()), std::string::npos) << spool.error().message;
}

}  // namespace
}  // namespace baleen::record
