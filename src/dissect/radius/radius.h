#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::radius {

/// RADIUS over UDP and TCP (RFC 6613; within TLS when that is decrypted): authentication, accounting (RFC 2865, 2866),
/// status (RFC 5997) and changes of authorization (RFC 5176), matched by kind and identifier; the attributes by
/// dictionary, EAP and vendors' among them.
class Radius final : public Framed<Radius, DatagramMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = true;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
};

}  // namespace baleen::dissect::radius
