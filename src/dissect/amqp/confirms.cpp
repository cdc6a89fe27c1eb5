#include "dissect/amqp/confirms.h"

#include <algorithm>

namespace baleen::dissect::amqp {

Confirms::Channel* Confirms::find(Direction publisher, uint16_t channel) {
  const auto at = channels_.find(channel);
  return at != channels_.end() && at->second.publisher == publisher ? &at->second : nullptr;
}

item::Item* Confirms::leave(item::Item* publish) {
  if (publish == nullptr) return nullptr;
  --waiting_;
  kept_ -= kept_by(publish);
  return publish;
}

void Confirms::give_up_oldest(Channel& channel, Output& out) {
  out.count(Counter::kTooManyPending);
  InOrderMatcher::finish_without_answer(leave(channel.waiting.pop()), out);
}

void Confirms::select(Direction publisher, uint16_t channel, Output& out) {
  if (channels_.size() >= kMostChannels && !channels_.contains(channel)) return out.count(Counter::kTooManyPending);
  channels_.try_emplace(channel, Channel{.publisher = publisher});
}

uint64_t Confirms::number(Direction publisher, uint16_t channel) {
  Channel* const at = find(publisher, channel);
  return at == nullptr ? 0 : ++at->count;
}

void Confirms::push(uint16_t channel, uint64_t number, uint64_t kept, item::Item* publish, Output& out) {
  const auto found = channels_.find(channel);
  // The channel was closed while the content came.
  if (found == channels_.end()) return InOrderMatcher::finish_without_answer(publish, out);
  Channel& at = found->second;
  const Settings& settings = out.settings();
  const auto full = [&] {
    return waiting_ >= settings.pending_cap || kept_ + kept > kMostBodies * uint64_t{settings.body_cap};
  };
  while (full() && !at.waiting.empty()) give_up_oldest(at, out);
  if (full()) {  // of other channels' publishes
    out.count(Counter::kTooManyPending);
    return InOrderMatcher::finish_without_answer(publish, out);
  }
  publish->match_key = std::min<uint64_t>(kept, UINT32_MAX) << 32 | static_cast<uint32_t>(number);
  at.waiting.push(publish, out);
  ++waiting_;
  kept_ += kept_by(publish);
}

void Confirms::forget(uint16_t channel, Output& out) {
  const auto at = channels_.find(channel);
  if (at == channels_.end()) return;
  while (!at->second.waiting.empty()) InOrderMatcher::finish_without_answer(leave(at->second.waiting.pop()), out);
  channels_.erase(at);
}

void Confirms::forget_all(Direction publisher, Output& out) {
  for (auto at = channels_.begin(); at != channels_.end();) {
    const uint16_t number = at->first;
    const bool lost = at->second.publisher == publisher;
    ++at;
    if (lost) forget(number, out);
  }
}

void Confirms::expire(Timestamp before, Output& out) {
  for (auto& [number, channel] : channels_)
    while (!channel.waiting.empty() && channel.waiting.front()->time() < before)
      InOrderMatcher::finish_without_answer(leave(channel.waiting.pop()), out);
}

}  // namespace baleen::dissect::amqp
