#pragma once

#include "dissect/framed.h"
#include "dissect/replies.h"

namespace baleen::dissect::ftp {

/// FTP's control connection (RFC 959): commands and their final replies in order; preliminary replies are part of the
/// response. The data connections carry files without a protocol and are not claimed.
class Ftp final : public Framed<Ftp, InOrderPairs> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) {
    lines_.rewind(direction);
    if (direction == Direction::kToClient) replies_.rewind();
  }

 private:
  LineScan lines_;
  ReplyScan replies_;
};

}  // namespace baleen::dissect::ftp
