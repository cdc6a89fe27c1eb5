#include "dissect/candidates.h"

#include <algorithm>

#include "base/check.h"

namespace baleen::dissect {

Candidates::Candidates(std::span<const ProtocolEntry> protocols) {
  BALEEN_CHECK(protocols.size() <= 64);
  for (const ProtocolEntry& entry : protocols) order_.push_back(&entry);
  std::ranges::stable_sort(order_, {}, [](const ProtocolEntry* entry) { return entry->card->priority; });
  size_t ports = 0;
  for (size_t i = 0; i < order_.size(); ++i) {
    const Set bit = Set{1} << i;
    const ProtocolEntry& entry = *order_[i];
    if (entry.over_tcp) over_tcp_ |= bit;
    if (entry.over_udp) over_udp_ |= bit;
    if (entry.answers_tell) answers_tell_ |= bit;
    if (entry.name == "tls") tls_ |= bit;
    for (const uint16_t port : entry.card->ports) {
      size_t at = place_of(port);
      while (ports_[at].set != 0 && ports_[at].port != port) at = (at + 1) % kPlaces;
      if (ports_[at].set == 0) BALEEN_CHECK(++ports < kPlaces / 2);
      ports_[at].port = port;
      ports_[at].set |= bit;
    }
  }
}

}  // namespace baleen::dissect
