#pragma once

#include "dissect/framed.h"
#include "dissect/thrift/walk.h"

namespace baleen::dissect::thrift {

/// Apache Thrift: calls and replies of the strict binary and the compact protocol, framed, with THeader or neither.
/// Matched by sequence number and method.
class Thrift final : public Framed<Thrift, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) {
    walk_[static_cast<size_t>(direction)].reset();
    compact_[static_cast<size_t>(direction)].reset();
  }

 private:
  Walk walk_[2];  // through an unframed message that is not whole yet
  CompactWalk compact_[2];
};

}  // namespace baleen::dissect::thrift
