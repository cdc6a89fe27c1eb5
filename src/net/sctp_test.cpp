#include "net/sctp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "net/harness.h"

namespace baleen::net {
namespace {

std::string chunk(uint8_t type, uint16_t length, std::string_view body) {
  std::string out{static_cast<char>(type), 0};
  out += be16_text(length) + std::string(body);
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}

struct Case {
  const char* name;
  std::string payload;
  uint32_t missing;
  std::vector<std::string> chunks;  // type, bytes there, bytes missing
};

TEST(Sctp, chunks_are_taken_off_the_front) {
  const Case cases[] = {
      {"none", "", 0, {}},
      {"one", chunk(3, 8, "abcd"), 0, {"3 4 0"}},
      {"padded", chunk(0, 5, "a") + chunk(3, 4, ""), 0, {"0 1 0", "3 0 0"}},
      {"cut by the capture", chunk(0, 100, "abcd"), 92, {"0 4 92"}},
      {"longer than the packet was", chunk(0, 100, "abcd"), 91, {}},
      {"no length", chunk(0, 0, "abcd"), 0, {}},
      {"a length that is too small", chunk(0, 3, ""), 0, {}},
      {"the last one without its padding", chunk(3, 4, "") + chunk(0, 5, "a").substr(0, 5), 0, {"3 0 0", "0 1 0"}},
  };
  for (const Case& c : cases) {
    SctpChunks chunks(as_bytes(c.payload), c.missing);
    std::vector<std::string> got;
    for (SctpChunk one; chunks.next(one);)
      got.push_back(std::to_string(one.type) + " " + std::to_string(one.body.size()) + " " +
                    std::to_string(one.missing));
    EXPECT_EQ(got, c.chunks) << c.name;
  }
}

TEST(Sctp, data_needs_its_header) {
  const std::string body = be32_text(7) + be16_text(1) + be16_text(2) + be32_text(46) + "abc";
  for (size_t size = 0; size < 12; ++size) EXPECT_FALSE(sctp_data({0, 3, as_bytes(body).first(size), 0}));
  EXPECT_FALSE(sctp_data({3, 0, as_bytes(body), 0})) << "another chunk";
  const auto data = sctp_data({0, 3, as_bytes(body), 0});
  ASSERT_TRUE(data);
  EXPECT_TRUE(data->begins && data->ends && !data->unordered && !data->interleaved);
  EXPECT_EQ(data->tsn, 7u);
  EXPECT_EQ(data->stream, 1);
  EXPECT_EQ(data->sequence, 2);
  EXPECT_EQ(data->protocol, 46u);
  EXPECT_EQ(as_text(data->bytes), "abc");
}

TEST(Sctp, interleaved_data_say_what_they_are_in_their_first_piece) {  // RFC 8260 2.1
  const std::string body = be32_text(7) + be16_text(1) + be16_text(0) + be32_text(70000) + be32_text(60) + "abc";
  for (size_t size = 0; size < 16; ++size) EXPECT_FALSE(sctp_data({64, 3, as_bytes(body).first(size), 0}));
  const auto first = sctp_data({64, 2 | 4, as_bytes(body), 0}), second = sctp_data({64, 1, as_bytes(body), 0});
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->begins && !first->ends && first->unordered && first->interleaved);
  EXPECT_EQ(first->sequence, 70000u);
  EXPECT_EQ(first->protocol, 60u);
  EXPECT_EQ(second->protocol, 0u) << "there it is the number of the piece";
  EXPECT_EQ(as_text(second->bytes), "abc");
}

TEST(Sctp, what_is_kept_comes_out_as_it_came) {
  SegmentStore store;
  SctpCounters counters;
  SctpHalf half;
  half.start(1, store);
  EXPECT_FALSE(half.offer(2, {64, 5, as_bytes("late"), 300}, {}, store, counters));
  EXPECT_EQ(half.first_waiting(), 2u);
  half.skip_to(2, counters);
  EXPECT_EQ(counters.lost, 1u);
  StoredSegment* const kept = half.pop();
  ASSERT_NE(kept, nullptr);
  const SctpChunk chunk = SctpHalf::chunk_of(*kept);
  EXPECT_EQ(chunk.type, 64);
  EXPECT_EQ(chunk.flags, 5);
  EXPECT_EQ(chunk.missing, 300u);
  EXPECT_EQ(as_text(chunk.body), "late");
  store.give(kept);
  half.skip_to(1u << 30, counters);
  EXPECT_EQ(half.next(), 3u) << "too far to be true";
}

TEST(Sctp, any_order_comes_out_in_order_once) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const uint32_t first = 0xFFFFFFF0;  // over the end of the numbers
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < 40; ++i) order.insert(order.end(), 1 + random() % 2, first + i);
    std::shuffle(order.begin(), order.end(), random);
    SegmentStore store;
    SctpCounters counters;
    SctpHalf half;
    half.start(first, store);
    std::vector<uint32_t> out;
    for (const uint32_t tsn : order) {
      const std::string body = be32_text(tsn);
      if (half.offer(tsn, {0, 3, as_bytes(body), 0}, {}, store, counters)) out.push_back(tsn);
      while (StoredSegment* const kept = half.pop()) {
        out.push_back(load_be32(kept->bytes().data()));
        store.give(kept);
      }
    }
    ASSERT_EQ(out.size(), 40u);
    for (uint32_t i = 0; i < 40; ++i) EXPECT_EQ(out[i], first + i);
    EXPECT_EQ(store.bytes(), 0u);
    EXPECT_EQ(counters.retransmitted, order.size() - 40);
  }
}

TEST(Sctp, waits_for_no_more_than_its_limits) {
  SegmentStore store(1 << 20);
  SctpCounters counters;
  SctpHalf half;
  half.start(0, store);
  const std::string body(16, 'x');
  for (uint32_t tsn = 1; tsn < 3000; ++tsn) half.offer(tsn, {0, 3, as_bytes(body), 0}, {}, store, counters);
  EXPECT_LE(half.waiting_chunks(), SctpHalf::kMostEarly);
  EXPECT_GT(counters.refused, 0u);
  EXPECT_FALSE(half.offer(1u << 30, {0, 3, as_bytes(body), 0}, {}, store, counters));
  half.skip_hole(counters);
  EXPECT_EQ(counters.lost, 1u);
  half.clear(store);
  EXPECT_EQ(store.bytes(), 0u);
}

}  // namespace
}  // namespace baleen::net
