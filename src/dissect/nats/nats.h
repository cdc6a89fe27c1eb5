#pragma once

#include "dissect/framed.h"
#include "dissect/lines.h"

namespace baleen::dissect::nats {

/// The NATS client protocol. Every operation is an item; PING is paired with PONG, and a message that is published with
/// a reply subject with the first message that comes for that subject.
class Nats final : public Framed<Nats, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) { lines_.rewind(direction); }

 private:
  item::Item* take_ping(bool by_client);
  item::Item* take_call(std::string_view subject);

  LineScan lines_;
};

}  // namespace baleen::dissect::nats
