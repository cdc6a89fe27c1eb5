#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file_mapping.h"
#include "base/library.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/suggest.h"
#include "base/task_thread.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace baleen {
namespace {

TEST(Library, is_loaded_or_says_what_is_absent_and_who_needs_it) {
  void *here = nullptr, *nowhere = nullptr;
  const char* const files[] = {"libnothing-of-that-name.so.9", "libc.so.6"};
  const LibraryFunction whole[] = {{"getpid", &here}}, lacking[] = {{"getpid", &here}, {"no_such_function", &nowhere}};
  ASSERT_TRUE(load_library(files, whole, "tests need it"));
  EXPECT_NE(here, nullptr);
  for (const Result<>& failed : {load_library(std::span(files).first(1), whole, "tests need it"),
                                 load_library(files, lacking, "tests need it")}) {
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::kNotFound);
    EXPECT_TRUE(failed.error().message.starts_with("tests need it: ")) << failed.error().message;
  }
}

/// A file that is gone when it is closed, with `bytes` of the letter x.
UniqueFd unnamed_file(size_t bytes) {
  std::FILE* const file = std::tmpfile();
  UniqueFd fd(::dup(::fileno(file)));
  std::fclose(file);
  const std::string content(bytes, 'x');
  EXPECT_EQ(::write(fd.get(), content.data(), bytes), static_cast<ssize_t>(bytes));
  return fd;
}

TEST(FileMapping, shows_zeros_where_a_file_was_cut_and_says_so) {
  constexpr size_t kBytes = 10 * 4096 + 5;
  const UniqueFd fd = unnamed_file(kBytes);
  auto mapping = FileMapping::open(fd.get(), kBytes);
  ASSERT_TRUE(mapping);
  ASSERT_TRUE(mapping->fetch(0, kBytes));
  EXPECT_EQ(mapping->bytes()[kBytes - 1], 'x');
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  EXPECT_FALSE(mapping->is_broken());
  const volatile uint8_t* const bytes = mapping->bytes().data();
  EXPECT_EQ(bytes[0], 'x');
  EXPECT_FALSE(mapping->is_broken());
  for (const size_t at : {size_t{4096}, kBytes - 1, size_t{4097}}) EXPECT_EQ(bytes[at], 0);
  EXPECT_TRUE(mapping->is_broken());
  const auto again = mapping->fetch(2 * 4096, 4096);
  EXPECT_TRUE(!again && again.error().code == Code::kIo);
  FileMapping moved = *std::move(mapping);
  EXPECT_TRUE(moved.is_broken());
  moved.forget(4096);
  EXPECT_EQ(moved.bytes()[0], 'x');  // it comes again
}

TEST(FileMapping, cannot_be_of_what_is_no_file) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_FALSE(FileMapping::open(ends[0], 4096));
  ::close(ends[0]), ::close(ends[1]);
}

#ifndef BALEEN_ADDRESS_SANITIZER  // whose own handler ends it otherwise
TEST(FileMapping, leaves_bus_errors_of_others_alone) {
  const UniqueFd fd = unnamed_file(8192);
  const auto mapping = FileMapping::open(fd.get(), 8192);
  ASSERT_TRUE(mapping);
  const UniqueFd other = unnamed_file(8192);
  const auto* const bytes =
      static_cast<const volatile uint8_t*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, other.get(), 0));
  ASSERT_EQ(::ftruncate(other.get(), 0), 0);
  EXPECT_EXIT(static_cast<void>(bytes[0]), testing::KilledBySignal(SIGBUS), "");
}
#endif

TEST(ByteReader, stays_failed_after_the_first_short_read) {
  const uint8_t data[] = {0x01, 0x02, 0x03};
  ByteReader r(data);
  EXPECT_EQ(r.be16(), 0x0102);
  EXPECT_EQ(r.be32(), 0u);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.u8(), 0);
  EXPECT_EQ(r.remaining(), 0u);
}

TEST(ByteReader, reads_both_orders) {
  const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3};
  ByteReader r(data);
  EXPECT_EQ(r.le64(), 0x0807060504030201u);
  EXPECT_EQ(r.be24(), 0x010203u);
  EXPECT_TRUE(r.ok() && r.at_end());
}

TEST(Arena, gives_back_all_blocks_to_its_pool) {
  BlockPool pool;
  {
    Arena arena(&pool);
    for (int i = 0; i < 100; ++i) arena.allocate(1000);
    arena.allocate(100'000);  // larger than a block: one of its own
    EXPECT_GE(arena.footprint(), 200'000u);
    arena.clear();
    EXPECT_EQ(arena.footprint(), BlockPool::kBlockBytes);
  }
  EXPECT_EQ(pool.free_blocks(), 25u);  // 4 wishes of 1000 bytes fit a block
}

TEST(Arena, large_blocks_come_home_too) {
  BlockPool pool;
  size_t bytes = 100'000;
  void* const first = pool.take_large(bytes);
  EXPECT_EQ(bytes, size_t{128} << 10);
  pool.give_large(first, bytes);
  bytes = 70'000;
  EXPECT_EQ(pool.take_large(bytes), first);
  pool.give_large(first, bytes);
  for (size_t size : {size_t{4097}, BlockPool::kLargest, BlockPool::kLargest + 1}) {
    Arena arena(&pool);
    std::memset(arena.allocate(size), 1, size);
    EXPECT_GE(arena.footprint(), size);
  }
  // What is kept has a limit: more than that at once goes back to the system (a leak checker sees the rest).
  std::vector<std::pair<void*, size_t>> many(40, {nullptr, size_t{1} << 20});
  for (auto& [block, size] : many) block = pool.take_large(size);
  for (auto& [block, size] : many) pool.give_large(block, size);
}

TEST(Arena, gives_all_of_a_block_that_was_taken_for_one_wish) {
  BlockPool pool;
  Arena arena(&pool);
  EXPECT_EQ(arena.allocate_at_least(100).size(), 100u);
  const std::span<char> large = arena.allocate_at_least(5000);
  EXPECT_GE(large.size(), 8000u);
  std::fill(large.begin(), large.end(), 'x');  // the sanitizers look on
  EXPECT_LT(large.size(), arena.footprint());
  EXPECT_GE(Arena().allocate_at_least(5000).size(), 5000u);
}

TEST(Arena, aligns) {
  Arena arena;
  arena.allocate(1, 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(8, 8)) % 8, 0u);
  arena.allocate(1, 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(16, 16)) % 16, 0u);
}

TEST(Arena, survives_being_moved) {
  Arena a;
  const std::string_view text = a.copy("hello");
  Arena b = std::move(a);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(a.footprint(), 0u);
}

TEST(Ring, carries_everything_in_order_between_two_threads) {
  Ring<int> ring(64);
  std::thread producer([&] {
    for (int i = 0; i < 100'000;) {
      int v = i;
      if (ring.push(std::move(v))) ++i;
    }
  });
  for (int expected = 0; expected < 100'000;) {
    int v = -1;
    if (ring.pop(v)) {
      ASSERT_EQ(v, expected);
      ++expected;
    }
  }
  producer.join();
}

TEST(Ring, refuses_when_full) {
  Ring<int> ring(2);
  EXPECT_TRUE(ring.push(1) && ring.push(2));
  EXPECT_FALSE(ring.push(3));
  int v = 0;
  EXPECT_TRUE(ring.pop(v));
  EXPECT_TRUE(ring.push(3));
}

TEST(Crc32c, matches_the_vectors_of_rfc_3720) {
  const std::string zeros(32, '\0');
  EXPECT_EQ(crc32c(as_bytes(zeros)), 0x8A9136AAu);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))), 0xE3069283u);
  std::string content(100'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 3);
  const Bytes whole = as_bytes(content);
  uint32_t by_bytes = 0;
  for (const uint8_t& byte : whole) by_bytes = crc32c({&byte, 1}, by_bytes);
  EXPECT_EQ(crc32c(whole), by_bytes);
  for (size_t size = 0; size < 2000; ++size) {  // around the lanes' ends
    uint32_t one_by_one = 0;
    for (const uint8_t& byte : whole.subspan(size, size)) one_by_one = crc32c({&byte, 1}, one_by_one);
    ASSERT_EQ(crc32c(whole.subspan(size, size)), one_by_one) << size;
  }
  // Of every size below 1,000, and of some on both sides of 65,536.
  std::vector<size_t> places{0, 1, 4096, content.size() - 65'537, content.size() - 65'536, content.size() - 65'535};
  for (size_t size = 0; size < 1000; ++size) places.push_back(content.size() - size);
  for (size_t at = 0; at < content.size(); at += 997) places.push_back(at);
  for (const size_t at : places)
    EXPECT_EQ(crc32c_of_both(crc32c(whole.first(at)), crc32c(whole.subspan(at)), content.size() - at), crc32c(whole))
        << at;
}

TEST(Clock, prints_rfc_3339) {
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(1'700'000'000'123'400'000)), "2023-11-14T22:13:20.1234Z");
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(-1)), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(-86'400'000'000'000)), "1969-12-31T00:00:00Z");
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(INT64_MIN)), "1677-09-21T00:12:43.145224192Z");
  EXPECT_EQ(to_rfc3339(timestamp_from_ns(INT64_MAX)), "2262-04-11T23:47:16.854775807Z");
}

TEST(Units, read_durations_and_sizes) {
  EXPECT_EQ(parse_duration("1h30m"), std::chrono::minutes(90));
  EXPECT_EQ(parse_duration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("10"), std::chrono::seconds(10));
  for (const char* bad : {"", "s", "10 s", "1x", "-5s", "1e99s"}) EXPECT_FALSE(parse_duration(bad)) << bad;
  EXPECT_EQ(to_string(Duration(std::chrono::seconds(5430))), "1h30m30s");
  EXPECT_EQ(parse_size("5Gi"), 5ull << 30);
  EXPECT_EQ(parse_size("500MB"), 500'000'000u);
  for (const char* bad : {"", "Gi", "5Xi", "-1"}) EXPECT_FALSE(parse_size(bad)) << bad;
  EXPECT_EQ(size_to_string(1536), "1.5 KiB");
}

TEST(Units, read_times) {
  const Timestamp reference = timestamp_from_ns(1'700'000'000'000'000'000);
  EXPECT_EQ(parse_time("2023-11-14T22:13:20Z", {}), reference);
  EXPECT_EQ(parse_time("2023-11-14T23:13:20.5+01:00", {}), reference + std::chrono::milliseconds(500));
  EXPECT_EQ(parse_time("2023-11-14", {}), reference - std::chrono::seconds(80'000));
  EXPECT_EQ(parse_time("15m", reference), reference - std::chrono::minutes(15));
  EXPECT_EQ(parse_time("1700000000", {}), reference);
  for (const char* bad : {"", "yesterday", "2023-13-01", "2023-11-14T25:00:00Z"})
    EXPECT_FALSE(parse_time(bad, reference)) << bad;
}

TEST(Suggest, names_the_nearest_or_nothing) {
  static constexpr std::string_view kNames[] = {"namespaces", "regex", "storageLimit"};
  EXPECT_EQ(suggest("namespcaes", kNames), "namespaces");
  EXPECT_EQ(suggest("storagelimit", kNames), "storageLimit");
  EXPECT_EQ(suggest("banana", kNames), "");
}

Result<int> half(int n) {
  if (n % 2 != 0) return Error{Code::kInvalid, "odd"};
  return n / 2;
}
Result<int> quarter(int n) {
  BALEEN_TRY(const int h, half(n));
  return half(h);
}

TEST(Result, passes_errors_up) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(Error({Code::kIo, "b"}).in("a").message, "a: b");
}

TEST(TaskThread, runs_tasks_in_order_and_finishes_all) {
  std::vector<int> done;
  TaskThread thread("test");
  for (int i = 0; i < 100; ++i) thread.run([&done, i] { done.push_back(i); });
  thread.finish();
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
  EXPECT_EQ(thread.unfinished(), 0u);
  thread.run([&done] { done.clear(); });  // too late: dropped, not run
  thread.finish();
  EXPECT_EQ(done.size(), 100u);
}

}  // namespace
}  // namespace baleen
