// Recordings of what no item matched: scopes, streams that nobody understands, and the time before they began.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "dissect/registry.h"
#include "index/parquet.h"
#include "index/recording_reader.h"
#include "net/harness.h"
#include "record/harness.h"
#include "store/object_store.h"

namespace baleen::record {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class BeyondMatches : public testing::Test {
 protected:
  std::string bucket() const { return folder_ / "bucket"; }
  Recording recording(std::string name = "all") const {
    Recording r;
    r.name = std::move(name);
    r.destination = "file://" + bucket();
    r.by_filter = false;
    return r;
  }
  Recording scope(const std::string& text) const {
    Recording r = recording();
    auto scope = Scope::compile(text);
    EXPECT_TRUE(scope) << scope.error().message;
    r.scope = scope ? *std::move(scope) : Scope();
    return r;
  }
  RecorderOptions options() const { return recorder_options(folder_ / "spool", "00000001"); }
  static index::LossLedger finish(Shard& shard) {
    shard->stop(seconds(20));
    const index::LossLedger l = shard->status().ledger;
    EXPECT_TRUE(l.balances());
    EXPECT_EQ(l.items_in_flight, 0u);
    return l;
  }
  static void expect_streams(const Kept& kept, Shard& shard, const std::set<uint64_t>& streams) {
    uint64_t expected = 0;
    for (const uint64_t stream : streams)
      for (uint64_t n = 0; n < shard.packets_of(stream); ++n, ++expected)
        EXPECT_EQ(kept.packets.contains({stream, n}) ? kept.packets.at({stream, n}) : 0, 1) << stream << " " << n;
    EXPECT_EQ(kept.packets.size(), expected) << "and of no other stream";
  }
  ScratchFolder folder_;
};

/// The port of a stream's client.
std::string port(uint64_t stream) { return fmt::format("port {}", 1024 + stream); }

TEST_F(BeyondMatches, AScopeTakesItsStreamsWholeWithAllTheirItems) {
  Shard shard(folder_.path(), options());
  shard.packets(3, 10);  // before: it goes on, so all of it is kept
  shard.packets(4, 10);
  shard->set_recordings({scope(port(3) + " or " + port(5))});
  for (const uint64_t stream : {1, 3, 5}) {
    shard.packets(stream, 20);
    shard.item(stream, 200);
    shard.packets(stream, 5);
    shard.item(stream, 500);
  }
  shard.end(5);
  shard->settle();
  shard.packets(3, 7);
  shard.packets(6, 3);
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  expect_streams(kept, shard, {3, 5});
  EXPECT_EQ(kept.items, (std::map<std::string, int>{{"/s/3/0", 1}, {"/s/3/1", 1}, {"/s/5/0", 1}, {"/s/5/1", 1}}));
  EXPECT_EQ(ledger.streams_in_scope, 2u);
  EXPECT_EQ(ledger.items_stored, 4u);
  EXPECT_EQ(ledger.items_not_matched, 2u);
  EXPECT_EQ(ledger.packets_unseen, 0u);
  ASSERT_FALSE(kept.blocks.empty());
  EXPECT_EQ(kept.blocks.back().ledger.streams_in_scope, 2u) << "and the block's record tells";
}

TEST_F(BeyondMatches, StreamsThatBeginAndEndWithinATurnAreInTheScopeToo) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({scope("everything")});
  for (uint64_t stream = 1; stream <= 200; ++stream) {
    shard.packets(stream, 3);
    shard.end(stream);
  }
  shard->settle();
  const Recorder::Status status = shard->status();
  EXPECT_EQ(status.ledger.streams_in_scope, 200u);
  EXPECT_TRUE(eventually([&] { return shard->status().ledger.packets_stored == 600; }));
  shard.packets(7, 2);  // late ones
  finish(shard);
  std::set<uint64_t> all;
  for (uint64_t stream = 1; stream <= 200; ++stream) all.insert(stream);
  expect_streams(read_kept(bucket()), shard, all);
}

TEST_F(BeyondMatches, APatternBesideAScopeTakesWhatMatchesElsewhere) {
  Shard shard(folder_.path(), options());
  Recording both = scope(port(1));
  both.filter = filter("http && status_code == 500");
  both.by_filter = true;
  shard->set_recordings({both});
  for (const uint64_t stream : {1, 2, 3}) {
    shard.packets(stream, 10);
    shard.item(stream, 200);
    shard.item(stream, stream == 2 ? 500 : 200);
  }
  finish(shard);
  const Kept kept = read_kept(bucket());
  expect_streams(kept, shard, {1, 2});
  EXPECT_EQ(kept.items, (std::map<std::string, int>{{"/s/1/0", 1}, {"/s/1/1", 1}, {"/s/2/1", 1}}));
}

TEST_F(BeyondMatches, AScopeThatChangesGoesOnAndCopiesNothingTwice) {
  Shard shard(folder_.path(), options());
  shard->set_recordings({scope(port(1))});
  shard.packets(1, 10);
  shard.packets(2, 10);
  shard->settle();
  shard->set_recordings({scope(port(1) + " or " + port(2))});
  shard->settle();
  shard.packets(1, 10);
  shard.packets(2, 10);
  shard->settle();
  Recording elsewhere = scope(port(2));
  elsewhere.destination = "file://" + folder_ / "other";
  shard->set_recordings({elsewhere});
  shard->settle();
  shard.packets(1, 10);
  shard.packets(2, 10);
  finish(shard);
  const Kept kept = read_kept(bucket());
  EXPECT_EQ(kept.packets.size(), 40u);
  for (const auto& [name, times] : kept.packets) EXPECT_EQ(times, 1) << name.stream << " " << name.number;
  expect_streams(read_kept(folder_ / "other"), shard, {2});
}

TEST_F(BeyondMatches, WhatIsOverwrittenBeforeAScopeSawItIsCounted) {
  Shard shard(folder_.path(), options(), 64 << 10);
  shard->set_recordings({scope("udp")});  // none of them: only looking counts
  shard.packets(1, 20'000, 100);
  shard->settle();
  const index::LossLedger ledger = finish(shard);
  EXPECT_GT(ledger.packets_unseen, 0u);
  EXPECT_EQ(ledger.packets_stored, 0u);
}

TEST_F(BeyondMatches, StreamsThatNobodyUnderstandsAreKeptFromTheirFirstPacketOn) {
  Shard shard(folder_.path(), options());
  Recording unknown = recording();
  unknown.undissected = true;
  shard.packets(1, 4);  // known before the recording begins, and goes on
  shard->stream_undissected({1});
  shard.packets(2, 4);  // is over before it begins
  shard->stream_undissected({2});
  shard.end(2);
  shard->settle();
  shard->set_recordings({unknown});
  shard->settle();
  shard.packets(1, 4);
  shard.packets(3, 10);
  shard.item(4);
  shard.packets(4, 10);
  shard->stream_undissected({3});
  shard.packets(3, 10);
  shard.end(3);
  shard->settle();
  const index::LossLedger ledger = finish(shard);
  const Kept kept = read_kept(bucket());
  expect_streams(kept, shard, {1, 3});
  EXPECT_TRUE(kept.items.empty());
  EXPECT_EQ(ledger.streams_undissected, 2u);
  EXPECT_EQ(ledger.items_not_matched, 1u);
  // Read back: there is no item that could lead to them.
  auto location = store::Location::parse("file://" + bucket());
  ASSERT_TRUE(location);
  auto store = store::open(*location);
  ASSERT_TRUE(store);
  index::RecordingReader reader(**store, location->key_prefix());
  std::string pcapng;
  const auto read = reader.packets({}, [&](std::string_view bytes) { pcapng += bytes; });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->written, 28u);
  EXPECT_EQ(read_pcapng(pcapng).size(), 28u);
}

TEST_F(BeyondMatches, LookingBackTakesStreamsThatNobodyUnderstoodAndThatAreOver) {
  Shard shard(folder_.path(), options());
  shard.packets(1, 4);
  shard->stream_undissected({1});
  shard.end(1);
  shard.packets(2, 4);
  shard.end(2);
  shard->settle();
  Recording unknown = recording();
  unknown.undissected = true;
  unknown.look_back = std::chrono::hours(24 * 365 * 20);  // these packets are as old as the harness says
  shard->set_recordings({unknown});
  shard->settle();
  finish(shard);
  expect_streams(read_kept(bucket()), shard, {1});
}

TEST_F(BeyondMatches, LookingBackWithAScopeTakesWhatIsOver) {
  Shard shard(folder_.path(), options());
  for (const uint64_t stream : {1, 2}) {
    shard.packets(stream, 10);
    shard.item(stream);
    shard.end(stream);
  }
  shard->settle();
  Recording before = scope(port(1));
  before.look_back = std::chrono::hours(24 * 365 * 20);
  shard->set_recordings({before});
  shard->settle();
  const index::LossLedger ledger = finish(shard);
  expect_streams(read_kept(bucket()), shard, {1});
  EXPECT_EQ(ledger.streams_in_scope, 1u);
}

// ---- looking back with a pattern: items are made once more ----

/// HTTP conversations whose packets interleave, a millisecond apart, all of the last minute.
std::vector<net::OwnedPacket> http_traffic(int connections, int exchanges, unsigned seed) {
  std::mt19937 random(seed);
  const Timestamp begin = now() - seconds(60);
  struct Side {
    net::Endpoint end;
    uint32_t seq;
  };
  struct Connection {
    Side client, server;
    std::vector<std::pair<bool, std::string>> to_say;  // whether the client says it
    size_t next = 0;
  };
  std::vector<Connection> open;
  for (int c = 0; c < connections; ++c) {
    Connection connection{{{*net::IpAddress::parse("10.0.0.9"), static_cast<uint16_t>(40000 + c)}, 100},
                          {{*net::IpAddress::parse("10.0.0.1"), 80}, 900},
                          {}};
    connection.to_say = {{true, "SYN"}, {false, "SYN"}, {true, ""}};
    for (int e = 0; e < exchanges; ++e) {
      connection.to_say.emplace_back(true, fmt::format("GET /c{}/{} HTTP/1.1\r\nHost: a\r\n\r\n", c, e));
      connection.to_say.emplace_back(
          false, fmt::format("HTTP/1.1 {} OK\r\nContent-Length: 5\r\n\r\nhello", (c + e) % 3 == 0 ? 500 : 200));
    }
    connection.to_say.emplace_back(true, "FIN");
    connection.to_say.emplace_back(false, "FIN");
    connection.to_say.emplace_back(true, "");
    open.push_back(std::move(connection));
  }
  std::vector<net::OwnedPacket> packets;
  while (!open.empty()) {
    Connection& c = open[random() % open.size()];
    auto& [by_client, text] = c.to_say[c.next++];
    Side& from = by_client ? c.client : c.server;
    const Side& to = by_client ? c.server : c.client;
    const bool syn = text == "SYN", fin = text == "FIN";
    net::TcpShape shape{from.end.port, to.end.port, from.seq, to.seq,
                        static_cast<uint8_t>((syn   ? 0x02
                                              : fin ? 0x01
                                                    : 0x08) |
                                             (syn && by_client ? 0 : 0x10))};
    const std::string payload = syn || fin ? "" : text;
    packets.push_back({begin + milliseconds(packets.size()), net::tcp_frame(from.end, to.end, shape, payload)});
    from.seq += static_cast<uint32_t>(payload.size()) + (syn || fin ? 1 : 0);
    if (c.next == c.to_say.size()) open.erase(open.begin() + (&c - open.data()));
  }
  return packets;
}

/// A shard with a real engine.
class LiveShard final : public dissect::EngineObserver {
 public:
  LiveShard(const std::string& folder, RecorderOptions options, bool pins) : pins_(pins) {
    auto flight = FlightRecorder::open(
        {.folder = folder, .limit_bytes = 8 << 20, .segment_bytes = 1 << 20, .ttl = Duration::max()});
    EXPECT_TRUE(flight);
    flight_ = *std::move(flight);
    options.engine.protocols = dissect::registry();
    auto recorder = Recorder::open(std::move(options), {flight_.get()}, &numbers_);
    EXPECT_TRUE(recorder);
    recorder_ = *std::move(recorder);
    engine_ = std::make_unique<dissect::Engine>(
        dissect::EngineOptions{.protocols = dissect::registry(), .tell_packets = true}, *this);
  }
  ~LiveShard() override { recorder_->stop(seconds(0)); }
  void play(std::span<const net::OwnedPacket> packets) {
    for (const net::OwnedPacket& p : packets) {
      if (pins_) recorder_->at_batch(0);
      ++numbers_.packets;
      engine_->on_packet(p.view());
    }
  }
  void stop() {
    if (pins_) recorder_->at_batch(0);
    engine_->finish();
    recorder_->stop(seconds(20));
  }
  void on_item(item::ItemRef item) override { recorder_->offer(item); }
  void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override {
    flight_->append({stream.number, stream.kind}, packet);
  }
  void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override { recorder_->stream_ended(stream.number); }
  Recorder* operator->() { return recorder_.get(); }

 private:
  bool pins_;
  CaptureNumbers numbers_;
  std::unique_ptr<FlightRecorder> flight_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<dissect::Engine> engine_;
};

kfl::Filter http_filter(std::string_view text) {
  kfl::Options options;
  options.protocols = dissect::cards();
  auto compiled = kfl::compile(text, options);
  EXPECT_TRUE(compiled.filter);
  return compiled.filter.value_or(kfl::Filter());
}

/// How often each packet is in the bucket, by its time.
std::map<Timestamp, int> packet_times(const std::string& bucket) {
  std::map<Timestamp, int> times;
  for (const std::string& file : files_below(bucket, ".pcapng"))
    for (const PacketRead& packet : read_pcapng(read_whole(file))) ++times[packet.time];
  return times;
}

/// How often each item is in the bucket, by its path.
std::map<std::string, int> item_paths(const std::string& bucket) {
  std::map<std::string, int> paths;
  for (const std::string& file : files_below(bucket, ".parquet")) {
    index::ParquetQuery query;
    query.files = {file};
    const auto read = index::read_parquet(query, [&](const index::StoredItem& item) {
      ++paths[path_of(item.json)];
      return true;
    });
    EXPECT_TRUE(read) << read.error().message;
  }
  return paths;
}

TEST_F(BeyondMatches, LookingBackFindsEachItemOnceAtWhateverInstantARecordingBegins) {
  const std::vector<net::OwnedPacket> traffic = http_traffic(3, 4, 5);
  for (const bool pins : {false, true}) {
    for (size_t at = 0; at <= traffic.size(); ++at) {
      SCOPED_TRACE(fmt::format("{} of {}, {}", at, traffic.size(), pins ? "by batches" : "by items"));
      const ScratchFolder folder;
      LiveShard shard(folder.path(), recorder_options(folder / "spool", "00000001"), pins);
      Recording r = recording();
      r.destination = "file://" + folder / "bucket";
      r.by_filter = true;
      r.filter = http_filter("http");
      r.look_back = seconds(3600);
      r.beginning = "1";
      shard.play(std::span(traffic).first(at));
      shard->set_recordings({r});
      shard.play(std::span(traffic).subspan(at));
      shard.stop();
      const Recorder::Status status = shard->status();
      EXPECT_TRUE(status.ledger.balances());
      EXPECT_EQ(status.looking_back, 0u);
      std::map<std::string, int> expected;
      for (int c = 0; c < 3; ++c)
        for (int e = 0; e < 4; ++e) expected[fmt::format("/c{}/{}", c, e)] = 1;
      ASSERT_EQ(item_paths(folder / "bucket"), expected);
      const auto times = packet_times(folder / "bucket");
      EXPECT_EQ(times.size(), traffic.size());
      for (const auto& [time, n] : times) EXPECT_EQ(n, 1);
    }
  }
}

TEST_F(BeyondMatches, LookingBackKeepsToItsFilterItsLengthAndItsOneTime) {
  const std::vector<net::OwnedPacket> traffic = http_traffic(6, 20, 9);
  LiveShard shard(folder_.path(), options(), true);
  shard.play(traffic);
  Recording r = recording("errors");
  r.by_filter = true;
  r.filter = http_filter("http and response.status == 500");
  r.look_back = seconds(3600);
  r.beginning = "1";
  shard->set_recordings({r});
  shard.play({});
  shard->at_batch(0);
  ASSERT_TRUE(eventually([&] { return shard->status().ledger.items_looked_back == 40; }));
  // Paused, and on again: what lies before the pause is there, what came in it was not wanted.
  shard->set_recordings({});
  shard->settle();
  shard->set_recordings({r});
  shard->at_batch(0);
  shard->settle();
  // Another beginning of the same recording: it has what is there.
  r.beginning = "2";
  shard->set_recordings({});
  shard->settle();
  shard->at_batch(0);
  shard->set_recordings({r});
  shard->at_batch(0);
  shard->settle();
  // Another recording, that looks back a second.
  Recording brief = recording("brief");
  brief.by_filter = true;
  brief.filter = http_filter("http");
  brief.look_back = seconds(1);
  shard->set_recordings({r, brief});
  shard->at_batch(0);
  shard->settle();
  shard.stop();
  const index::LossLedger ledger = shard->status().ledger;
  EXPECT_EQ(ledger.items_looked_back, 40u);
  EXPECT_EQ(ledger.items_stored, 40u);
  EXPECT_EQ(ledger.items_seen, 6 * 20 + 40u) << "forty were seen twice";
  EXPECT_TRUE(ledger.balances());
  const std::map<std::string, int> items = item_paths(bucket());
  EXPECT_EQ(items.size(), 40u);
  for (const auto& [path, n] : items) EXPECT_EQ(n, 1) << path;
  for (const auto& [time, n] : packet_times(bucket())) EXPECT_EQ(n, 1);
}

TEST_F(BeyondMatches, WhatWasOverwrittenBeforeALookBackIsCounted) {
  Shard shard(folder_.path(), options(), 256 << 10);
  for (uint64_t stream = 0; stream < 400; ++stream) shard.packets(stream, 10, 100);
  const uint64_t gone = shard.flight().overwritten_packets();
  ASSERT_GT(gone, 0u);
  Recording r = recording("all");
  r.by_filter = true;
  r.filter = http_filter("http");
  r.look_back = std::chrono::hours(24 * 365 * 20);  // these packets are as old as the harness says
  shard->set_recordings({r});
  shard->settle();
  shard->stop(seconds(20));
  EXPECT_EQ(shard->status().ledger.packets_unseen, gone);
  EXPECT_EQ(shard.flight().overwritten_since(timestamp_from_ns(INT64_MAX)), 0u);
}

TEST_F(BeyondMatches, AnEndInTheMiddleOfLookingBackHangsNothing) {
  const std::vector<net::OwnedPacket> traffic = http_traffic(20, 200, 3);
  for (const bool patient : {true, false}) {
    const ScratchFolder folder;
    LiveShard shard(folder.path(), recorder_options(folder / "spool", "00000001"), true);
    shard.play(traffic);
    Recording r = recording();
    r.destination = "file://" + folder / "bucket";
    r.by_filter = true;
    r.filter = http_filter("http");
    r.look_back = seconds(3600);
    shard->set_recordings({r});
    shard->stop(patient ? seconds(20) : seconds(0));
    EXPECT_TRUE(shard->status().ledger.balances());
    EXPECT_EQ(!patient || shard->status().ledger.items_looked_back == 4000u, true);
  }
}

}  // namespace
}  // namespace baleen::record
