#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "dissect/candidates.h"
#include "dissect/dissector.h"
#include "net/address.h"
#include "net/tcp.h"

namespace baleen::dissect {

namespace l4 {
struct Connection;
}

/// Bytes of one direction that a dissector has seen and could not use yet. Pooled: most directions never need one.
struct Pending {
  /// From this byte on the bytes came at that time, and in that place among all bytes that were handed on: captures
  /// may have the same time for everything.
  struct Mark {
    size_t at;
    Timestamp time;
    uint64_t order;
  };
  static constexpr size_t kMostMarks = 4096;  // pieces beyond count as part of the last one
  std::vector<uint8_t> bytes;
  size_t used = 0;  // at the front
  std::vector<Mark> marks;
  size_t mark = 0;  // that of the first byte which is not used
  Pending* next = nullptr;

  Bytes view() const { return Bytes(bytes).subspan(used); }
  Timestamp time() const { return marks[mark].time; }
  uint64_t order() const { return marks[mark].order; }
  /// How many bytes came with the first of them.
  size_t first_piece() const { return (mark + 1 < marks.size() ? marks[mark + 1].at : bytes.size()) - used; }
  void append(Bytes more, Timestamp time, uint64_t order);
  void consume(size_t n);
  void clear();
};

/// One direction of a conversation, from reassembly to the dissector's front.
struct Half {
  net::TcpHalf tcp;
  Pending* pending = nullptr;
  uint64_t skip = 0;   // bytes that the dissector does not want
  uint32_t need = 0;   // bytes that it wants to see at once before it is asked again; 0: any more
  uint32_t acked = 0;  // highest acknowledgement that the peer sent
  uint8_t strays = 0;  // segments in a row whose numbers are far from all others
  uint8_t tries = 0;   // beginnings that were looked for in the middle of a stream
  bool ack_known : 1 = false;
  bool ended : 1 = false;    // no more bytes will come
  bool told : 1 = false;     // ... and the dissector knows
  bool lost : 1 = false;     // looking for the next message
  bool stalled : 1 = false;  // what is there was not enough; something has to change before it is asked again
  bool found : 1 = false;    // resync() said that a message begins right here
  bool refused : 1 = false;  // no probe wants what came; the other direction may still tell
  bool syn_due : 1 = false;  // its SYN was answered before it was there, and nothing else of it was
};
static_assert(sizeof(Half) <= 64);

struct InnerFlow;

/// A conversation between two endpoints over one transport. 1,000,000 idle ones must fit into memory: mind its size.
struct alignas(64) Flow {
  enum class State : uint8_t { kDetecting, kDissecting, kIgnored };
  /// Each flow is in one list, which says what time does to it.
  enum class List : uint8_t {
    kTcpOpening,  // only one side was heard, without any bytes
    kTcp,
    kTcpWaiting,  // bytes wait for other bytes
    kTcpClosed,   // over, or both ends known; kept so that late packets do not open it again
    kUdp,
    kUdpStale,  // its unanswered requests were given up
    kCount
  };

  // Read to find it.
  net::FlowKey key;
  State state = State::kDetecting;
  List list = List::kTcp;
  uint8_t client_half = 0;  // 0: the client is key.low
  bool oriented = false;    // whether client_half is known and not guessed
  bool closed = false;
  uint8_t blocked = 2;    // the half that waits for the other one's acknowledged bytes; 2: none
  bool is_inner = false;  // an InnerFlow, which is in no table
  bool awaits = false;    // secrets, see Output::await_secrets()
  uint32_t hash = 0;
  Flow* chain = nullptr;  // of the hash bucket, or of the free list
  // Read for each of its packets.
  Half half[2];  // 0: bytes from key.low
  std::unique_ptr<Session> session;
  Timestamp last{};    // packet
  Timestamp listed{};  // when it was last moved in its list
  uint64_t stream = 0;
  uint32_t items = 0;
  uint16_t vlan = 0;
  bool isn_known[2] = {false, false};
  uint32_t isn[2] = {0, 0};
  bool heard[2] = {false, false};  // whether that side sent packets
  uint8_t unknown_datagrams = 0;
  bool undissected = false;  // ... and the observer knows
  uint8_t proxy_heads = 0;   // of the PROXY protocol, that stood before its bytes
  uint16_t blocked_packets = 0;
  uint32_t blocked_ack = 0;
  Timestamp blocked_since{};
  Timestamp expire_checked{};
  // By half: protocols whose probes did not say no.
  Candidates::Set candidates[2] = {Candidates::kAll, Candidates::kAll};
  Flow* older = nullptr;
  Flow* newer = nullptr;
  l4::Connection* connection = nullptr;  // where L4 items are wanted; the engine's
  std::unique_ptr<InnerFlow> inner;      // what this one carries inside TLS

  const net::Endpoint& client() const { return client_half == 0 ? key.low : key.high; }
  const net::Endpoint& server() const { return client_half == 0 ? key.high : key.low; }
  Direction direction(int from) const { return from == client_half ? Direction::kToServer : Direction::kToClient; }
};
static_assert(sizeof(Flow) <= 320);

/// A conversation that another one carries (see Output::pass_inner).
struct InnerFlow final : Flow {
  Flow* outer = nullptr;
  std::array<uint8_t, 32> client_random{};  // names the secrets that opened it
};

/// Flows by key, and in lists by the time of their last packets. Never moves a flow, never rehashes. One thread.
class FlowTable {
 public:
  explicit FlowTable(size_t limit);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  uint64_t hash(const net::FlowKey& key) const { return net::hash(key, seed_); }
  Flow* find(const net::FlowKey& key, uint64_t hash) const {
    for (Flow* f = buckets_[hash & mask_]; f != nullptr; f = f->chain)
      if (f->hash == static_cast<uint32_t>(hash >> 32) && f->key == key) return f;
    return nullptr;
  }
  /// Ask for the memory that find() will want: first the bucket, later the flow in it. Always inlined: a call of what
  /// changes nothing is left out.
  [[gnu::always_inline]] void prefetch_bucket(uint64_t hash) const { __builtin_prefetch(&buckets_[hash & mask_]); }
  /// The first flow with a hash like this; null when there is none.
  const Flow* first(uint64_t hash) const { return buckets_[hash & mask_]; }
  [[gnu::always_inline]] void prefetch_flow(uint64_t hash) const {
    const char* flow = reinterpret_cast<const char*>(first(hash));
    if (flow == nullptr) return;
    for (size_t line = 0; line < sizeof(Flow); line += 64) __builtin_prefetch(flow + line);
  }
  /// REQUIRES: it is not there, and full() was looked at.
  Flow* insert(const net::FlowKey& key, uint64_t hash, Flow::List list, Timestamp time);
  void erase(Flow* flow);
  /// Puts it at the young end of that list.
  void move(Flow* flow, Flow::List list, Timestamp time);

  Flow* oldest(Flow::List list) const { return lists_[static_cast<size_t>(list)].oldest; }
  bool full() const { return size_ >= limit_; }
  size_t size() const { return size_; }

 private:
  struct Ends {
    Flow* oldest = nullptr;
    Flow* newest = nullptr;
  };
  /// Zeros from the system, on huge pages where it has them.
  struct Unmap {
    size_t bytes;
    void operator()(Flow** p) const;
  };
  static std::unique_ptr<Flow*[], Unmap> map_buckets(size_t number);
  void unlink(Flow* flow);
  void append(Flow* flow);

  uint64_t seed_;
  uint64_t mask_;
  std::unique_ptr<Flow*[], Unmap> buckets_;
  size_t size_ = 0;
  size_t limit_;
  Flow* free_ = nullptr;
  std::vector<std::unique_ptr<Flow[]>> slabs_;
  Ends lists_[static_cast<size_t>(Flow::List::kCount)];
};

}  // namespace baleen::dissect
