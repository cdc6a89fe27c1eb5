#include "store/retrying_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/crc32c.h"
#include "io/byte_source.h"

namespace baleen::store {

using std::chrono::milliseconds;

RetryingStore::RetryingStore(std::unique_ptr<ObjectStore> inner, RetryPolicy policy)
    : inner_(std::move(inner)), policy_(std::move(policy)) {
  if (!policy_.now) policy_.now = [] { return RetryPolicy::Clock::now(); };
  if (!policy_.random) {
    policy_.random = [] {
      thread_local std::mt19937_64 generator{std::random_device{}()};
      return std::uniform_real_distribution<double>(0, 1)(generator);
    };
  }
}

void RetryingStore::wait(milliseconds time, const std::atomic<bool>* cancel) const {
  if (policy_.sleep) return policy_.sleep(time);
  const auto until = RetryPolicy::Clock::now() + time;
  while (cancel == nullptr || !cancel->load(std::memory_order_relaxed)) {
    const auto left = until - RetryPolicy::Clock::now();
    if (left.count() <= 0) return;
    std::this_thread::sleep_for(
        std::min<RetryPolicy::Clock::duration>(left, milliseconds(cancel == nullptr ? 60'000 : 100)));
  }
}

/// `attempt` is told whether it is a later one; `progress` counts bytes that the store has acknowledged.
template <class Try>
auto RetryingStore::retry(const std::atomic<bool>* cancel, const uint64_t* progress, Try attempt)
    -> decltype(attempt(false)) {
  const auto begin = policy_.now();
  double base = static_cast<double>(policy_.initial_wait.count());
  uint32_t fruitless = 0, tries = 0;
  for (;;) {
    const uint64_t before = progress != nullptr ? *progress : 0;
    auto result = attempt(tries != 0);
    ++tries;
    if (result || !result.error().retryable()) return result;
    if (progress != nullptr && *progress > before) {
      fruitless = 0;
      base = static_cast<double>(policy_.initial_wait.count());
    }
    ++fruitless;
    const double jittered = base * (0.5 + policy_.random() / 2);
    const milliseconds pause = std::max(milliseconds(static_cast<int64_t>(jittered)), result.error().retry_after);
    const auto spent = std::chrono::duration_cast<milliseconds>(policy_.now() - begin);
    if (fruitless >= policy_.attempts || spent + pause > policy_.total_time) {
      return std::move(result).error().in(
          fmt::format("gave up after {} {} in {:.1f} s", tries, tries == 1 ? "try" : "tries", spent.count() / 1000.0));
    }
    wait(pause, cancel);
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) return Error{Code::kIo, "cancelled"};
    retries_.fetch_add(1, std::memory_order_relaxed);
    base = std::min(base * policy_.multiplier, static_cast<double>(policy_.max_wait.count()));
  }
}

template <class Put>
Result<ObjectFacts> RetryingStore::retry_put(std::string_view key, const PutOptions& options, uint64_t size, Put put) {
  PutOptions ours = options;
  uint64_t progress = 0;
  ours.on_progress = [&](uint64_t acknowledged) {
    progress = std::max(progress, acknowledged);
    if (options.on_progress) options.on_progress(acknowledged);
  };
  ours.on_session = [&](const std::string& session) {
    ours.session = session;
    if (options.on_session) options.on_session(session);
  };
  return retry(options.cancel, &progress, [&](bool again) -> Result<ObjectFacts> {
    auto result = put(ours);
    if (result || result.error().code != Code::kConflict || !again || !options.only_if_absent) return result;
    // An earlier try may have done it, and only its answer was lost.
    auto there = inner_->head(key);
    if (there && there->size == size && there->crc32c && there->crc32c == ours.crc32c) return there;
    return result;
  });
}

Result<ObjectFacts> RetryingStore::put(std::string_view key, Bytes content, const PutOptions& options) {
  PutOptions ours = options;
  if (!ours.crc32c) ours.crc32c = crc32c(content);
  return retry_put(key, ours, content.size(), [&](const PutOptions& now) { return inner_->put(key, content, now); });
}

Result<ObjectFacts> RetryingStore::put_source(std::string_view key, const io::ByteSource& source,
                                              const PutOptions& options) {
  PutOptions ours = options;
  if (!ours.crc32c) {
    BALEEN_TRY(ours.crc32c, sum_of(source));
  }
  return retry_put(key, ours, source.size(),
                   [&](const PutOptions& now) { return inner_->put_source(key, source, now); });
}

Result<std::string> RetryingStore::get(std::string_view key) {
  return retry(nullptr, nullptr, [&](bool) { return inner_->get(key); });
}

Result<std::string> RetryingStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  return retry(nullptr, nullptr, [&](bool) { return inner_->get_range(key, offset, length); });
}

Result<ObjectFacts> RetryingStore::head(std::string_view key) {
  return retry(nullptr, nullptr, [&](bool) { return inner_->head(key); });
}

Result<ListPage> RetryingStore::list(const ListOptions& options) {
  return retry(nullptr, nullptr, [&](bool) { return inner_->list(options); });
}

Result<> RetryingStore::remove(std::string_view key) {
  return retry(nullptr, nullptr, [&](bool again) -> Result<> {
    auto result = inner_->remove(key);
    if (!result && again && result.error().code == Code::kNotFound) return {};  // the lost answer's try did it
    return result;
  });
}

}  // namespace baleen::store
