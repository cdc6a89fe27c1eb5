#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::dhcp {

/// DHCP for IPv4 (RFC 2131) and BOOTP. Requests and replies are matched by transaction within one pair of addresses, as
/// relays and renewing clients have it; what is broadcast has no one answer and stands alone.
class Dhcp final : public Framed<Dhcp, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = false, kUdp = true;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
};

}  // namespace baleen::dissect::dhcp
