#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::zookeeper {

/// ZooKeeper's client protocol: the session's opening, requests and replies by their xid, watch events.
class Zookeeper final : public Framed<Zookeeper, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  Probe begins(Direction direction, Bytes bytes) const;

 private:
  Step request(const Frame& frame, Output& out);
  Step reply(const Frame& frame, Output& out);
};

}  // namespace baleen::dissect::zookeeper
