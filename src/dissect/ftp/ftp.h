#pragma once

#include <string>

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

  void forget(Direction, Output&) { data_address_.clear(); }

 private:
  void tell_data_connection(item::Item& item, int code, MapOf& response);

  LineScan lines_;
  ReplyScan replies_;
  std::string data_address_;  // for the next transfer, as it was agreed on last; empty when nothing is
  bool passive_ = false;
};

}  // namespace baleen::dissect::ftp
