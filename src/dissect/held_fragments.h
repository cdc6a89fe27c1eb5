#pragma once

#include <list>
#include <unordered_map>
#include <vector>

#include "net/packet.h"

namespace baleen::dissect {

/// Copies of packets that are fragments, until it is known what stream their datagram belongs to. One thread.
class HeldFragments {
 public:
  static constexpr size_t kMostBytes = 8 << 20;
  /// Fragments whose datagram was not whole by then belong to none: later than the defragmenter has forgotten it.
  static constexpr Duration kWait = std::chrono::seconds(35);

  /// `datagram`: as net::Decoded has it.
  void keep(uint64_t datagram, const net::Packet& packet) {
    const auto [at, fresh] = places_.try_emplace(datagram);
    if (fresh) at->second = datagrams_.insert(datagrams_.end(), {datagram, packet.time, {}});
    Kept& kept = at->second->packets.emplace_back();
    kept.bytes.assign(packet.bytes.begin(), packet.bytes.end());
    kept.packet = packet;
    kept.packet.bytes = kept.bytes;
    bytes_ += cost_of(kept);
  }
  /// Gives out those of a datagram, in their order.
  template <class Each>
  void take(uint64_t datagram, Each each) {
    const auto at = places_.find(datagram);
    if (at != places_.end()) give_out(at->second, each);
  }
  /// Gives out those that belong to none: of datagrams that began before, and what is beyond the limit.
  template <class Each>
  void give_up(Timestamp before, Each each) {
    while (!datagrams_.empty() && (datagrams_.front().since < before || bytes_ > kMostBytes))
      give_out(datagrams_.begin(), each);
  }
  size_t bytes() const { return bytes_; }

 private:
  struct Kept {
    std::vector<uint8_t> bytes;
    net::Packet packet;  // views them
  };
  struct Datagram {
    uint64_t number;
    Timestamp since;
    std::vector<Kept> packets;
  };
  static size_t cost_of(const Kept& kept) { return kept.bytes.size() + sizeof kept; }

  template <class Each>
  void give_out(std::list<Datagram>::iterator at, Each each) {
    const Datagram given = std::move(*at);
    places_.erase(given.number);
    datagrams_.erase(at);
    for (const Kept& kept : given.packets) {
      bytes_ -= cost_of(kept);
      each(kept.packet);
    }
  }

  std::list<Datagram> datagrams_;  // the oldest first
  std::unordered_map<uint64_t, std::list<Datagram>::iterator> places_;
  size_t bytes_ = 0;
};

}  // namespace baleen::dissect
