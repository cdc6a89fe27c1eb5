#pragma once

#include "dissect/dissector.h"
#include "dissect/http2/frame.h"
#include "dissect/http2/hpack.h"

namespace baleen::dissect::http2 {

struct Stream;
class Tunnel;

/// HTTP/2 (RFC 9113) with prior knowledge, after an upgrade or joined in the middle; and gRPC on it. An item per
/// stream.
///
/// A session holds the two header tables and the list of open streams; a stream lives in its item's arena.
class Http2 final : public Session {
 public:
  Http2();
  ~Http2() override;
  static const item::Protocol kProtocol;
  static const item::Protocol kGrpc;
  static const item::Protocol* const kCards[3];
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in) { return probe_frames(in); }

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;
  void adopt(item::Item* opening, Output& out) override;

 private:
  struct Side {
    HeaderDecoder decoder;
    uint32_t stream = 0;       // whose DATA frame is under way
    uint32_t left = 0;         // bytes of its content that are to come
    uint32_t scanned = 0;      // where the first frame of a field block begins that is not there as a whole
    uint32_t too_long = 0;     // the stream whose field block is: what comes of it is stepped over
    uint8_t padding = 0;       // bytes that follow the content
    bool ends_stream = false;  // the DATA frame does
    bool begun = false;        // the first bytes were looked at
    bool refused = false;      // what stands here is no frame: resync() goes past its first byte
    bool inside() const { return left + padding > 0; }
  };

  Side& side_of(Direction d) { return sides_[static_cast<size_t>(d)]; }
  Step begin(Side& side, const Input& in);
  Step refuse(Side& side);
  Step frame(Side& side, const Input& in, Output& out);
  Step data(Side& side, const Input& in, const FrameHead& head, Output& out);
  Step content(Side& side, const Input& in, size_t at, Output& out);
  Step block(Side& side, const Input& in, Output& out);
  static Step skip_block(Side& side, const Input& in, size_t known, Output& out);
  void take_block(Side& side, const Input& in, const FrameHead& head, size_t size, Output& out);
  void decode(Side& side, const Input& in, size_t size, Arena& arena, Block& fields, Output& out);
  void reset(Direction direction, uint32_t id, uint32_t code, Output& out);
  void go_away(Direction direction, uint32_t last, uint32_t code, Output& out);
  void end_half(Stream& stream, bool response, Output& out);

  Stream* join_stream(uint32_t id, const Input& in, Output& out);
  static Stream* make_stream(item::Item* item, uint32_t id);
  Stream* find(uint32_t id);
  void keep(Stream& stream, Output& out);
  void forget(Stream& stream);
  void finish(Stream& stream, Output& out);
  void open_tunnel(Stream& stream, Direction by, Output& out);
  Tunnel* find_tunnel(uint32_t id) const;
  void close_tunnel(uint32_t id, bool reset, Output& out);
  bool recently_reset(uint32_t id) const;

  Side sides_[2];
  Stream* oldest_ = nullptr;
  Stream* newest_ = nullptr;
  std::unique_ptr<Tunnel> tunnels_;  // latest first
  uint32_t open_ = 0;                // streams and tunnels
  uint32_t resets_[4] = {};          // streams that ended early: what is still under way for them means nothing
  uint8_t next_reset_ = 0;
  bool joined_ = false;     // the connection's beginning was not captured
  uint32_t first_ = 0;      // the first stream that the client opened since
  Stream* recent_[4] = {};  // by number: where a frame's stream most likely is
};

}  // namespace baleen::dissect::http2
