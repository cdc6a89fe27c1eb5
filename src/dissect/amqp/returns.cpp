#include "dissect/amqp/returns.h"

#include <algorithm>
#include <functional>

namespace baleen::dissect::amqp {

uint64_t message_signature(item::Value fields) {
  constexpr std::hash<std::string_view> kHash;
  uint64_t out = static_cast<uint64_t>(fields["bodySize"].as_int());
  for (const std::string_view name : {"exchange", "routingKey", "body"})
    out = (out ^ kHash(fields[name].text())) * 0x9E3779B97F4A7C15u;
  return out;
}

bool is_same_message(item::Value a, item::Value b) {
  if (a["bodySize"].as_int() != b["bodySize"].as_int()) return false;
  for (const std::string_view name : {"exchange", "routingKey", "body"})
    if (a[name].text() != b[name].text()) return false;
  return true;
}

bool is_returnable(item::Value fields) { return fields["mandatory"].as_bool() || fields["immediate"].as_bool(); }

bool Returns::note(uint16_t channel, uint64_t index, uint64_t signature) {
  const bool full = publishes_.size() >= kMost;
  if (full) publishes_.pop_front();
  publishes_.push_back({index, signature, channel});
  return full;
}

std::optional<uint64_t> Returns::take(uint16_t channel, uint64_t signature) {
  const auto at = std::ranges::find_if(
      publishes_, [&](const Publish& p) { return p.channel == channel && p.signature == signature; });
  if (at == publishes_.end()) return std::nullopt;
  const uint64_t index = at->index;
  const auto end = std::remove_if(publishes_.begin(), at + 1, [&](const Publish& p) { return p.channel == channel; });
  publishes_.erase(end, at + 1);
  return index;
}

void Returns::forget(uint16_t channel) {
  std::erase_if(publishes_, [&](const Publish& p) { return p.channel == channel; });
}

}  // namespace baleen::dissect::amqp
