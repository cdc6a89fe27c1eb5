#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "dissect/registry.h"

namespace baleen::dissect {

/// Protocols in the order in which they are asked whether bytes are theirs. A set of them is a word with a bit for
/// each; the one that is asked first has the lowest. Never changes.
class Candidates {
 public:
  using Set = uint64_t;
  static constexpr Set kAll = ~Set{0};

  /// REQUIRES: they are no more than 64, and outlive this.
  explicit Candidates(std::span<const ProtocolEntry> protocols);

  const ProtocolEntry& operator[](size_t i) const { return *order_[i]; }
  Set over_tcp() const { return over_tcp_; }
  Set over_udp() const { return over_udp_; }
  /// Those whose card names this port.
  Set of_port(uint16_t port) const { return ports_[place_of(port)].set; }
  /// Those whose answers alone tell.
  Set answers_tell() const { return answers_tell_; }
  /// TLS, where it is one of them.
  Set tls() const { return tls_; }

 private:
  std::vector<const ProtocolEntry*> order_;
  Set over_tcp_ = 0, over_udp_ = 0, answers_tell_ = 0, tls_ = 0;
  // Few of all ports are somebody's: a table of so many places that most of the others fall on an empty one.
  static constexpr size_t kPlaces = 1024;
  struct Place {
    Set set = 0;  // zero: empty
    uint16_t port = 0;
  };
  /// Where this port stands, or would.
  size_t place_of(uint16_t port) const {
    size_t at = port * 40503u / 64 % kPlaces;
    while (ports_[at].set != 0 && ports_[at].port != port) at = (at + 1) % kPlaces;
    return at;
  }
  std::vector<Place> ports_ = std::vector<Place>(kPlaces);
};

}  // namespace baleen::dissect
