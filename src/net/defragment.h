#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/address.h"

namespace baleen::net {

struct FragmentLimits {
  size_t datagrams = 4096;                      // that wait at the same time
  size_t bytes = 16 << 20;                      // of all of them
  Duration timeout = std::chrono::seconds(30);  // RFC 791 says 15 s or more, RFC 8200 60 s
};

struct FragmentKey {
  IpAddress src, dst;
  uint32_t id = 0;
  uint8_t protocol = 0;
  bool operator==(const FragmentKey&) const = default;
};

struct FragmentPiece {
  uint32_t offset;  // in bytes
  Bytes bytes;
  bool last;
  uint8_t next_header;  // what the first piece says that the datagram holds
};

/// Puts the fragments of IPv4 and IPv6 datagrams together. First bytes win where pieces overlap; a datagram whose
/// pieces contradict each other in length is dropped (RFC 5722 for IPv6, the safe choice for IPv4).
class Defragmenter {
 public:
  explicit Defragmenter(const FragmentLimits& limits) : limits_(limits) {}

  enum class Answer : uint8_t { kWaits, kWhole, kBad };
  struct Whole {
    Bytes bytes;  // valid until the next add()
    uint8_t next_header = 0;
  };
  Answer add(const FragmentKey& key, const FragmentPiece& piece, Timestamp time, Whole& whole);

  size_t waiting() const { return datagrams_.size(); }
  uint64_t expired() const { return expired_; }
  uint64_t evicted() const { return evicted_; }

 private:
  struct KeyHash {
    size_t operator()(const FragmentKey& k) const;
  };
  struct Range {
    uint32_t begin, end;
  };
  struct Datagram {
    std::vector<uint8_t> bytes;
    std::vector<Range> have;  // sorted, disjoint, merged
    uint32_t total = 0;       // known once the last piece is there
    uint8_t next_header = 0;
    Timestamp first{};
  };
  using Map = std::unordered_map<FragmentKey, Datagram, KeyHash>;

  bool insert(Datagram& datagram, const FragmentPiece& piece);
  void forget(Map::iterator it);
  void make_room(Timestamp time);

  FragmentLimits limits_;
  Map datagrams_;
  size_t bytes_ = 0;
  uint64_t expired_ = 0, evicted_ = 0;
  Timestamp last_sweep_{};
  std::vector<uint8_t> whole_;
};

}  // namespace baleen::net
