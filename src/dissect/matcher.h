#pragma once

#include <algorithm>
#include <array>

#include "dissect/dissector.h"

namespace baleen::dissect {

/// Requests that are answered in the order in which they were sent (HTTP/1, Redis, PostgreSQL). A queue through the
/// items themselves: no memory of its own. When more than the cap wait, the oldest is given up as without answer.
class InOrderMatcher {
 public:
  void push(item::Item* item, Output& out) {
    item->next = nullptr;
    if (size_ >= out.settings().pending_cap) {
      out.count(Counter::kTooManyPending);
      finish_without_answer(pop(), out);
    }
    (tail_ != nullptr ? tail_->next : head_) = item;
    tail_ = item;
    ++size_;
  }
  item::Item* front() const { return head_; }
  item::Item* back() const { return tail_; }
  /// The oldest request, now the caller's; null when none waits.
  item::Item* pop() {
    item::Item* item = head_;
    if (item == nullptr) return nullptr;
    head_ = item->next;
    if (head_ == nullptr) tail_ = nullptr;
    item->next = nullptr;
    --size_;
    return item;
  }
  size_t size() const { return size_; }
  bool empty() const { return head_ == nullptr; }
  /// Takes the first item behind the front for which `wanted` holds; null when there is none.
  template <class Wanted>
  item::Item* take_after_front(Wanted wanted) {
    for (item::Item* before = head_; before != nullptr && before->next != nullptr; before = before->next) {
      item::Item* item = before->next;
      if (!wanted(item)) continue;
      before->next = item->next;
      if (tail_ == item) tail_ = before;
      item->next = nullptr;
      --size_;
      return item;
    }
    return nullptr;
  }

  static void finish_without_answer(item::Item* item, Output& out) {
    item->outcome = item::Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
    out.finish(item);
  }
  void finish_all(Output& out) {
    while (item::Item* item = pop()) finish_without_answer(item, out);
  }
  void expire(Timestamp before, Output& out) {
    while (head_ != nullptr && head_->time() < before) finish_without_answer(pop(), out);
  }

 private:
  item::Item* head_ = nullptr;
  item::Item* tail_ = nullptr;
  uint32_t size_ = 0;
};

/// Requests that are answered in any order and carry a number (Kafka, DNS, HTTP/2 streams, LDAP). The number stands in
/// Item::match_key; items wait in the order of their arrival, and the search starts with the oldest, which in practice
/// is the one.
class KeyedMatcher {
 public:
  /// A request whose key is waiting already replaces nothing: the older one is found first, as for a retransmission.
  void push(uint64_t key, item::Item* item, Output& out) {
    item->match_key = key;
    queue_.push(item, out);
  }
  /// The oldest waiting request with that key, without taking it; null when there is none.
  item::Item* find(uint64_t key) const {
    for (item::Item* i = queue_.front(); i != nullptr; i = i->next)
      if (i->match_key == key) return i;
    return nullptr;
  }
  /// The same, now the caller's.
  item::Item* take(uint64_t key) {
    if (queue_.front() != nullptr && queue_.front()->match_key == key) return queue_.pop();
    return queue_.take_after_front([key](const item::Item* i) { return i->match_key == key; });
  }
  size_t size() const { return queue_.size(); }
  bool empty() const { return queue_.empty(); }
  item::Item* front() const { return queue_.front(); }
  void finish_all(Output& out) { queue_.finish_all(out); }
  void expire(Timestamp before, Output& out) { queue_.expire(before, out); }

 private:
  InOrderMatcher queue_;
};

/// Answers by datagram that come before their questions, as two interfaces or their clocks may have them: they wait a
/// moment, by the packets' clocks, and are then items of their own. At most kMost; the oldest goes first.
class EarlyAnswers {
 public:
  static constexpr size_t kMost = 16;
  static constexpr Duration kWait = std::chrono::milliseconds(200);

  /// Says that a question with that key has found its answer: another one is a copy, and not early.
  void note_answered(uint64_t key) { answered_[next_++ % answered_.size()] = mark_of(key); }
  /// Whether the question of an answer that nothing waits for may still come.
  bool may_be(uint64_t key) const {
    for (const uint32_t mark : answered_)
      if (mark == mark_of(key)) return false;
    return true;
  }
  /// Keeps an item that has an answer and Outcome::kNoRequest.
  void keep(uint64_t key, item::Item* item, Output& out) {
    drop_before(item->response.time - kWait, out);
    if (items_.size() == kMost) give_up(items_.pop(), out);
    item->match_key = key;
    items_.push(item, out);
  }
  /// The item with the answer to a question that was asked at `time`, now the caller's; null when there is none.
  item::Item* take(uint64_t key, Timestamp time, Output& out) {
    if (items_.empty()) return nullptr;
    drop_before(time - kWait, out);
    const auto wanted = [&](const item::Item* i) { return i->match_key == key && i->response.time <= time + kWait; };
    if (items_.empty()) return nullptr;
    item::Item* const item = wanted(items_.front()) ? items_.pop() : items_.take_after_front(wanted);
    if (item == nullptr) return nullptr;
    if (item->outcome == item::Outcome::kNoRequest)
      item->outcome = item->error_message.empty() ? item::Outcome::kPaired : item::Outcome::kDissection;
    item->response.time = std::max(item->response.time, time);  // as of streams whose clocks differ
    return item;
  }
  void drop_before(Timestamp before, Output& out) {
    while (!items_.empty() && items_.front()->response.time < before) give_up(items_.pop(), out);
  }
  void finish_all(Output& out) {
    while (!items_.empty()) give_up(items_.pop(), out);
  }

 private:
  static uint32_t mark_of(uint64_t key) { return static_cast<uint32_t>(key ^ key >> 32) | 1; }
  static void give_up(item::Item* item, Output& out) {
    out.count(Counter::kHalfResponses);
    out.finish(item);
  }
  InOrderMatcher items_;
  std::array<uint32_t, 4> answered_{};  // marks of the last keys; 0: none
  uint8_t next_ = 0;
};

/// Questions that datagrams bring, and answers that may come before them.
class DatagramMatcher {
 public:
  void push(uint64_t key, item::Item* item, Output& out) { waiting_.push(key, item, out); }
  item::Item* find(uint64_t key) const { return waiting_.find(key); }
  item::Item* front() const { return waiting_.front(); }
  /// The oldest waiting request with that key, now the caller's; null when there is none.
  item::Item* take(uint64_t key) {
    item::Item* const item = waiting_.take(key);
    if (item != nullptr) early.note_answered(key);
    return item;
  }
  void finish_all(Output& out) {
    early.finish_all(out);
    waiting_.finish_all(out);
  }
  void expire(Timestamp before, Output& out) {
    early.drop_before(before, out);
    waiting_.expire(before, out);
  }

  EarlyAnswers early;

 private:
  KeyedMatcher waiting_;
};

}  // namespace baleen::dissect
