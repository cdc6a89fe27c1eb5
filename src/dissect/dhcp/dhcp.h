#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::dhcp {

/// DHCP for IPv4 (RFC 2131), BOOTP, and DHCP for IPv6 (RFC 8415), which has a card of its own. Requests and replies are
/// matched by transaction within one pair of addresses, as relays and renewing clients have it; what is broadcast has
/// no one answer and stands alone.
class Dhcp final : public Framed<Dhcp, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol, kVersion6;
  static const item::Protocol* const kCards[2];
  static constexpr bool kTcp = false, kUdp = true;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);

 private:
  Step version6(const Frame& frame, Output& out);
};

}  // namespace baleen::dissect::dhcp
