#pragma once

#include <cstdint>
#include <map>

#include "dissect/matcher.h"

// Publisher confirms (https://www.rabbitmq.com/docs/confirms): after confirm.select a channel's publishes are numbered
// from 1, and the broker acknowledges or refuses them by these numbers.

namespace baleen::dissect::amqp {

/// The publishes of one connection that wait for their confirmations.
///
/// At most Settings::pending_cap of them, that hold at most kMostBodies times Settings::body_cap; beyond that the
/// channel's oldest is given up as unconfirmed (Counter::kTooManyPending).
class Confirms {
 public:
  static constexpr size_t kMostChannels = 256;  // others are not followed: their publishes stand alone
  static constexpr size_t kMostBodies = 8;

  /// confirm.select; once more changes nothing. `publisher`: who selects.
  void select(Direction publisher, uint16_t channel, Output& out);
  /// The number of the publish that begins now; 0 where none are counted.
  uint64_t number(Direction publisher, uint16_t channel);
  /// A publish that has a number is whole, and belongs to this from now on. `kept`: bytes that it holds.
  void push(uint16_t channel, uint64_t number, uint64_t kept, item::Item* publish, Output& out);
  /// What basic.ack and basic.nack are said of, oldest first: all up to `number` where `multiple`, of which 0 stands
  /// for all. Calls `each` for every publish, then the caller's, but for the newest, which is returned; null when there
  /// is none.
  template <class Function>
  item::Item* take(Direction from, uint16_t channel, uint64_t number, bool multiple, Function each);
  /// The oldest publish that waits on this channel and for which `wanted` holds, without taking it; null when there is
  /// none. `from`: the broker.
  template <class Wanted>
  item::Item* find_waiting(Direction from, uint16_t channel, Wanted wanted) {
    const Channel* const at = find(opposite(from), channel);
    for (item::Item* i = at == nullptr ? nullptr : at->waiting.front(); i != nullptr; i = i->next)
      if (wanted(i)) return i;
    return nullptr;
  }
  /// The channel is closed or new: what waits will not be confirmed.
  void forget(uint16_t channel, Output& out);
  /// Publishes from there were lost, so that numbers are no longer known; or it is over.
  void forget_all(Direction publisher, Output& out);
  void expire(Timestamp before, Output& out);

 private:
  struct Channel {
    Direction publisher;
    uint64_t count = 0;  // of publishes so far
    InOrderMatcher waiting;
  };
  Channel* find(Direction publisher, uint16_t channel);
  item::Item* leave(item::Item* publish);
  void give_up_oldest(Channel& channel, Output& out);

  std::map<uint16_t, Channel> channels_;
  size_t waiting_ = 0;
  uint64_t kept_ = 0;
};

/// What Item::match_key of a waiting publish holds: its number, which fits 32 bits for as long as anybody will look,
/// and how many bytes it keeps.
inline uint32_t number_of(const item::Item* publish) { return static_cast<uint32_t>(publish->match_key); }
inline uint32_t kept_by(const item::Item* publish) { return static_cast<uint32_t>(publish->match_key >> 32); }

template <class Function>
item::Item* Confirms::take(Direction from, uint16_t channel, uint64_t number, bool multiple, Function each) {
  Channel* const at = find(opposite(from), channel);
  if (at == nullptr || at->waiting.empty() || number > at->count) return nullptr;
  const auto wanted = static_cast<uint32_t>(number);
  if (!multiple) {
    const auto is_it = [wanted](const item::Item* i) { return number_of(i) == wanted; };
    return leave(is_it(at->waiting.front()) ? at->waiting.pop() : at->waiting.take_after_front(is_it));
  }
  item::Item* newest = nullptr;
  // Numbers wrap where they are kept, and differ by less than half of that.
  while (!at->waiting.empty() && (number == 0 || static_cast<int32_t>(wanted - number_of(at->waiting.front())) >= 0)) {
    if (newest != nullptr) each(newest);
    newest = leave(at->waiting.pop());
  }
  return newest;
}

}  // namespace baleen::dissect::amqp
