#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dissect/dissector.h"
#include "dissect/flow.h"
#include "net/decode.h"
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
  virtual void on_stream_end(StreamRef, StreamEnd) {}
};

struct EngineOptions {
  std::span<const ProtocolEntry> protocols;
  Settings settings;
  const item::Origin* origin = nullptr;  // outlives the engine's items
  item::CaptureSource source = item::CaptureSource::kUnspecified;
  bool tell_packets = false;
  uint64_t first_stream = 0, stream_step = 1;  // so that several engines number without meeting
  int sample_percent = 100;                    // of the streams; the others are only counted

  size_t flow_limit = 1'000'000;
  Duration tcp_idle = std::chrono::seconds(1200);
  Duration udp_idle = std::chrono::seconds(1200);
  Duration closed_linger = std::chrono::seconds(10);
  size_t early_limit = 64 << 20;          // bytes of early segments, all flows
  uint32_t early_limit_stream = 4 << 20;  // ... of one direction; then its hole is given up
  size_t probe_limit = 4096;              // bytes of one direction by which a protocol must be known
  Duration reorder_wait =
      std::chrono::milliseconds(200);  // for bytes that the receiver has acknowledged and we have not
  uint16_t reorder_packets = 32;
};

struct EngineCounters {
  uint64_t packets = 0, bytes = 0, tcp_packets = 0, udp_packets = 0, icmp_packets = 0, sctp_packets = 0;
  uint64_t streams = 0, evicted_flows = 0, stray_packets = 0, reused_ports = 0, gaps = 0, refused_resets = 0,
           sampled_out = 0;
  net::TcpCounters tcp;
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
  /// No packets came up to `time`: lets idle flows end.
  void advance(Timestamp time);
  /// End of input: gives up on what is missing, closes every conversation.
  void finish();

  const EngineCounters& counters() const { return counters_; }
  const net::Decoder& decoder() const { return decoder_; }
  size_t flows() const { return table_.size(); }
  size_t early_bytes() const { return store_.bytes(); }

 private:
  // Output
  item::Item* begin(const item::Protocol& protocol) override;
  void finish(item::Item* item) override;
  void drop(item::Item* item) override;
  void count(Counter counter, uint64_t n) override { counters_.dissect[static_cast<size_t>(counter)] += n; }
  const Settings& settings() const override { return options_.settings; }
  const net::Endpoint& client() const override { return flow_->client(); }
  const net::Endpoint& server() const override { return flow_->server(); }

  // engine.cpp: packets, flows, order
  void on_tcp(const net::Packet& packet, const net::Decoded& d);
  void on_udp(const net::Packet& packet, const net::Decoded& d);
  Flow* open(const net::FlowKey& key, uint64_t hash, bool from_low, Flow::List list, const net::Decoded& d);
  bool is_reuse(const Flow& flow, int from, const net::TcpFields& tcp) const;
  void on_syn(Flow& flow, int from, const net::TcpFields& tcp);
  void on_segment(Flow& flow, int from, const net::Decoded& d, uint32_t seq, Timestamp time);
  void on_reset(Flow& flow, int from, const net::TcpFields& tcp);
  bool must_wait(Flow& flow, int from, const net::TcpFields& tcp, Timestamp time);
  void check_blocked(Flow& flow, Timestamp time, bool give_up);
  void check_hole(Flow& flow, int from, Timestamp time, bool give_up);
  void catch_up(Flow& flow, int from, uint32_t to);
  void drain(Flow& flow, int from);
  void lose(Flow& flow, int from, uint32_t bytes);
  void check_ends(Flow& flow, Timestamp time);
  void give_up_holes(Flow& flow);
  void close(Flow& flow, StreamEnd end);
  void release(Flow& flow);
  void evict_one();
  StreamRef stream_of(const Flow& flow) const;

  // conversation.cpp: bytes in order, detection, sessions
  void feed(Flow& flow, int from, Bytes bytes, Timestamp time);
  void feed_end(Flow& flow, int from, Timestamp time);
  void feed_datagram(Flow& flow, int from, Bytes bytes, Timestamp time);
  size_t run(Flow& flow, int from, Bytes view, Timestamp time, bool end);
  size_t look_for_message(Flow& flow, int from, Bytes rest, Timestamp time, bool end, bool& stuck);
  size_t dissect_one(Flow& flow, int from, Bytes rest, Timestamp time, bool end, bool& stuck);
  const ProtocolEntry* detect(Flow& flow, int from, Bytes view, Timestamp time, bool last_chance);
  Probe ask(Flow& flow, const ProtocolEntry& entry, int from, Bytes view, Timestamp time, int& client_half) const;
  void start_session(Flow& flow, const ProtocolEntry& entry);
  void switch_session(Flow& flow, std::string_view to);
  void run_pending(Flow& flow, int from);
  void ignore(Flow& flow);
  void keep(Half& half, Bytes bytes, Timestamp time);
  void drop_pending(Half& half);

  EngineOptions options_;
  EngineObserver& observer_;
  net::Decoder decoder_;
  FlowTable table_;
  net::SegmentStore store_;
  item::ItemPool items_;
  EngineCounters counters_;
  Flow* flow_ = nullptr;  // in hand
  uint64_t next_stream_;
  Timestamp now_{};
  Timestamp last_tick_{};
  Pending* free_pending_ = nullptr;
  std::vector<std::unique_ptr<Pending>> pendings_;
};

}  // namespace baleen::dissect
