#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "base/check.h"

namespace baleen {

/// A bounded queue between one producing and one consuming thread. Never blocks, never allocates after
/// its construction. What to do when it is full is the producer's policy, and is counted by the producer.
template <class T>
class Ring {
 public:
  /// REQUIRES: capacity is a power of two.
  explicit Ring(size_t capacity) : slots_(std::make_unique<T[]>(capacity)), mask_(capacity - 1) {
    BALEEN_CHECK(capacity != 0 && (capacity & mask_) == 0);
  }

  /// False, and `value` untouched, when the ring is full. Producer only.
  bool push(T&& value) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) return false;
    }
    slots_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// False when the ring is empty. Consumer only.
  bool pop(T& value) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return false;
    }
    value = std::move(slots_[head & mask_]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  /// How many wait; exact only for the two threads themselves.
  size_t size() const { return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire); }
  size_t capacity() const { return mask_ + 1; }

 private:
  std::unique_ptr<T[]> slots_;
  size_t mask_;
  alignas(64) std::atomic<size_t> head_{0};
  size_t tail_seen_ = 0;  // the consumer's view
  alignas(64) std::atomic<size_t> tail_{0};
  size_t head_seen_ = 0;  // the producer's view
};

}  // namespace baleen
