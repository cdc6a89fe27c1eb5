#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "dissect/build.h"
#include "dissect/candidates.h"
#include "dissect/dissector.h"
#include "dissect/flow.h"
#include "dissect/held_fragments.h"
#include "dissect/l4/tables.h"
#include "dissect/meetings.h"
#include "dissect/proxy_head.h"
#include "dissect/selection.h"
#include "net/decode.h"
#include "net/read_ahead.h"
#include "net/sctp.h"
#include "net/tcp.h"

namespace baleen::dissect {

/// An L4 stream: both directions of one connection or of one UDP conversation. Numbers count from the engine's first.
struct StreamRef {
  uint64_t number = 0;
  item::StreamKind kind = item::StreamKind::kTcp;
};

enum class StreamEnd : uint8_t { kFin, kReset, kIdle, kReused, kEvicted, kFinished };

/// What the engine tells. Called on the engine's thread; must not call back into the engine.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void on_item(item::ItemRef item) = 0;
  /// Every packet of every flow, before what it completes. Only called when EngineOptions::tell_packets is set.
  virtual void on_packet(StreamRef, const net::Packet&, const net::Decoded&) {}
  /// An earlier packet of a flow, told late: a fragment of the datagram that on_packet() tells next, or of one whose
  /// first fragments are read alone. Likewise.
  virtual void on_fragment(StreamRef, const net::Packet&) {}
  /// The others: packets that belong to no flow (ARP, fragments of what never became whole, ICMP that nobody asked for,
  /// what cannot be decoded). Likewise.
  virtual void on_loose_packet(const net::Packet&) {}
  virtual void on_stream_end(StreamRef, StreamEnd) {}
  /// No dissector understands what it carries: said once, as soon as it is known, before its end at the latest. A
  /// stream that carries nothing is not told.
  virtual void on_undissected(StreamRef) {}
};

struct EngineOptions {
  std::span<const ProtocolEntry> protocols;
  Settings settings;
  const item::Origin* origin = nullptr;  // outlives the engine's items
  item::CaptureSource source = item::CaptureSource::kUnspecified;
  L4Items l4{};
  Duration l4_report = std::chrono::seconds(60);  // between the items of a connection or flow that goes on
  Duration l4_quiet = std::chrono::seconds(30);   // after which a UDP conversation is taken for closed
  Duration l4_linger = std::chrono::seconds(10);  // that a flow without connections waits for its next one
  size_t l4_groups = 65536;                       // flows that are counted at the same time
  bool tell_packets = false;
  uint64_t first_stream = 0, stream_step = 1;  // so that several engines number without meeting
  int sample_percent = 100;                    // of the streams; the others are only counted

  size_t flow_limit = 1'000'000;
  Duration opening_idle = std::chrono::seconds(60);  // of connections that were never answered
  Duration tcp_idle = std::chrono::seconds(1200);
  Duration udp_idle = std::chrono::seconds(1200);
  Duration closed_linger = std::chrono::seconds(10);
  size_t early_limit = 64 << 20;          // bytes of early segments, all flows
  uint32_t early_limit_stream = 4 << 20;  // ... of one direction; then its hole is given up
  size_t pending_limit = 256 << 20;       // bytes that dissectors have seen and wait for more, all flows
  size_t probe_limit = 4096;              // bytes of one direction by which a protocol must be known
  // Bytes that the receiver has acknowledged and we have not seen are waited for this long, or for so many packets.
  Duration reorder_wait = std::chrono::milliseconds(200);
  uint16_t reorder_packets = 32;
  // Those that nobody has acknowledged will be sent again; when the acknowledgements are not captured, nobody knows.
  Duration hole_wait = std::chrono::seconds(10);
  // Sealed bytes are kept this long for secrets that are logged later than they are used.
  Duration secret_wait = std::chrono::seconds(5);
};

struct EngineCounters {
  uint64_t packets = 0, bytes = 0, tcp_packets = 0, udp_packets = 0, icmp_packets = 0, sctp_packets = 0;
  uint64_t streams = 0, evicted_flows = 0, reused_ports = 0, sampled_out = 0;
  uint64_t gaps = 0;                 // holes that were given up
  uint64_t stray_packets = 0;        // resets of no flow, segments far from all others of their flow
  uint64_t lost_tracks = 0;          // directions that went on somewhere else entirely
  uint64_t refused_resets = 0;       // whose number does not fit
  uint64_t ungrouped = 0;            // connections that found no room among the flows that are counted
  uint64_t pending_overflow = 0;     // times that the limit of pending bytes was reached
  uint64_t read_bytes = 0;           // of streams, that dissectors have taken
  uint64_t unread_bytes = 0;         // of streams, delivered and looked at by no dissector: what they hold is not known
  uint64_t inner_streams = 0;        // conversations inside TLS
  uint64_t lone_fragments = 0;       // first ones whose others never came, read as far as they go
  uint64_t unclaimed_fragments = 0;  // packets that were held for a datagram, and belong to no flow
  net::FragmentCounters fragments;   // as of the last tick
  net::TcpCounters tcp;
  net::SctpCounters sctp;
  std::array<uint64_t, static_cast<size_t>(Counter::kCount)> dissect{};
  uint64_t of(Counter c) const { return dissect[static_cast<size_t>(c)]; }
};

/// Packets in, items out: decoding, flows, reassembly, detection, dissection. One per shard, one thread. All time is
/// the packets' time, so that a file replays identically at any speed.
class Engine final : private Output {
 public:
  Engine(const EngineOptions& options, EngineObserver& observer);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void on_packet(const net::Packet& packet);
  /// The same for many, faster: memory of the later ones is fetched while the first are dissected, and of those behind
  /// them, where `ahead` knows them.
  void on_batch(std::span<const net::Packet> packets, net::ReadAhead* ahead = nullptr);
  /// No packets came up to `time`: lets idle flows end.
  void advance(Timestamp time);
  /// End of input: gives up on what is missing, closes every conversation.
  void finish();

  const EngineCounters& counters() const { return counters_; }
  const net::Decoder& decoder() const { return decoder_; }
  size_t flows() const { return table_.size(); }
  size_t early_bytes() const { return store_.bytes(); }
  size_t pending_bytes() const { return pending_bytes_; }
  /// Items that are begun and neither finished nor dropped: requests that wait, messages that are not whole.
  uint64_t open_items() const { return open_items_; }

 private:
  // Output
  item::Item* begin(const item::Protocol& protocol) override;
  void finish(item::Item* item) override;
  uint64_t next_index() const override;
  void drop(item::Item* item) override;
  void wake(Direction direction) override {
    Half& half = flow_->half[half_of(*flow_, direction)];
    half.stalled = false;
    half.need = 0;
  }
  bool saw_begin(Direction direction) const override { return flow_->isn_known[half_of(*flow_, direction)]; }
  bool pass_inner(Direction direction, Bytes plaintext, Timestamp time, Bytes client_random) override;
  void lose_inner(Direction direction) override;
  void await_secrets() override;
  void count(Counter counter, uint64_t n) override { counters_.dissect[static_cast<size_t>(counter)] += n; }
  const Settings& settings() const override { return options_.settings; }
  const net::Endpoint& client() const override { return flow_->client(); }
  const net::Endpoint& server() const override { return flow_->server(); }

  /// A packet that is decoded and whose flow is being fetched.
  struct alignas(256) Slot {  // places of a power of two are found without a multiplication
    net::DecodeStatus status;
    net::Decoded decoded;
    net::DirectedKey key;
    uint64_t hash;
  };
  /// What the packet in hand brought and nobody has used or kept yet.
  struct Hand {
    int from = 2;
    Bytes bytes;
    Timestamp time{};
    uint64_t order = 0;
  };

  // engine.cpp: packets, flows, time
  // always inlined, as FlowTable::prefetch_flow()
  [[gnu::always_inline]] void prefetch_payload(const Slot& slot) const;
  void prepare(const net::Packet& packet, Slot& slot);
  void take(const net::Packet& packet, const Slot& slot);
  void take_subframes(const net::Packet& packet, size_t at);
  void read_lone_fragments(bool all);
  void on_udp(const net::Packet& packet, const Slot& slot);
  void touch_udp(Flow& flow, Timestamp time);
  Flow* meet(const Slot& slot, const ProtocolEntry& entry, Timestamp time, int& from);
  Flow* open(const Slot& slot, Flow::List list, const net::Packet& packet);
  void tell(const Flow& flow, const net::Packet& packet, const net::Decoded& d);
  void tell_fragments(const Flow& flow, const net::Decoded& d);
  void give_up_fragments(Timestamp before);
  void tell_loose(const net::Packet& packet);
  void tell_undissected(Flow& flow);
  void close(Flow& flow, StreamEnd end);
  void release(Flow& flow);
  void evict_one();
  bool is_sampled(const net::FlowKey& key) const;
  void end_idle(Flow::List list, Duration idle, StreamEnd end);
  StreamRef stream_of(const Flow& flow) const;

  // inner.cpp: conversations inside TLS, and those that wait for secrets
  struct Waiter {
    Flow* flow;
    Timestamp since;
    uint64_t asked;  // the version of the key log that it was shown
  };
  Waiter take_waiter(size_t at);
  InnerFlow* open_inner(Flow& outer, Bytes client_random);
  void end_inner(Flow& flow, int from);
  void close_inner(Flow& flow, bool reset);
  void stop_awaiting(Flow& flow);
  void look_for_secrets();
  void give_up_secrets();
  void ask_again(Flow& flow);
  static Flow& outermost(Flow& flow);
  static bool is_awaiting(const Flow& flow) { return flow.awaits || (flow.inner && is_awaiting(*flow.inner)); }
  static int half_of(const Flow& flow, Direction direction) {
    return direction == Direction::kToServer ? flow.client_half : 1 - flow.client_half;
  }

  // sctp.cpp: associations, and the conversations in them
  void on_sctp(const net::Packet& packet, const Slot& slot);
  /// Where the packets of an association go that come from other addresses than its first ones.
  struct Home {
    net::FlowKey key;
    bool from_low;
  };
  void on_association(const net::Packet& packet, const Slot& slot);
  const Home* find_home(const Slot& slot) const;
  void set_tag(Flow& flow, int from, uint32_t tag);
  void forget_tags(Flow& flow);
  bool on_chunk(Flow& flow, int from, const net::SctpChunk& chunk, const Slot& slot, const net::Packet& packet);
  void on_init(Flow& flow, int from, const net::SctpChunk& chunk);
  bool on_forward(Flow& flow, int from, uint32_t tsn, const Slot& slot, const net::Packet& packet);
  bool deliver_chunks(Flow& flow, int from, const Slot& slot, const net::Packet& packet);
  void skip_chunks(Flow& flow, int from);
  void lose_in_channels(Flow& flow, int from);
  bool feed_chunk(Flow& flow, int from, const net::SctpChunk& chunk, Timestamp time, const Slot& slot,
                  const net::Packet& packet);
  bool feed_piece(Flow& flow, int from, const net::SctpData& piece, uint32_t missing, Timestamp time, const Slot& slot,
                  const net::Packet& packet);
  bool give_up_chunks(Flow& flow, const Slot& slot, const net::Packet& packet);
  Flow* find_channel(const Flow& flow, uint32_t channel) const;
  bool feed_channel(Flow& flow, int from, const net::SctpData& data, uint32_t missing, Timestamp time, const Slot& slot,
                    const net::Packet& packet);
  Flow* open_channel(Flow& flow, uint32_t channel, const Slot& slot, const net::Packet& packet);
  void end_channels(Flow& flow, StreamEnd end);
  static bool is_channel(const Flow& flow) { return flow.key.channel != 0; }
  static bool is_association(const Flow& flow) {
    return flow.key.transport == net::Transport::kSctp && flow.key.channel == 0;
  }

  // layer4.cpp: items of packets and flows
  void on_icmp(const net::Packet& packet, const Slot& slot);
  void tell_raw(const Flow& flow, const net::Packet& packet, const net::Decoded& d);
  void tell_segment(const Flow& flow, int from, const net::Packet& packet, const net::Decoded& d);
  void tell_failure(const Flow& flow, std::string_view failure, Timestamp time);
  void finish_raw(item::Item* item, MapOf& data, const Flow& flow, const net::Packet& packet, const net::Decoded& d);
  l4::Connection* connection_of(Flow& flow) const;
  void watch(Flow& flow, Timestamp time);
  void end_watch(Flow& flow, StreamEnd end);
  void report_due();
  void report(Flow& flow, std::string_view state, StreamEnd end);
  void report_group(l4::Group& group, bool closed);
  void count_in_group(Flow& flow, const l4::Traffic& fresh);
  void close_quiet_groups(bool all);
  void finish_between(item::Item* item, const net::Endpoint& client, const net::Endpoint& server);

  // order.cpp: TCP, and the order of bytes within and between directions
  void on_tcp(const net::Packet& packet, const Slot& slot);
  bool is_reuse(const Flow& flow, int from, const net::TcpFields& tcp) const;
  void on_syn(Flow& flow, int from, const net::TcpFields& tcp);
  void end_syn_due(Flow& flow, int from, const net::Decoded& d);
  void on_segment(Flow& flow, int from, const net::Decoded& d, uint32_t seq, Timestamp time);
  void follow(Flow& flow, int from, const net::Decoded& d, uint32_t seq);
  bool on_track(Flow& flow, int from, uint32_t seq, uint32_t end);
  void on_reset(Flow& flow, int from, const net::TcpFields& tcp);
  bool waits_for_peer(const Flow& flow, int from, const net::Arrival& arrival) const;
  static Timestamp after_peer(const Flow& flow, int from, const net::Arrival& arrival);
  void deliver(Flow& flow);
  void deliver_front(Flow& flow, int from);
  void note_blocked(Flow& flow);
  void check_waiting(Flow& flow, Timestamp time);
  void unblock(Flow& flow);
  bool is_hole_final(const Flow& flow, int from, Timestamp time) const;
  void skip_hole(Flow& flow, int from);
  void check_ends(Flow& flow);
  void give_up_holes(Flow& flow);
  void catch_up(Flow& flow, int from, uint32_t to);
  void lose(Flow& flow, int from, uint32_t bytes);
  void cut_off(Flow& flow, int from);
  static bool is_waiting(const Flow& flow) {
    return flow.blocked != 2 || flow.half[0].tcp.waiting() || flow.half[1].tcp.waiting();
  }
  void file(Flow& flow);

  // conversation.cpp: bytes in order, and what sessions make of them
  void feed(Flow& flow, int from, Bytes bytes, Timestamp time);
  void feed_end(Flow& flow, int from);
  void feed_datagram(Flow& flow, int from, Bytes bytes, uint32_t missing, Timestamp time);
  Bytes dissect_datagram(Flow& flow, int from, Bytes bytes, uint32_t missing, Timestamp time);
  void last_chance(Flow& flow);
  void pump(Flow& flow);
  bool pump_hand(Flow& flow);
  bool runnable(const Flow& flow, int from) const;
  int older_side(const Flow& flow) const;
  Bytes front(const Flow& flow, int from) const;
  Timestamp front_time(const Flow& flow, int from) const;
  uint64_t front_order(const Flow& flow, int from) const;
  void consume(Flow& flow, int from, size_t bytes);
  bool step(Flow& flow, int from);
  bool resync_step(Flow& flow, int from);
  bool dissect_step(Flow& flow, int from);
  void start_session(Flow& flow, const ProtocolEntry& entry);
  void switch_session(Flow& flow, const Step& step);
  void ignore(Flow& flow);
  bool keep(Half& half, Bytes bytes, Timestamp time, uint64_t order);
  void drop_pending(Half& half);

  // detection.cpp: which protocol these bytes are
  bool detect_step(Flow& flow, int from);
  const ProtocolEntry* detect(Flow& flow, int from, const Input& in, bool last, bool& unsure);
  Probe ask(const Flow& flow, const ProtocolEntry& entry, const Input& in, int from, bool last, int& client_half) const;
  bool refuse(Flow& flow, int from);
  enum class Head : uint8_t { kNone, kIncomplete, kTaken };
  Head take_proxy_head(Flow& flow, int from, Bytes bytes);
  Bytes behind_proxy_head(Flow& flow, int from, Bytes bytes);
  void keep_proxy_head(Flow& flow, int from, ProxyHead head);
  void forget_proxy_head(const Flow& flow);
  const ProxyHead* proxy_head_of(const Flow& flow) const;
  void forget_candidates(Flow& flow);

  EngineOptions options_;
  EngineObserver& observer_;
  net::Decoder decoder_;
  HeldFragments held_;  // when packets are told
  FlowTable table_;
  net::SegmentStore store_;
  item::ItemPool items_;
  EngineCounters counters_;
  Flow* flow_ = nullptr;  // in hand
  Hand hand_;
  uint64_t fed_ = 0;  // pieces that were handed on
  uint64_t next_stream_;
  Timestamp now_{};
  Timestamp last_tick_{};
  Candidates candidates_;
  bool final_ = false;  // the flow in hand ends: probes must decide
  Pending* free_pending_ = nullptr;
  size_t pending_bytes_ = 0;
  uint64_t open_items_ = 0;
  std::vector<std::unique_ptr<Pending>> pendings_;
  std::array<Slot, 16> slots_;
  std::vector<Waiter> waiters_;
  uint64_t secrets_seen_ = 0;  // version of the key log that the waiters have asked
  l4::ConnectionPool connections_;
  l4::GroupTable groups_;
  std::unordered_map<uint64_t, Home> homes_;  // by verification tag and ports
  std::vector<std::pair<uint16_t, const ProtocolEntry*>>
      meeting_ports_;  // of protocols whose answers come from elsewhere
  Meetings meetings_;
  std::unordered_map<const Flow*, ProxyHead> proxy_heads_;  // of the flows that count one
};

}  // namespace baleen::dissect
