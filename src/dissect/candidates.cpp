#include "dissect/candidates.h"

#include <algorithm>

#include "base/check.h"

namespace baleen::dissect {

Candidates::Candidates(std::span<const ProtocolEntry> protocols) {
  BALEEN_CHECK(protocols.size() <= 64);
  for (const ProtocolEntry& entry : protocols) order_.push_back(&entry);
  std::ranges::stable_sort(order_, {}, [](const ProtocolEntry* entry) { return entry->card->priority; });
  for (size_t i = 0; i < order_.size(); ++i) {
    const Set bit = Set{1} << i;
    const ProtocolEntry& entry = *order_[i];
    if (entry.over_tcp) over_tcp_ |= bit;
    if (entry.over_udp) over_udp_ |= bit;
    if (entry.answers_tell) answers_tell_ |= bit;
    if (entry.name == "tls") tls_ |= bit;
    for (const uint16_t port : entry.card->ports) ports_.emplace_back(port, bit);
  }
  std::ranges::sort(ports_);
  size_t last = 0;
  for (size_t i = 1; i < ports_.size(); ++i) {  // one entry for each port
    if (ports_[i].first == ports_[last].first) {
      ports_[last].second |= ports_[i].second;
    } else {
      ports_[++last] = ports_[i];
    }
  }
  if (!ports_.empty()) ports_.resize(last + 1);
}

Candidates::Set Candidates::of_port(uint16_t port) const {
  const auto at = std::ranges::lower_bound(ports_, port, {}, &std::pair<uint16_t, Set>::first);
  return at != ports_.end() && at->first == port ? at->second : 0;
}

}  // namespace baleen::dissect
