#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "net/address.h"

namespace baleen::dissect {

/// Questions whose answers may come between other addresses than they went (DHCP is asked by broadcast): by what
/// question and answer have in common, the flow in which the question was. At most kMost; the oldest is forgotten
/// first, and then its answer is an item of its own. One thread.
class Meetings {
 public:
  static constexpr size_t kMost = 4096;

  struct Place {
    net::FlowKey flow;
    bool from_low = false;  // whether the question went from its low end
    Timestamp time{};
  };

  /// Returns how many places, noted since `since`, made room for this one.
  uint64_t note(const std::string& key, const Place& place, Timestamp since) {
    uint64_t forgotten = 0;
    if (places_.insert_or_assign(key, place).second) order_.push_back(key);
    for (; order_.size() > kMost; order_.pop_front()) {
      const auto at = places_.find(order_.front());
      forgotten += at->second.time >= since ? 1 : 0;
      places_.erase(at);
    }
    return forgotten;
  }
  /// Null when there was none, or none since `after`.
  const Place* find(const std::string& key, Timestamp after) const {
    const auto at = places_.find(key);
    return at == places_.end() || at->second.time < after ? nullptr : &at->second;
  }
  size_t size() const { return places_.size(); }

 private:
  std::unordered_map<std::string, Place> places_;
  std::deque<std::string> order_;  // of the first questions
};

}  // namespace baleen::dissect
