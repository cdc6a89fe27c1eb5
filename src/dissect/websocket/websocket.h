#pragma once

#include <memory>

#include "codec/inflate.h"
#include "dissect/dissector.h"
#include "dissect/websocket/frame.h"

namespace baleen::dissect::websocket {

struct Draft;

/// WebSocket (RFC 6455) with permessage-deflate (RFC 7692), after the upgrade of an HTTP/1.1 connection. Each message
/// and each control frame is an item: a request when the client sent it, a response when the server did, linked to the
/// call that opened the connection. Without that call it is not recognised: its frames have nothing to be known by.
///
/// Between messages a session holds what was agreed on, and per direction at most the 32 KiB that compressed messages
/// refer back to.
class Websocket : public Session {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input&) { return Probe::kNo; }

  Websocket();
  ~Websocket() override;
  Step dissect(const Input& in, Output& out) override;
  void adopt(item::Item* opening, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp, Output&) override {}
  void close(bool reset, Output& out) override;

  /// The value of the answer's Sec-WebSocket-Extensions.
  void agree(std::string_view extensions);

 private:
  struct Opening;
  struct Side {
    Draft* draft = nullptr;  // the message whose last frame is not complete; in its item's arena
    uint64_t left = 0;       // bytes of the payload in hand that are still to come
    uint64_t seen = 0;       // ... that came
    std::unique_ptr<codec::InflateWindow> window;
    uint8_t mask[4] = {};
    uint8_t window_bits = 15;
    bool in_payload = false, masked = false, fin = false;
    bool takeover = true;
    bool refused = false;  // what stands here is no frame
  };

  Step head(Side& side, const Input& in, Output& out);
  Step control(const FrameHead& frame, const Input& in, Output& out);
  void begin_frame(Side& side, const FrameHead& frame, const Input& in, Output& out);
  void payload(Side& side, Bytes bytes, Output& out);
  void end_frame(Side& side, Output& out);
  void finish(Side& side, Output& out);
  void emit(const Draft& draft, item::Value payload, uint64_t length, Output& out);
  item::Value inflated(Side& side, Draft& draft, uint64_t& length, Output& out);
  void give_up(Side& side, const char* why, Output& out);
  Probe begins(Direction d, Bytes bytes, bool end) const;
  const char* fault(const FrameHead& frame, Direction d) const;
  Side& side_of(Direction d) { return sides_[static_cast<size_t>(d)]; }

  Side sides_[2];
  std::unique_ptr<const Opening> opening_;
  bool deflates_ = false;         // permessage-deflate was agreed on: RSV1 has a meaning
  bool other_extension_ = false;  // another extension was: reserved bits mean what we do not know
};
static_assert(sizeof(Websocket) <= 128);

}  // namespace baleen::dissect::websocket
