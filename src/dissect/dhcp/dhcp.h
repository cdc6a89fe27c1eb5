#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::dhcp {

/// DHCP for IPv4 (RFC 2131), BOOTP, and DHCP for IPv6 (RFC 8415), which has a card of its own. Requests and replies are
/// matched by transaction and client, also where the question was broadcast and the answer comes between other
/// addresses. Of several servers' offers the first is the answer, the others stand alone.
class Dhcp final : public Framed<Dhcp, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol, kVersion6;
  static const item::Protocol* const kCards[2];
  static constexpr bool kTcp = false, kUdp = true;
  static Probe probe(const Input& in);
  static Meeting meeting(const net::FiveTuple& ends, const Input& datagram);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);

 private:
  item::Item* take_question(const Frame& frame);
  Step version6(const Frame& frame, Output& out);
};

}  // namespace baleen::dissect::dhcp
