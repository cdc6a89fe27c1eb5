#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "io/bandwidth.h"
#include "store/object_store.h"

namespace baleen::store {

/// How long and how often RetryingStore tries. Waits are exponential with full jitter: a random time between half of
/// and the whole of initial_wait * multiplier^n, at most max_wait; the other side's Retry-After is a lower bound.
struct RetryPolicy {
  uint32_t attempts = 8;                          // in all, without progress in between
  std::chrono::milliseconds total_time{600'000};  // no try begins after it
  std::chrono::milliseconds initial_wait{500};
  std::chrono::milliseconds max_wait{32'000};
  double multiplier = 2;

  using Clock = std::chrono::steady_clock;
  std::function<Clock::time_point()> now;                // for tests; empty: the machine's
  std::function<void(std::chrono::milliseconds)> sleep;  // for tests; empty: sleeps, and wakes early when cancelled
  std::function<double()> random;                        // for tests; in [0, 1)
};

/// Tries again what kUnavailable or kTimeout says may be tried again. An upload by parts goes on where the store says
/// it stands, and each acknowledged byte of progress starts the count of attempts afresh. Any thread.
class RetryingStore : public ObjectStore {
 public:
  RetryingStore(std::unique_ptr<ObjectStore> inner, RetryPolicy policy = {});

  Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) override;
  Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                 const PutOptions& options) override;
  Result<std::string> get(std::string_view key) override;
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override;
  Result<ObjectFacts> head(std::string_view key) override;
  Result<ListPage> list(const ListOptions& options) override;
  Result<> remove(std::string_view key) override;
  std::string name() const override { return inner_->name(); }
  std::string local_path(std::string_view key) const override { return inner_->local_path(key); }
  std::string endpoint() const override { return inner_->endpoint(); }
  std::string identity() const override { return inner_->identity(); }
  std::optional<std::chrono::seconds> clock_skew() const override { return inner_->clock_skew(); }

  /// Tries after the first, over the store's life.
  uint64_t retries() const { return retries_.load(std::memory_order_relaxed); }
  ObjectStore& inner() { return *inner_; }

 private:
  template <class Try>
  auto retry(const std::atomic<bool>* cancel, const uint64_t* progress, Try attempt) -> decltype(attempt(false));
  template <class Put>
  Result<ObjectFacts> retry_put(std::string_view key, const PutOptions& options, uint64_t size, Put put);
  void wait(std::chrono::milliseconds time, const std::atomic<bool>* cancel) const;

  std::unique_ptr<ObjectStore> inner_;
  RetryPolicy policy_;
  std::atomic<uint64_t> retries_{0};
};

/// Never sends more than so many bytes per second, over all the uploads of all threads.
class ThrottledStore : public ObjectStore {
 public:
  ThrottledStore(std::unique_ptr<ObjectStore> inner, std::shared_ptr<io::Bandwidth> bandwidth)
      : inner_(std::move(inner)), bandwidth_(std::move(bandwidth)) {}

  Result<ObjectFacts> put(std::string_view key, Bytes content, const PutOptions& options) override {
    return inner_->put(key, content, limited(options));
  }
  Result<ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                 const PutOptions& options) override {
    return inner_->put_source(key, source, limited(options));
  }
  Result<std::string> get(std::string_view key) override { return inner_->get(key); }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_->get_range(key, offset, length);
  }
  Result<ObjectFacts> head(std::string_view key) override { return inner_->head(key); }
  Result<ListPage> list(const ListOptions& options) override { return inner_->list(options); }
  Result<> remove(std::string_view key) override { return inner_->remove(key); }
  std::string name() const override { return inner_->name(); }
  std::string local_path(std::string_view key) const override { return inner_->local_path(key); }
  std::string endpoint() const override { return inner_->endpoint(); }
  std::string identity() const override { return inner_->identity(); }
  std::optional<std::chrono::seconds> clock_skew() const override { return inner_->clock_skew(); }

 private:
  PutOptions limited(PutOptions options) const {
    options.bandwidth = bandwidth_.get();
    return options;
  }

  std::unique_ptr<ObjectStore> inner_;
  std::shared_ptr<io::Bandwidth> bandwidth_;
};

}  // namespace baleen::store
