#include "net/tcp.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace baleen::net {
namespace {

/// Feeds segments of one stream and collects what comes out in order.
struct Stream {
  SegmentStore store;
  TcpCounters counters;
  TcpHalf half;
  std::string out;
  uint32_t lost = 0;

  ~Stream() { half.clear(store); }
  void offer(uint32_t seq, std::string_view payload) {
    out += as_text(half.offer(seq, as_bytes(payload), {}, store, counters));
    drain();
  }
  void drain() {
    Bytes bytes;
    while (half.front() != nullptr) {
      StoredSegment* segment = half.pop(bytes, counters);
      out += as_text(bytes);
      store.give(segment);
    }
  }
  void skip() {
    lost += half.skip_gap();
    drain();
  }
};

TEST(TcpHalf, passes_on_the_packets_own_bytes_when_in_order) {
  Stream s;
  s.half.start(100);
  const std::string payload = "hello";
  EXPECT_EQ(s.half.offer(100, as_bytes(payload), {}, s.store, s.counters).data(), as_bytes(payload).data());
  EXPECT_EQ(s.half.next(), 105u);
  EXPECT_EQ(s.store.bytes(), 0u);
}

TEST(TcpHalf, first_bytes_win) {
  Stream s;
  s.half.start(0);
  s.offer(4, "EFGH");
  s.offer(2, "xxyyzz");  // 4..8 are known already
  s.offer(0, "ABCD");
  EXPECT_EQ(s.out, "ABxxEFGH");
}

TEST(TcpHalf, a_segment_over_several_early_ones_fills_only_the_holes) {
  Stream s;
  s.half.start(0);
  s.offer(2, "CC");
  s.offer(6, "GG");
  s.offer(0, "aabbccddee");
  EXPECT_EQ(s.out, "aaCCccGGee");
  EXPECT_EQ(s.store.bytes(), 0u);
}

TEST(TcpHalf, wraps) {
  Stream s;
  s.half.start(0xFFFFFFFE);
  s.offer(2, "efg");
  s.offer(0xFFFFFFFE, "abcd");
  EXPECT_EQ(s.out, "abcdefg");
}

TEST(TcpHalf, gives_up_on_holes_when_told) {
  Stream s;
  s.half.start(0);
  s.offer(10, "late");
  EXPECT_EQ(s.half.gap(), 10u);
  s.skip();
  EXPECT_EQ(s.out, "late");
  EXPECT_EQ(s.lost, 10u);
  EXPECT_FALSE(s.half.waiting());
}

TEST(TcpHalf, ends_where_the_fin_stood) {
  Stream s;
  s.half.start(0);
  s.half.set_end(4);
  s.offer(0, "ab");
  EXPECT_FALSE(s.half.ended());
  s.offer(2, "cdEVIL");
  EXPECT_EQ(s.out, "abcd");
  EXPECT_TRUE(s.half.ended());
  EXPECT_EQ(s.counters.bytes_after_end, 4u);
}

TEST(TcpHalf, respects_its_limits) {
  SegmentStore store(10'000);
  TcpCounters counters;
  TcpHalf half;
  half.start(0);
  const std::string payload(1000, 'x');
  for (uint32_t i = 1; i < 100; ++i) half.offer(i * 2000, as_bytes(payload), {}, store, counters);
  EXPECT_LE(store.bytes(), 10'000u);
  EXPECT_GT(counters.refused_segments, 0u);
  EXPECT_EQ(half.offer(0x60000000, as_bytes(payload), {}, store, counters).size(), 0u);
  half.clear(store);
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(TcpHalf, keeps_what_segments_said_and_knows_whose_turn_it_is) {
  Stream s;
  s.half.start(0);
  s.half.hold(0, as_bytes("ab"), {timestamp_from_ns(7), 99, true}, s.store, s.counters);
  ASSERT_NE(s.half.front(), nullptr);
  EXPECT_EQ(s.half.front()->arrival.ack, 99u);
  EXPECT_EQ(s.half.waiting_since(), timestamp_from_ns(7));
  s.offer(10, "cd");
  EXPECT_EQ(s.out, "ab");
  EXPECT_EQ(s.half.front(), nullptr);
  EXPECT_TRUE(s.half.waiting());
}

TEST(TcpHalf, the_work_for_hostile_order_is_bounded) {
  Stream s;
  s.half.start(0);
  // One byte in two, from the front: each must pass by all before it but for the shortcut to the end.
  for (uint32_t i = 1; i < 4000; ++i) s.offer(2 * i, "x");
  EXPECT_EQ(s.half.waiting_segments(), 3999u);
  const uint64_t refused = s.counters.refused_segments;
  s.offer(2 * 3000 + 1, "y");  // its place is far from both ends
  EXPECT_EQ(s.counters.refused_segments, refused + 1);
  s.offer(1, "y");
  EXPECT_EQ(s.half.waiting_segments(), 4000u);
}

TEST(TcpHalf, any_order_and_cut_gives_the_same_stream) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const size_t size = 1 + random() % 400;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + random() % 26);
    const uint32_t start = static_cast<uint32_t>(random());
    struct Piece {
      size_t at, size;
    };
    std::vector<Piece> pieces;
    for (size_t at = 0; at < size;) {
      const size_t n = std::min<size_t>(size - at, 1 + random() % 60);
      const size_t extra = std::min<size_t>(size - at - n, random() % 3 == 0 ? random() % 50 : 0);  // overlaps the next
      pieces.push_back({at, n + extra});
      if (random() % 4 == 0) pieces.push_back({at, n});  // a retransmission
      at += n;
    }
    std::shuffle(pieces.begin(), pieces.end(), random);
    Stream s;
    s.half.start(start);
    for (const Piece& p : pieces) s.offer(start + static_cast<uint32_t>(p.at), text.substr(p.at, p.size));
    ASSERT_EQ(s.out, text) << "round " << round;
    ASSERT_FALSE(s.half.waiting());
    ASSERT_EQ(s.store.bytes(), 0u);
  }
}

}  // namespace
}  // namespace baleen::net
