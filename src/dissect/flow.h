#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dissect/dissector.h"
#include "net/address.h"
#include "net/tcp.h"

namespace baleen::dissect {

/// Bytes of one direction that a dissector has seen and could not use yet. Pooled: most directions never need one.
struct Pending {
  std::vector<uint8_t> bytes;
  size_t used = 0;  // at the front
  Timestamp time{};
  Pending* next = nullptr;
  Bytes view() const { return Bytes(bytes).subspan(used); }
};

/// One direction of a conversation, from reassembly to the dissector's front.
struct Half {
  net::TcpHalf tcp;
  Pending* pending = nullptr;
  uint64_t skip = 0;   // bytes that the dissector does not want
  uint32_t need = 0;   // bytes that it wants to see at once before it is asked again
  uint32_t acked = 0;  // highest acknowledgement that the peer sent
  bool ack_known = false;
  bool lost = false;    // looking for the next message
  bool at_end = false;  // the dissector was told that this direction is over
};

/// A conversation between two endpoints over one transport. 1,000,000 idle ones must fit into memory: mind its size.
struct Flow {
  enum class State : uint8_t { kDetecting, kDissecting, kIgnored };
  enum class List : uint8_t { kTcp, kTcpClosed, kUdp, kUdpStale, kCount };

  net::FlowKey key;
  State state = State::kDetecting;
  List list = List::kTcp;
  uint8_t client_half = 0;  // 0: the client is key.low
  bool oriented = false;    // whether client_half is known and not guessed
  bool closed = false;      // over; kept so that late packets do not open it again
  bool isn_known[2] = {false, false};
  uint8_t blocked = 2;  // the half that waits for the other one's acknowledged bytes; 2: none
  uint8_t unknown_datagrams = 0;
  uint16_t blocked_packets = 0;
  uint16_t vlan = 0;
  uint32_t isn[2] = {0, 0};
  uint32_t blocked_ack = 0;
  uint32_t hash = 0;
  Timestamp blocked_since{};
  uint64_t stream = 0;
  uint64_t items = 0;
  uint64_t candidates = ~uint64_t{0};
  Timestamp last{};
  Timestamp expire_checked{};
  std::unique_ptr<Session> session;
  Half half[2];           // 0: bytes from key.low
  Flow* chain = nullptr;  // of the hash bucket, or of the free list
  Flow* older = nullptr;
  Flow* newer = nullptr;

  const net::Endpoint& client() const { return client_half == 0 ? key.low : key.high; }
  const net::Endpoint& server() const { return client_half == 0 ? key.high : key.low; }
  Direction direction(int from) const { return from == client_half ? Direction::kToServer : Direction::kToClient; }
  int half_of(Direction d) const { return d == Direction::kToServer ? client_half : 1 - client_half; }
};
static_assert(sizeof(Flow) <= 384);

/// Flows by key, and in lists by the time of their last packet. Never moves a flow. One thread.
class FlowTable {
 public:
  explicit FlowTable(size_t limit);
  ~FlowTable();

  Flow* find(const net::FlowKey& key, uint64_t hash) const {
    for (Flow* f = buckets_[hash & mask_]; f != nullptr; f = f->chain)
      if (f->hash == static_cast<uint32_t>(hash >> 32) && f->key == key) return f;
    return nullptr;
  }
  /// REQUIRES: it is not there, and full() was looked at.
  Flow* insert(const net::FlowKey& key, uint64_t hash, Flow::List list);
  void erase(Flow* flow);
  /// The flow had a packet, or changes its list.
  void touch(Flow* flow, Flow::List list);

  Flow* oldest(Flow::List list) const { return lists_[static_cast<size_t>(list)].oldest; }
  bool full() const { return size_ >= limit_; }
  size_t size() const { return size_; }

 private:
  struct Ends {
    Flow* oldest = nullptr;
    Flow* newest = nullptr;
  };
  void grow();
  void unlink(Flow* flow);
  void append(Flow* flow);

  std::vector<Flow*> buckets_;
  uint64_t mask_;
  size_t size_ = 0;
  size_t limit_;
  Flow* free_ = nullptr;
  std::vector<std::unique_ptr<Flow[]>> slabs_;
  Ends lists_[static_cast<size_t>(Flow::List::kCount)];
};

}  // namespace baleen::dissect
