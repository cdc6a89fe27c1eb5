#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::mqtt {

/// MQTT 3.1, 3.1.1 and 5: every packet. Connect, subscribe, unsubscribe, ping and what is published with QoS 1 or 2 are
/// paired with what acknowledges them (PUBREL with PUBCOMP as well); what needs no answer stands alone.
class Mqtt final : public Framed<Mqtt, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);

 private:
  uint8_t version_ = 4;  // as long as no CONNECT was seen
};

}  // namespace baleen::dissect::mqtt
