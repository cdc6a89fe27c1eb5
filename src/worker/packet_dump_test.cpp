#include "worker/packet_dump.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "record/harness.h"
#include "worker/control.h"
#include "worker/reorder_window.h"

namespace baleen::worker {
namespace {

using record::named_packet;
using record::PacketName;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kSegment = 1 << 20;

/// Flight recorders of some shards behind a control socket, and what a client is given.
class PacketDumpTest : public testing::Test {
 protected:
  void open(size_t shards, uint64_t segments = 16) {
    for (size_t i = 0; i < shards; ++i) {
      auto flight = record::FlightRecorder::open({.folder = folder_.path(),
                                                  .limit_bytes = segments * kSegment,
                                                  .segment_bytes = kSegment,
                                                  .ttl = Duration::max()});
      ASSERT_TRUE(flight) << flight.error().message;
      flights_.push_back(*std::move(flight));
    }
    DumpServer::Source source;
    for (const auto& flight : flights_) source.flights.push_back(flight.get());
    source.interfaces = [this] { return interfaces_; };
    source.started = named_packet({0, 0}).time;
    source.node = "node-1";
    dumps_ = std::make_unique<DumpServer>(std::move(source));
    auto socket = ControlSocket::open(
        folder_ / "run", [](std::string_view) { return std::string("{}"); },
        [this](std::string_view line, UniqueFd& connection) { return dumps_->take(line, connection); });
    ASSERT_TRUE(socket) << socket.error().message;
    socket_ = *std::move(socket);
  }
  void TearDown() override {
    socket_.reset();
    dumps_.reset();
  }

  /// Packet number n of all is the n-th millisecond's, and lies with the shard of its stream.
  void append(uint64_t stream, uint64_t n, size_t size = 60, Duration later = {}) {
    net::OwnedPacket packet = named_packet({stream, n}, size);
    packet.time += later;
    const size_t shard = stream % flights_.size();
    ASSERT_TRUE(flights_[shard]->append({stream, item::StreamKind::kTcp}, packet.view()));
  }

  struct Given {
    std::vector<PacketName> packets;
    std::vector<Timestamp> times;
    DumpAnswer answer;
    DumpProgress progress;
    std::vector<record::InterfaceName> interfaces;
    std::string error;
  };
  /// Until the end, or until there are so many packets.
  Given ask(const DumpRequest& request, size_t enough = SIZE_MAX) {
    Given given;
    auto reader = DumpReader::open(folder_ / "run", request);
    if (!reader) {
      given.error = reader.error().message;
      return given;
    }
    given.answer = reader->answer();
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (given.packets.size() < enough && std::chrono::steady_clock::now() < end) {
      const auto state = reader->next(milliseconds(100), [&](const DumpedPacket& p) {
        given.packets.push_back(record::name_of(as_text(p.packet.bytes)));
        given.times.push_back(p.packet.time);
        EXPECT_EQ(p.stream.number, given.packets.back().stream);
      });
      if (!state) given.error = state.error().message;
      if (!state || *state == DumpReader::State::kEnd) break;
    }
    given.progress = reader->progress();
    given.interfaces = reader->interfaces();
    return given;
  }

  record::ScratchFolder folder_;
  std::vector<std::unique_ptr<record::FlightRecorder>> flights_;
  std::vector<record::InterfaceName> interfaces_ = {{"eth0", net::LinkType::kEthernet}};
  std::unique_ptr<DumpServer> dumps_;
  std::unique_ptr<ControlSocket> socket_;
};

TEST_F(PacketDumpTest, MergesShardsByTime) {
  for (const size_t shards : {1, 2, 5}) {
    flights_.clear();
    open(shards);
    for (uint64_t n = 0; n < 5000; ++n) append(n * n % 17, n, 40 + n % 900);
    const Given given = ask({});
    EXPECT_EQ(given.error, "");
    ASSERT_EQ(given.packets.size(), 5000u);
    for (uint64_t n = 0; n < 5000; ++n) ASSERT_EQ(given.packets[n], (PacketName{n * n % 17, n}));
    EXPECT_EQ(given.progress.packets, 5000u);
    EXPECT_EQ(given.progress.overwritten, 0u);
    EXPECT_TRUE(given.progress.ended);
    EXPECT_EQ(given.answer.packets, 5000u);
    EXPECT_EQ(given.answer.kept_from, Timestamp{}) << "nothing has been overwritten";
    EXPECT_EQ(given.answer.node, "node-1");
    ASSERT_EQ(given.interfaces.size(), 1u);
    EXPECT_EQ(given.interfaces[0].name, "eth0");
    TearDown();
  }
}

TEST_F(PacketDumpTest, PutsPacketsThatWereHandedOverLateIntoTheOrderOfTime) {
  for (const size_t shards : {1, 3}) {
    flights_.clear();
    open(shards);
    // Packet n is the n-th millisecond's; every third comes up to ninety milliseconds early or late.
    for (uint64_t n = 0; n < 3000; ++n)
      append(n % 11, n, 100, n % 3 == 0 ? milliseconds(n % 90) - milliseconds(45) : Duration{});
    const Given given = ask({});
    ASSERT_EQ(given.packets.size(), 3000u);
    EXPECT_TRUE(std::is_sorted(given.times.begin(), given.times.end()));
    TearDown();
  }
}

TEST(ReorderWindow, HoldsBackAWindowAndLimitedBytes) {
  const auto record = [](int64_t ms, size_t size) {
    const std::string bytes(size, 'x');
    std::string out;
    append_record(out, {{1, item::StreamKind::kTcp},
                        {timestamp_from_ns(ms * 1'000'000), as_bytes(bytes), static_cast<uint32_t>(size), 0,
                         net::LinkType::kEthernet}});
    return out;
  };
  const auto times = [](std::string_view records) {
    std::vector<int64_t> out;
    for (DumpedPacket p; next_record(records, p);) out.push_back(to_ns(p.packet.time) / 1'000'000);
    return out;
  };
  ReorderWindow window(milliseconds(100), 10'000);
  std::string out;
  for (const int64_t ms : {1000, 1050, 1020, 1099}) window.push(record(ms, 10));
  window.release(out);
  EXPECT_EQ(out, "") << "one of 999 ms might still come";
  window.push(record(1130, 10));
  window.release(out);
  EXPECT_EQ(times(out), (std::vector<int64_t>{1000, 1020}));
  window.release_older(timestamp_from_ns(1'150'000'000).time_since_epoch().count(), out);
  EXPECT_EQ(times(out), (std::vector<int64_t>{1000, 1020, 1050}));
  for (int n = 0; n < 20; ++n) window.push(record(1131, 1000));
  window.release(out);
  EXPECT_LE(window.bytes(), 10'000u);
  window.drain(out);
  const auto all = times(out);
  EXPECT_EQ(all.size(), 25u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(window.bytes(), 0u);
}

TEST_F(PacketDumpTest, NarrowsByTimeAndByFilter) {
  open(2);
  for (uint64_t n = 0; n < 3000; ++n) append(n % 7, n, 600);
  DumpRequest request;
  request.since = named_packet({0, 1000}).time;
  request.until = named_packet({0, 1500}).time;
  const Given window = ask(request);
  ASSERT_EQ(window.packets.size(), 500u);
  EXPECT_EQ(window.packets.front().number, 1000u);
  EXPECT_EQ(window.packets.back().number, 1499u);
  request.filter = "tcp and greater 100";
  EXPECT_EQ(ask(request).packets.size(), 500u);
  request.filter = "udp";
  EXPECT_EQ(ask(request).packets.size(), 0u);
  request.filter = "udp and";
  EXPECT_NE(ask(request).error.find("udp and"), std::string::npos);
  request = {};
  request.since = named_packet({0, 4000}).time;
  const Given nothing = ask(request);
  EXPECT_EQ(nothing.packets.size(), 0u);
  EXPECT_TRUE(nothing.progress.ended);
}

TEST_F(PacketDumpTest, SaysWhatIsNotThereAnyMore) {
  open(1, 2);
  for (uint64_t n = 0; n < 5000; ++n) append(1, n, 1000);
  const Given given = ask({});
  EXPECT_GT(given.answer.kept_from, named_packet({0, 1000}).time);
  EXPECT_EQ(given.times.front(), given.answer.kept_from);
  EXPECT_EQ(given.packets.back().number, 4999u);
  EXPECT_EQ(given.packets.size() + flights_[0]->overwritten_packets(), 5000u);
}

TEST_F(PacketDumpTest, AClientThatIsSlowHoldsUpNothingAndLearnsWhatItMissed) {
  open(1, 4);
  for (uint64_t n = 0; n < 3000; ++n) append(1, n, 1000);
  auto reader = DumpReader::open(folder_ / "run", {});
  ASSERT_TRUE(reader);
  std::this_thread::sleep_for(milliseconds(200));  // the socket is full by now
  uint64_t n = 3000;
  for (; n < 30'000; ++n) {
    append(1, n, 1000);
    ASSERT_LE(flights_[0]->bytes_on_disk(), 4 * kSegment);
  }
  EXPECT_EQ(flights_[0]->refused_packets(), 0u);
  uint64_t seen = 0;
  while (true) {
    const auto state = reader->next(seconds(5), [&](const DumpedPacket&) { ++seen; });
    ASSERT_TRUE(state) << state.error().message;
    if (*state == DumpReader::State::kEnd) break;
  }
  EXPECT_GT(reader->progress().overwritten, 0u);
  EXPECT_EQ(reader->progress().packets, seen);
  EXPECT_GE(seen + reader->progress().overwritten, 3000u) << "what it asked for";
}

TEST_F(PacketDumpTest, FollowsWhatComes) {
  open(2);
  const Duration to_now = now() - named_packet({0, 0}).time;
  for (uint64_t n = 0; n < 100; ++n) append(n % 3, n, 60, to_now);
  std::thread traffic([&] {
    for (uint64_t n = 100; n < 400; ++n) {
      std::this_thread::sleep_for(milliseconds(2));
      append(n % 2 == 0 ? 2 : 3, n, 60, to_now);
    }
    // The other shard falls silent.
    for (uint64_t n = 400; n < 450; ++n) append(2, n, 60, to_now);
  });
  DumpRequest request;
  request.follow = true;
  const Given given = ask(request, 450);
  traffic.join();
  ASSERT_EQ(given.packets.size(), 450u);
  for (uint64_t n = 0; n < 450; ++n) ASSERT_EQ(given.packets[n].number, n) << "in order";
  EXPECT_TRUE(given.progress.live);
  request.until = now() + milliseconds(300);
  EXPECT_TRUE(ask(request).progress.ended) << "until its end";
}

TEST_F(PacketDumpTest, ManyClientsAtOnceAndNoMoreThanThat) {
  open(1);
  for (uint64_t n = 0; n < 10; ++n) append(1, n);
  DumpRequest request;
  request.follow = true;
  {
    std::vector<DumpReader> readers;
    for (size_t i = 0; i < DumpServer::kMost; ++i) {
      auto reader = DumpReader::open(folder_ / "run", request);
      ASSERT_TRUE(reader) << reader.error().message;
      readers.push_back(*std::move(reader));
    }
    EXPECT_NE(ask(request).error.find("try again"), std::string::npos);
  }
  EXPECT_TRUE(record::eventually([&] { return ask({}).error.empty(); })) << "they have gone";
}

TEST_F(PacketDumpTest, TheWorkersEndEndsIt) {
  open(1);
  DumpRequest request;
  request.follow = true;
  auto reader = DumpReader::open(folder_ / "run", request);
  ASSERT_TRUE(reader);
  socket_.reset();
  dumps_.reset();
  Result<DumpReader::State> state = DumpReader::State::kWait;
  while (state) state = reader->next(seconds(5), [](const DumpedPacket&) {});
  EXPECT_EQ(state.error().code, Code::kIo);
  auto none = DumpReader::open(folder_ / "run", request);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
}

TEST_F(PacketDumpTest, OtherLinesAreNotTaken) {
  open(1);
  for (const char* line : {"", "{}", "[]", "nonsense", R"({"command":"list"})", R"({"command":5})"}) {
    UniqueFd connection;
    EXPECT_FALSE(dumps_->take(line, connection)) << line;
  }
  for (const char* line : {R"({"command":"dump","since_ns":"x"})", R"({"command":"dump","filter":5})",
                           R"({"command":"dump","follow":"yes"})"}) {
    const auto answer = ask_worker(folder_ / "run", line);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_FALSE(nlohmann::json::parse(*answer).at("ok")) << line;
  }
}

TEST(DumpRecords, CutAnywhereGiveWhatIsWhole) {
  std::string records;
  std::vector<size_t> ends;
  for (size_t size : {0, 1, 7, 8, 9, 1500}) {
    const std::string bytes(size, 'x');
    append_record(records, {{size, item::StreamKind::kUdp},
                            {timestamp_from_ns(5), as_bytes(bytes), 9000, 3, net::LinkType::kRaw}});
    ends.push_back(records.size());
  }
  for (size_t cut = 0; cut <= records.size(); ++cut) {
    std::string_view rest = std::string_view(records).substr(0, cut);
    DumpedPacket packet;
    size_t n = 0;
    while (next_record(rest, packet)) {
      EXPECT_EQ(packet.stream.number, packet.packet.bytes.size());
      EXPECT_EQ(packet.packet.interface, 3u);
      EXPECT_EQ(packet.packet.link, net::LinkType::kRaw);
      ++n;
    }
    EXPECT_EQ(n, static_cast<size_t>(std::count_if(ends.begin(), ends.end(), [&](size_t end) { return end <= cut; })));
  }
}

}  // namespace
}  // namespace baleen::worker
