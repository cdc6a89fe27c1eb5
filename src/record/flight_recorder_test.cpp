#include "record/flight_recorder.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "record/harness.h"

namespace baleen::record {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kHeader = 48;
constexpr uint64_t kSegment = 64 << 10;

std::unique_ptr<FlightRecorder> open(const ScratchFolder& folder, uint64_t segments, Duration ttl = Duration::max(),
                                     uint64_t segment_bytes = kSegment) {
  auto recorder = FlightRecorder::open(
      {.folder = folder.path(), .limit_bytes = segments * segment_bytes, .segment_bytes = segment_bytes, .ttl = ttl});
  EXPECT_TRUE(recorder) << recorder.error().message;
  return recorder ? *std::move(recorder) : nullptr;
}

bool append(FlightRecorder& recorder, PacketName name, size_t size = 200) {
  const net::OwnedPacket packet = named_packet(name, size);
  return recorder.append({name.stream, item::StreamKind::kTcp}, packet.view());
}

/// What is left of everything, in the order in which it is handed out.
std::vector<PacketName> all(const FlightRecorder& recorder, Timestamp since = timestamp_from_ns(INT64_MIN)) {
  std::vector<PacketName> out;
  recorder.read_all(since, [&](StreamKey key, const RecordedPacket& p) {
    out.push_back(name_of(as_text(p.bytes)));
    EXPECT_EQ(key.number, out.back().stream);
  });
  return out;
}

struct Reading {
  std::vector<uint64_t> numbers;
  uint64_t lost = 0;
};

void read(const FlightRecorder& recorder, uint64_t stream, Cursor& cursor, Reading& into) {
  into.lost += recorder.read(stream, cursor, [&](const RecordedPacket& p) {
    const PacketName name = name_of(as_text(p.bytes));
    EXPECT_EQ(name.stream, stream);
    into.numbers.push_back(name.number);
  });
}

Reading read(const FlightRecorder& recorder, uint64_t stream) {
  Cursor cursor;
  Reading reading;
  read(recorder, stream, cursor, reading);
  return reading;
}

TEST(FlightRecorder, GivesBackWhatWasCapturedInOrder) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 4);
  for (uint64_t n = 0; n < 300; ++n) ASSERT_TRUE(append(*recorder, {n % 7 + 1, n}));
  for (uint64_t stream = 1; stream <= 7; ++stream) {
    const Reading reading = read(*recorder, stream);
    EXPECT_EQ(reading.lost, 0u);
    std::vector<uint64_t> expected;
    for (uint64_t n = stream - 1; n < 300; n += 7) expected.push_back(n);
    EXPECT_EQ(reading.numbers, expected);
    EXPECT_TRUE(recorder->knows(stream));
  }
  std::vector<PacketName> expected;
  for (uint64_t n = 0; n < 300; ++n) expected.push_back({n % 7 + 1, n});
  EXPECT_EQ(all(*recorder), expected);
  EXPECT_EQ(recorder->packets(), 300u);
  EXPECT_EQ(recorder->streams().size(), 7u);
  EXPECT_EQ(read(*recorder, 99).numbers.size(), 0u);
  EXPECT_FALSE(recorder->knows(99));
}

TEST(FlightRecorder, KeepsAllThatAPacketIs) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 2);
  net::OwnedPacket packet = named_packet({5, 1}, 31);
  packet.wire_length = 9000;
  packet.link = net::LinkType::kLinuxSll2;
  net::Packet view = packet.view();
  view.interface = 3;
  ASSERT_TRUE(recorder->append({5, item::StreamKind::kUdp}, view));
  packet.bytes.clear();
  ASSERT_TRUE(recorder->append({5, item::StreamKind::kUdp}, packet.view()));
  Cursor cursor;
  std::vector<std::string> bytes;
  recorder->read(5, cursor, [&](const RecordedPacket& p) {
    EXPECT_EQ(p.time, packet.time);
    EXPECT_EQ(p.wire_length, 9000u);
    EXPECT_EQ(p.link, net::LinkType::kLinuxSll2);
    EXPECT_EQ(p.interface, bytes.empty() ? 3u : 0u);
    bytes.emplace_back(as_text(p.bytes));
  });
  EXPECT_EQ(bytes, (std::vector<std::string>{named_packet({5, 1}, 31).bytes, ""}));
  ASSERT_EQ(recorder->streams().size(), 1u);
  EXPECT_EQ(recorder->streams()[0].kind, item::StreamKind::kUdp);
}

TEST(FlightRecorder, ACursorGoesOnWhereItStoodOverSegments) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 8);
  Cursor cursor;
  Reading reading;
  for (uint64_t n = 0; n < 1000; ++n) {
    ASSERT_TRUE(append(*recorder, {n % 2, n}, 300));
    if (n % 37 == 0) read(*recorder, 1, cursor, reading);
    if (n % 91 == 0) {
      const size_t before = reading.numbers.size();
      read(*recorder, 1, cursor, reading);
      EXPECT_TRUE(n % 37 != 0 || reading.numbers.size() == before) << "nothing new, nothing twice";
    }
  }
  read(*recorder, 1, cursor, reading);
  ASSERT_GT(recorder->bytes_on_disk(), 4 * kSegment) << "several segments";
  EXPECT_EQ(reading.lost, 0u);
  ASSERT_EQ(reading.numbers.size(), 500u);
  for (uint64_t i = 0; i < 500; ++i) ASSERT_EQ(reading.numbers[i], 2 * i + 1);
}

TEST(FlightRecorder, TheSizeIsNeverExceededAndTheOldestGo) {
  for (const uint64_t segments : {2, 3, 5}) {
    const ScratchFolder folder;
    const auto recorder = open(folder, segments);
    for (uint64_t n = 0; n < 3000; ++n) {
      ASSERT_TRUE(append(*recorder, {n % 11, n}, 100 + n % 400));
      ASSERT_LE(recorder->bytes_on_disk(), segments * kSegment);
      if (n % 250 != 0) continue;
      const std::vector<PacketName> left = all(*recorder);
      ASSERT_EQ(left.size() + recorder->overwritten_packets(), n + 1);
      for (size_t i = 0; i < left.size(); ++i) ASSERT_EQ(left[i].number, n + 1 - left.size() + i) << "a suffix";
    }
    EXPECT_GE(recorder->bytes_on_disk(), (segments - 1) * kSegment) << "no more is thrown away than must be";
    EXPECT_EQ(recorder->packets(), 3000u);
  }
}

TEST(FlightRecorder, ALimitOfLessThanTwoSegmentsMakesThemSmaller) {
  const ScratchFolder folder;
  auto recorder = FlightRecorder::open({.folder = folder.path(), .limit_bytes = 100'000, .segment_bytes = 64 << 20});
  ASSERT_TRUE(recorder);
  for (uint64_t n = 0; n < 2000; ++n) {
    ASSERT_TRUE(append(**recorder, {1, n}));
    ASSERT_LE((*recorder)->bytes_on_disk(), 100'000u);
  }
  recorder = FlightRecorder::open({.folder = folder.path(), .limit_bytes = 100});
  ASSERT_FALSE(recorder);
  EXPECT_EQ(recorder.error().code, Code::kInvalid);
}

TEST(FlightRecorder, AgeFreesWhatIsOldAndNothingElse) {
  const ScratchFolder folder;
  const auto recorder =
      open(folder, 64, milliseconds(400));  // a named packet is a millisecond later than the one before
  uint64_t largest = 0;
  for (uint64_t n = 0; n < 6000; ++n) {
    ASSERT_TRUE(append(*recorder, {1, n}, 600));
    largest = std::max(largest, recorder->bytes_on_disk());
    if (n % 500 != 499) continue;
    const std::vector<PacketName> left = all(*recorder);
    ASSERT_GE(left.size(), 400u) << "younger than the TTL";
    ASSERT_EQ(left.back().number, n);
    ASSERT_EQ(left.size() + recorder->overwritten_packets(), n + 1);
  }
  EXPECT_LE(largest, 8 * kSegment) << "what is older does not stay";
  EXPECT_EQ(all(*recorder, named_packet({1, 5990}).time).size(), 10u);
}

TEST(FlightRecorder, TimeThatJumpsLosesNothingYoungAndStopsNothing) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 8, milliseconds(100));
  std::vector<Duration> jumps = {seconds(0), -seconds(3600), seconds(86400 * 365), seconds(0), -seconds(86400)};
  uint64_t n = 0;
  for (const Duration jump : jumps)
    for (int i = 0; i < 500; ++i, ++n) {
      net::OwnedPacket packet = named_packet({1, n}, 600);
      packet.time += jump;
      ASSERT_TRUE(recorder->append({1, item::StreamKind::kTcp}, packet.view()));
      ASSERT_LE(recorder->bytes_on_disk(), 8 * kSegment);
    }
  const std::vector<PacketName> left = all(*recorder);
  ASSERT_FALSE(left.empty());
  EXPECT_EQ(left.back().number, n - 1);
  EXPECT_EQ(left.size() + recorder->overwritten_packets(), n);
}

TEST(FlightRecorder, WhatWasOverwrittenIsCounted) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 2);
  Cursor cursor;
  Reading reading;
  uint64_t n = 0;
  for (; n < 10; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  read(*recorder, 1, cursor, reading);
  ASSERT_EQ(reading.numbers.size(), 10u);
  for (; n < 2000; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  read(*recorder, 1, cursor, reading);
  EXPECT_EQ(reading.lost, recorder->overwritten_packets() - 10);
  EXPECT_EQ(reading.numbers.size() + reading.lost, 2000u);
  EXPECT_EQ(reading.numbers.back(), 1999u);
  // Its packets are all gone, and it is not seen again.
  ASSERT_TRUE(append(*recorder, {1, n++}));
  for (uint64_t other = 0; other < 2000; ++other) ASSERT_TRUE(append(*recorder, {2, other}));
  EXPECT_FALSE(recorder->knows(1));
  read(*recorder, 1, cursor, reading);
  EXPECT_EQ(reading.numbers.size() + reading.lost, 2001u);
  read(*recorder, 1, cursor, reading);
  EXPECT_EQ(reading.numbers.size() + reading.lost, 2001u) << "once";
  // It goes on, and is numbered on.
  ASSERT_TRUE(append(*recorder, {1, n++}));
  read(*recorder, 1, cursor, reading);
  EXPECT_EQ(reading.numbers.back(), 2001u);
  EXPECT_EQ(reading.numbers.size() + reading.lost, 2002u);
  EXPECT_EQ(read(*recorder, 1).lost, 2001u) << "a reader that comes late learns how much it has missed";
}

TEST(FlightRecorder, ReadAndLostMakeTheWholeForAnyTraffic) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const ScratchFolder folder;
    const auto recorder = open(folder, 2 + random() % 4, seed % 3 == 0 ? Duration(milliseconds(50)) : Duration::max());
    const uint64_t streams = 1 + random() % 30;
    std::map<uint64_t, Cursor> cursors;
    std::map<uint64_t, Reading> readings;
    std::map<uint64_t, uint64_t> appended;
    for (uint64_t n = 0; n < 3000; ++n) {
      const uint64_t stream = random() % streams;
      if (random() % 500 == 0) {
        ASSERT_FALSE(append(*recorder, {stream, n}, kSegment)) << "too large";
      } else {
        ASSERT_TRUE(append(*recorder, {stream, n}, random() % 900));
      }
      ++appended[stream];
      if (random() % 20 == 0) {
        const uint64_t which = random() % streams;
        read(*recorder, which, cursors[which], readings[which]);
      }
    }
    for (auto& [stream, reading] : readings) {
      ASSERT_TRUE(append(*recorder, {stream, 3000 + stream}));
      read(*recorder, stream, cursors[stream], reading);
      EXPECT_EQ(reading.numbers.size() + reading.lost, appended[stream] + 1) << stream;
      EXPECT_TRUE(std::is_sorted(reading.numbers.begin(), reading.numbers.end()));
      EXPECT_EQ(std::adjacent_find(reading.numbers.begin(), reading.numbers.end()), reading.numbers.end());
    }
  }
}

TEST(FlightRecorder, APacketLargerThanASegmentIsRefusedAndCounted) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 4);
  EXPECT_FALSE(append(*recorder, {1, 0}, kSegment));
  EXPECT_FALSE(recorder->knows(1));
  EXPECT_EQ(recorder->refused_packets(), 1u);
  EXPECT_EQ(recorder->packets(), 0u);
  EXPECT_TRUE(append(*recorder, {1, 1}));
  EXPECT_FALSE(append(*recorder, {1, 2}, kSegment));
  EXPECT_TRUE(append(*recorder, {1, 3}));
  const Reading reading = read(*recorder, 1);
  EXPECT_EQ(reading.numbers, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(reading.lost, 2u);
  // The largest that fits.
  const uint64_t around = named_packet({1, 4}, 16).bytes.size() - 16;
  EXPECT_TRUE(append(*recorder, {1, 4}, kSegment - kHeader - around));
  EXPECT_FALSE(append(*recorder, {1, 5}, kSegment - kHeader - around + 1));
}

TEST(FlightRecorder, AFullDiskStopsNothing) {
  const ScratchFolder folder;
  {
    const FileSizeLimit full(1000);
    const auto none =
        FlightRecorder::open({.folder = folder.path(), .limit_bytes = 8 * kSegment, .segment_bytes = kSegment});
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find(folder.path()), std::string::npos) << none.error().message;
  }
  const auto recorder = open(folder, 8);
  Cursor cursor;
  Reading reading;
  uint64_t n = 0;
  while (recorder->bytes_on_disk() < 3 * kSegment) ASSERT_TRUE(append(*recorder, {1, n++}));
  uint64_t of_first = n;
  {
    const FileSizeLimit full(1000);
    for (; n < 5000; ++n) {
      ASSERT_TRUE(append(*recorder, {n % 3 + 1, n}));
      of_first += n % 3 == 0 ? 1 : 0;
      if (n == 2000) read(*recorder, 1, cursor, reading);
    }
    EXPECT_EQ(recorder->bytes_on_disk(), 3 * kSegment) << "it lives with what it has";
    EXPECT_GT(recorder->failed_segments(), 0u);
    const std::vector<PacketName> left = all(*recorder);
    EXPECT_GT(left.size(), 2 * kSegment / 350) << "two whole segments at least";
    EXPECT_EQ(left.size() + recorder->overwritten_packets(), n);
    EXPECT_EQ(left.front().number, n - left.size());
    EXPECT_EQ(left.back().number, n - 1);
  }
  read(*recorder, 1, cursor, reading);
  EXPECT_EQ(reading.numbers.size() + reading.lost, of_first);
  for (; n < 9000; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  EXPECT_EQ(recorder->bytes_on_disk(), 8 * kSegment) << "it grows again when there is room";
}

TEST(FlightRecorder, OnAFullDiskWhatIsReadIsNotWrittenOver) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 4);
  for (uint64_t n = 0; n < 200; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  const FileSizeLimit full(1000);
  uint64_t n = 200, kept = 0, refused = 0;
  Cursor cursor;
  std::vector<uint64_t> seen;
  recorder->read(1, cursor, [&](const RecordedPacket& p) {
    for (; seen.empty() && n < 2000; ++n) ++(append(*recorder, {2, n}) ? kept : refused);
    seen.push_back(name_of(as_text(p.bytes)).number);
  });
  ASSERT_EQ(seen.size(), 200u);
  for (uint64_t i = 0; i < 200; ++i) ASSERT_EQ(seen[i], i) << "not written over while it is read";
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(recorder->refused_packets(), refused);
  // Nobody reads any more: capturing goes on, and what was refused counts as lost.
  ASSERT_TRUE(append(*recorder, {2, n}));
  const Reading reading = read(*recorder, 2);
  EXPECT_EQ(reading.numbers.back(), n);
  EXPECT_EQ(reading.numbers.size() + reading.lost, 1801u);
}

TEST(FlightRecorder, WhatIsReadStaysWhileItIsOverwritten) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 3);
  for (uint64_t n = 0; n < 200; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  Cursor cursor;
  uint64_t expected = 0;
  recorder->read(1, cursor, [&](const RecordedPacket& p) {
    for (uint64_t n = 0; expected == 0 && n < 3000; ++n) {
      ASSERT_TRUE(append(*recorder, {2, n}));
      ASSERT_LE(recorder->bytes_on_disk(), 3 * kSegment) << "what is read counts";
    }
    EXPECT_EQ(name_of(as_text(p.bytes)).number, expected++);
  });
  EXPECT_EQ(expected, 200u);
  EXPECT_FALSE(recorder->knows(1));
}

TEST(FlightRecorder, TheLimitHoldsWhenReadersHoldWhatWouldHaveToGo) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 2);
  for (uint64_t n = 0; n < 100; ++n) ASSERT_TRUE(append(*recorder, {1, n}));
  Cursor cursor;
  uint64_t kept = 0, refused = 0, seen = 0;
  recorder->read(1, cursor, [&](const RecordedPacket& p) {
    EXPECT_EQ(name_of(as_text(p.bytes)).number, seen++);
    for (uint64_t n = 0; seen == 1 && n < 3000; ++n) {
      ++(append(*recorder, {2, n}) ? kept : refused);
      ASSERT_LE(recorder->bytes_on_disk(), 2 * kSegment);
    }
  });
  EXPECT_EQ(seen, 100u) << "a stream that is followed is not written over while it is copied";
  EXPECT_EQ(kept, 3000u) << "the newest are kept: the one segment that nobody reads is used again";
  EXPECT_EQ(refused, recorder->refused_packets());
  EXPECT_EQ(read(*recorder, 2).lost + read(*recorder, 2).numbers.size(), 3000u);
}

TEST(FlightRecorder, ReadersOfEverySegmentCostPacketsAndNeverTheLimit) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 2);
  uint64_t n = 0;
  for (; recorder->bytes_on_disk() < 2 * kSegment; ++n) ASSERT_TRUE(append(*recorder, {n % 2, n}));
  uint64_t refused = 0;
  const Place end = recorder->end();
  Place older, newer{kSegment, 0};
  recorder->read_on(older, end, 1, [&](StreamKey, const RecordedPacket&) {
    recorder->read_on(newer, end, 1, [&](StreamKey, const RecordedPacket&) {
      for (int i = 0; i < 2000; ++i, ++n) {
        refused += append(*recorder, {3, n}) ? 0 : 1;
        ASSERT_LE(recorder->bytes_on_disk(), 2 * kSegment);
      }
    });
  });
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(recorder->refused_packets(), refused);
  ASSERT_TRUE(append(*recorder, {3, n})) << "nobody reads any more";
  EXPECT_EQ(read(*recorder, 3).lost + read(*recorder, 3).numbers.size(), 2001u);
}

TEST(FlightRecorder, EverythingIsReadInPiecesAndWhatWasOverwrittenIsCounted) {
  for (const uint64_t segments : {2, 4, 64}) {
    const ScratchFolder folder;
    const auto recorder = open(folder, segments);
    Place place;
    uint64_t lost = 0, seen = 0, next = 0;
    for (uint64_t n = 0; n < 5000; ++n) {
      ASSERT_TRUE(append(*recorder, {n % 5 == 0 ? kNoStream : n % 5, n}, 50 + n % 300));
      if (n % 700 != 699) continue;
      const Place end = recorder->end();
      while (place.position < end.position) {
        const uint64_t gone = recorder->read_on(place, end, 5000, [&](StreamKey key, const RecordedPacket& p) {
          const PacketName name = name_of(as_text(p.bytes));
          EXPECT_EQ(key.number, name.stream);
          EXPECT_GE(name.number, next);
          next = name.number + 1;
          ++seen;
        });
        lost += gone;
        ASSERT_EQ(seen + lost, place.packets);
      }
      EXPECT_EQ(place, end);
      EXPECT_EQ(seen + lost, n + 1);
      EXPECT_EQ(next, n + 1) << "up to the newest";
    }
    EXPECT_EQ(lost != 0, segments != 64) << "a reader who comes every 700 packets is lapped";
    EXPECT_FALSE(recorder->knows(kNoStream));
    const Extent extent = recorder->extent();
    EXPECT_EQ(extent.packets + recorder->overwritten_packets(), 5000u);
    EXPECT_EQ(extent.complete, segments == 64);
    // A packet's stream is in the last digits of its time.
    const auto ms = [](Timestamp t) { return std::chrono::round<milliseconds>(t); };
    EXPECT_EQ(ms(extent.newest), ms(named_packet({0, 4999}).time));
    EXPECT_EQ(ms(extent.oldest), ms(named_packet({0, 5000 - extent.packets}).time));
    EXPECT_EQ(extent.bytes, recorder->bytes_on_disk());
  }
}

TEST(FlightRecorder, APlaceOfATimeLiesBeforeAllOfThatTime) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 64);
  for (uint64_t n = 0; n < 3000; ++n) ASSERT_TRUE(append(*recorder, {1, n}, 300));
  for (uint64_t n = 0; n < 3000; n += 113) {
    const Timestamp since = named_packet({1, n}).time;
    EXPECT_EQ(all(*recorder, since).size(), 3000 - n);
    EXPECT_LE(recorder->place_of(since).packets, n);
    EXPECT_GT(recorder->place_of(since).packets + 300, n) << "whole segments before it are left out";
  }
  EXPECT_EQ(recorder->place_of(named_packet({1, 3000}).time), recorder->end());
}

TEST(FlightRecorder, OnAQuietNetworkPacketsGrowOldToo) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 16, seconds(60));
  for (uint64_t n = 0; n < 1000; ++n) {
    net::OwnedPacket packet = named_packet({1, n}, 20);
    packet.time += seconds(n);  // one a second: a segment would take a quarter of an hour
    ASSERT_TRUE(recorder->append({1, item::StreamKind::kTcp}, packet.view()));
    const Extent extent = recorder->extent();
    ASSERT_LE(extent.newest - extent.oldest, seconds(125)) << n;
    ASSERT_GE(extent.newest - extent.oldest, std::min(seconds(n), seconds(60))) << "the floor";
  }
}

TEST(FlightRecorder, ManyStreamsCostWhatTheirPacketsDo) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 4);
  constexpr uint64_t kStreams = 200'000;
  for (uint64_t stream = 0; stream < kStreams; ++stream) ASSERT_TRUE(append(*recorder, {stream, stream}, 16));
  const std::vector<PacketName> left = all(*recorder);
  EXPECT_EQ(recorder->streams().size(), left.size()) << "streams that have packets, and no others";
  EXPECT_EQ(left.size() + recorder->overwritten_packets(), kStreams);
  EXPECT_EQ(read(*recorder, kStreams - 1).numbers.size(), 1u);
  EXPECT_EQ(read(*recorder, kStreams - 5000).lost, 1u) << "remembered to be gone";
  EXPECT_EQ(read(*recorder, 5).lost, 0u) << "forgotten: memory is bounded";
}

TEST(FlightRecorder, ReadersAndTheWriterAtTheSameTime) {
  const ScratchFolder folder;
  const auto recorder = open(folder, 10);  // four more than what six readers may hold
  constexpr uint64_t kStreams = 4, kPackets = 20'000;
  std::atomic<bool> done{false};
  Reading readings[kStreams];
  std::vector<std::thread> threads;
  for (uint64_t stream = 0; stream < kStreams; ++stream)
    threads.emplace_back([&, stream] {
      Cursor cursor;
      for (bool last = false; !last;) {
        last = done.load();
        read(*recorder, stream, cursor, readings[stream]);
        (void)recorder->streams();
      }
    });
  threads.emplace_back([&] {
    while (!done) {
      const std::vector<PacketName> left = all(*recorder);
      for (size_t i = 1; i < left.size(); ++i) ASSERT_GT(left[i].number, left[i - 1].number);
      (void)recorder->bytes_on_disk();
      (void)recorder->overwritten_packets();
    }
  });
  for (uint64_t n = 0; n < kPackets; ++n) {
    ASSERT_TRUE(append(*recorder, {n % kStreams, n}));
    if (n % 1000 == 0) std::this_thread::yield();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (uint64_t stream = 0; stream < kStreams; ++stream) {
    const Reading& r = readings[stream];
    EXPECT_EQ(r.numbers.size() + r.lost, kPackets / kStreams);
    EXPECT_TRUE(std::is_sorted(r.numbers.begin(), r.numbers.end()));
    EXPECT_EQ(std::adjacent_find(r.numbers.begin(), r.numbers.end()), r.numbers.end());
    EXPECT_EQ(r.numbers.back(), kPackets - kStreams + stream);
  }
}

}  // namespace
}  // namespace baleen::record
