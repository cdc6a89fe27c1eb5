#pragma once

#include <memory>
#include <vector>

#include "dissect/dissector.h"
#include "dissect/websocket/websocket.h"

namespace baleen::dissect::http2 {

/// A stream that an extended CONNECT (RFC 8441) has made into a WebSocket: its DATA frames' content goes to a session
/// of that protocol, as an engine would hand it over.
class Tunnel {
 public:
  explicit Tunnel(uint32_t stream) : stream_(stream) {}

  uint32_t stream() const { return stream_; }
  /// The item by which it was opened, whole, and no longer the caller's.
  void open(item::Item* opening, Output& out) { session_.adopt(opening, out); }
  void feed(Direction direction, Bytes bytes, Timestamp time, Output& out);
  /// `bytes` of this direction were lost (0: unknown number).
  void lose(Direction direction, uint64_t bytes, Output& out);
  /// No more comes in this direction. Returns whether that was the other one's end, too.
  bool end(Direction direction);
  void close(bool reset, Output& out) { session_.close(reset, out); }

  std::unique_ptr<Tunnel> next;  // in its connection's list

 private:
  struct Side {
    std::vector<uint8_t> held;  // what the session has answered kNeed to
    Timestamp time{};           // of its first byte
    uint64_t need = 0;
    bool lost = false, ended = false;
  };
  size_t step(Side& side, const Input& in, Output& out);

  uint32_t stream_;
  websocket::Websocket session_;
  Side sides_[2];
};

}  // namespace baleen::dissect::http2
