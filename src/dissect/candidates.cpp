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
      Place& place = ports_[place_of(port)];
      if (place.set == 0) ++ports;
      BALEEN_CHECK(ports < kPlaces / 2);
      place.port = port;
      place.set |= bit;
    }
  }
}

}  // namespace baleen::dissect
