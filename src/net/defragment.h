#pragma once

#include <cstdint>
#include <deque>
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
  // ... of the first pieces of those whose others do not come: shorter than anybody waits for an answer.
  Duration head_wait = std::chrono::seconds(5);
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
  uint16_t vlan = 0;
};

struct FragmentCounters {
  uint64_t pieces = 0, whole = 0;
  uint64_t refused = 0;            // wrong lengths, contradictions, too many holes
  uint64_t overlapping_bytes = 0;  // which an earlier piece had brought
  uint64_t expired = 0;            // datagrams that did not become whole in time
  uint64_t evicted = 0;            // datagrams that made room for younger ones
  uint64_t heads = 0;              // of those that did not become whole: given out by take_head()
};

/// Puts the fragments of IPv4 and IPv6 datagrams together. First bytes win where pieces overlap; a datagram whose
/// pieces contradict each other in length is dropped (RFC 5722 for IPv6, the safe choice for IPv4). When the limits are
/// reached the oldest datagram goes, at a cost that does not depend on how many wait.
class Defragmenter {
 public:
  explicit Defragmenter(const FragmentLimits& limits);

  enum class Answer : uint8_t { kWaits, kWhole, kBad };
  struct Whole {
    Bytes bytes;  // valid until the next add()
    uint8_t next_header = 0;
  };
  Answer add(const FragmentKey& key, const FragmentPiece& piece, Timestamp time, Whole& whole);

  /// The first bytes of a datagram that did not become whole.
  struct Head {
    FragmentKey key;
    Bytes bytes;  // valid until the next take_head()
    uint8_t next_header = 0;
    uint16_t vlan = 0;
    Timestamp time{};
  };
  /// Gives out a datagram whose first piece is there and waits for others since FragmentLimits::head_wait, or those
  /// that waited too long before; `all`: whatever waits. False when there is none.
  bool take_head(Timestamp now, bool all, Head& head);

  /// Tells datagrams apart that wait at the same time; never 0.
  uint64_t number_of(const FragmentKey& key) const { return datagrams_.hash_function()(key) | 1; }
  size_t waiting() const { return datagrams_.size(); }
  bool has_retired() const { return !retired_.empty(); }
  size_t waiting_bytes() const { return bytes_; }
  const FragmentCounters& counters() const { return counters_; }

 private:
  struct KeyHash {
    uint64_t seed;
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
    uint16_t vlan = 0;
    Timestamp first{};
    const FragmentKey* key = nullptr;  // in the map's node
    Datagram* older = nullptr;
    Datagram* newer = nullptr;
  };
  using Map = std::unordered_map<FragmentKey, Datagram, KeyHash>;

  bool insert(Datagram& datagram, const FragmentPiece& piece);
  void link(Datagram& datagram);
  void forget(Datagram& datagram);
  void make_room(Timestamp time);
  void retire(Datagram& datagram);
  static bool has_head(const Datagram& d) { return !d.have.empty() && d.have[0].begin == 0; }

  /// A datagram whose time was over before anybody asked for its head.
  struct Retired {
    FragmentKey key;
    Datagram datagram;
  };
  static constexpr size_t kMostRetired = 64;

  FragmentLimits limits_;
  Map datagrams_;
  std::deque<Retired> retired_;
  Datagram* oldest_ = nullptr;
  Datagram* newest_ = nullptr;
  size_t bytes_ = 0;
  FragmentCounters counters_;
  std::vector<uint8_t> whole_, head_;
};

}  // namespace baleen::net
