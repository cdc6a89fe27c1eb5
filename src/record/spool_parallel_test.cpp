// Uploads that run at the same time: as many as were asked for and no more; what is stuck or away holds up no other
// destination; all share one bandwidth; and one takes little memory.

#include <gtest/gtest.h>

#include "record/block_writer.h"
#include "record/harness.h"
#include "record/spool.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Before a real folder: knows how many uploads there are at a time, and holds or fails them.
class Gate : public store::ObjectStore {
 public:
  struct Orders {
    std::atomic<int> now{0}, most{0}, calls{0};
    std::atomic<bool> hold{false}, away{false}, cursed{false};
  };
  Gate(std::unique_ptr<store::ObjectStore> inner, Orders& orders) : inner_(std::move(inner)), orders_(orders) {}

  Result<store::ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                        const store::PutOptions& options) override {
    ++orders_.calls;
    const int now = ++orders_.now;
    for (int most = orders_.most; now > most && !orders_.most.compare_exchange_weak(most, now);) {
    }
    std::this_thread::sleep_for(milliseconds(2));
    while (orders_.hold && !*options.cancel) std::this_thread::sleep_for(milliseconds(1));
    Result<store::ObjectFacts> facts = Error{Code::kUnavailable, "the bucket is away"};
    const bool fails = orders_.away || (orders_.cursed && key.find("=cursed/") != std::string_view::npos);
    if (!fails) facts = inner_->put_source(key, source, options);
    --orders_.now;
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

class SpoolParallel : public testing::Test {
 protected:
  // All destinations before anything runs: the map is not changed beside the threads that look into it.
  void SetUp() override {
    for (const char* name : {"bucket", "bucket1", "bucket2", "bucket4", "stuck-1", "stuck-2", "stuck-3", "stuck-4",
                             "away", "well", "one", "two"})
      orders_[name];
  }
  std::string bucket(const std::string& name) const { return folder_ / name; }
  SpoolOptions quick() const {
    return {.spread = milliseconds(0), .first_pause = milliseconds(1), .longest_pause = milliseconds(4)};
  }
  Result<std::unique_ptr<Spool>> open(const SpoolOptions& options) {
    return Spool::open(
        folder_ / "spool",
        [this](const store::Location& location) -> Result<std::unique_ptr<store::ObjectStore>> {
          BALEEN_TRY(auto inner, store::open(location));
          return std::unique_ptr<store::ObjectStore>(
              std::make_unique<Gate>(std::move(inner), orders_[fs::path(location.prefix).filename().string()]));
        },
        options);
  }
  /// A finished block of one item and one packet of `size` bytes at least.
  void add(Spool& spool, const std::string& to, uint64_t n, size_t size = 0, const std::string& recording = "shop") {
    const std::string folder = spool.new_folder();
    auto block = BlockWriter::create(folder, {recording, "http", "file://" + bucket(to), "node-1", "", "0a1b2c3d", n});
    ASSERT_TRUE(block) << block.error().message;
    const net::OwnedPacket packet = named_packet({n, 0}, size);
    ASSERT_TRUE((*block)->add_packet(stream_file(n), recorded(packet)));
    ASSERT_TRUE((*block)->add_item(*http_item(pool_, n, 0)));
    ASSERT_TRUE((*block)->finish({}, {}, PacketsAs::kOrder));
    ASSERT_TRUE(spool.ready(folder));
  }
  void expect_once(const std::string& to, uint64_t blocks) {
    const Kept kept = read_kept(bucket(to));
    EXPECT_EQ(kept.blocks.size(), blocks) << to;
    EXPECT_EQ(kept.packets.size(), blocks) << to;
    for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.stream;
  }

  ScratchFolder folder_;
  item::ItemPool pool_;
  std::map<std::string, Gate::Orders> orders_;
};

TEST_F(SpoolParallel, AsManyAtATimeAsWereAskedForAndNoMore) {
  for (const unsigned parallel : {1u, 2u, 4u}) {
    SCOPED_TRACE(parallel);
    const std::string to = "bucket" + std::to_string(parallel);
    Gate::Orders& orders = orders_[to];
    SpoolOptions options = quick();
    options.parallel = parallel;
    auto spool = open(options);
    ASSERT_TRUE(spool) << spool.error().message;
    orders.hold = true;
    (*spool)->start();
    for (uint64_t n = 1; n <= 12; ++n) add(**spool, to, n);
    ASSERT_TRUE(eventually([&] { return orders.now == static_cast<int>(parallel); }));
    EXPECT_EQ((*spool)->progress().uploading_blocks, parallel);
    EXPECT_EQ((*spool)->waiting().at("shop").uploading_blocks, parallel);
    orders.hold = false;
    (*spool)->stop(seconds(20));
    EXPECT_EQ(orders.most, static_cast<int>(parallel));
    EXPECT_EQ((*spool)->waiting().at("shop").uploaded_blocks, 12u);
    EXPECT_EQ((*spool)->waiting().at("shop").uploaded_bytes, (*spool)->progress().uploaded_bytes);
    expect_once(to, 12);
  }
}

TEST_F(SpoolParallel, DestinationsThatAreStuckHoldUpNoOther) {
  SpoolOptions options = quick();
  options.parallel = 2;
  auto spool = open(options);
  ASSERT_TRUE(spool);
  (*spool)->start();
  // More stuck uploads than one destination may have at a time, at several destinations.
  for (const char* stuck : {"stuck-1", "stuck-2", "stuck-3", "stuck-4"}) {
    orders_[stuck].hold = true;
    for (uint64_t n = 1; n <= 3; ++n) add(**spool, stuck, n);
  }
  orders_["away"].away = true;
  for (uint64_t n = 1; n <= 3; ++n) add(**spool, "away", n);
  for (uint64_t n = 1; n <= 20; ++n) add(**spool, "well", n);
  ASSERT_TRUE(eventually([&] { return (*spool)->progress().uploaded_blocks == 20; }));
  expect_once("well", 20);
  EXPECT_EQ((*spool)->progress().waiting_blocks, 15u);
  for (auto& [name, orders] : orders_) orders.hold = orders.away = false;
  (*spool)->stop(seconds(20));
  for (const char* name : {"stuck-1", "stuck-2", "stuck-3", "stuck-4", "away"}) expect_once(name, 3);
}

TEST_F(SpoolParallel, EveryDestinationHasAPlaceHoweverManyThereAre) {
  SpoolOptions options = quick();
  options.parallel = 16;
  auto spool = open(options);
  ASSERT_TRUE(spool);
  constexpr size_t kDestinations = 40;  // 640 uploads, if each had what it may have
  for (size_t d = 0; d < kDestinations; ++d) {
    const std::string to = "d" + std::to_string(d);
    orders_[to].hold = true;
    for (uint64_t n = 1; n <= 3; ++n) add(**spool, to, n);
  }
  (*spool)->start();
  ASSERT_TRUE(eventually([&] {
    for (size_t d = 0; d < kDestinations; ++d)
      if (orders_.at("d" + std::to_string(d)).now == 0) return false;
    return true;
  }));
  EXPECT_LE((*spool)->progress().uploading_blocks, SpoolOptions::kMostUploads);
  for (auto& [name, orders] : orders_) orders.hold = false;
  (*spool)->stop(seconds(20));
  EXPECT_EQ((*spool)->progress().uploaded_blocks, 3 * kDestinations);
}

TEST_F(SpoolParallel, ABucketThatIsAwayIsAskedByOneAtATime) {
  Gate::Orders& orders = orders_["bucket"];
  orders.away = true;
  SpoolOptions options = quick();
  options.parallel = 4;
  auto spool = open(options);
  ASSERT_TRUE(spool);
  (*spool)->start();
  for (uint64_t n = 1; n <= 10; ++n) add(**spool, "bucket", n);
  ASSERT_TRUE(eventually([&] { return orders.calls > 8; }));
  const int before = orders.calls;
  orders.most = 0;
  ASSERT_TRUE(eventually([&] { return orders.calls > before + 10; }));
  EXPECT_EQ(orders.most, 1) << "one finds out whether it is back";
  orders.away = false;
  (*spool)->stop(seconds(20));
  expect_once("bucket", 10);
}

TEST_F(SpoolParallel, AllUploadsShareOneBandwidth) {
  constexpr uint64_t kRate = 4 << 20, kSize = 60'000;
  SpoolOptions options = quick();
  options.parallel = 4;
  options.bandwidth = std::make_shared<io::Bandwidth>(kRate);
  auto spool = open(options);
  ASSERT_TRUE(spool);
  for (uint64_t n = 1; n <= 40; ++n) add(**spool, n % 2 == 0 ? "one" : "two", n, kSize);
  const auto begin = std::chrono::steady_clock::now();
  (*spool)->start();
  (*spool)->stop(seconds(60));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ((*spool)->progress().uploaded_blocks, 40u);
  // A quarter of a second's worth may go out at once.
  EXPECT_GE(took.count(), static_cast<double>((*spool)->progress().uploaded_bytes) / kRate - 0.3);
}

TEST_F(SpoolParallel, ABlockThatFailsAgainAndAgainWaitsBehindTheOthers) {
  SpoolOptions options = quick();
  options.parallel = 1;
  auto spool = open(options);
  ASSERT_TRUE(spool);
  orders_["bucket"].cursed = true;
  add(**spool, "bucket", 1, 0, "cursed");
  for (uint64_t n = 2; n <= 6; ++n) add(**spool, "bucket", n);
  (*spool)->start();
  ASSERT_TRUE(eventually([&] { return (*spool)->progress().uploaded_blocks == 5; })) << (*spool)->progress().last_error;
  EXPECT_EQ((*spool)->waiting().at("cursed").blocks, 1u);
  orders_["bucket"].cursed = false;
  (*spool)->stop(seconds(20));
  expect_once("bucket", 6);
}

}  // namespace
}  // namespace baleen::record
