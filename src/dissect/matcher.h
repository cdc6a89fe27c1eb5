#pragma once

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

}  // namespace baleen::dissect
