#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::index {

/// Calls `work` with each number below `count`, on up to `at_once` threads of which the caller's is one.
template <class Work>
void in_parallel(size_t count, size_t at_once, Work work) {
  std::atomic<size_t> next{0};
  const auto take = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> others;
  for (size_t i = 1; i < std::min(at_once, count); ++i) others.emplace_back(take);
  take();
}

/// A whole object, or a range of it when `length` is not zero.
struct Wanted {
  std::string key;
  uint64_t offset = 0, length = 0;
};
constexpr size_t kFetchesAtOnce = 16;
/// Their contents in this order, by up to so many requests at a time; a range that is shorter than asked for is an
/// error.
std::vector<Result<std::string>> fetch_all(store::ObjectStore& store, std::span<const Wanted> wanted);

/// The size and CRC32C of each file, several read at a time.
std::vector<Result<store::FileSum>> sum_all(std::span<const std::string> paths);

}  // namespace baleen::index
