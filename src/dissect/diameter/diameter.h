#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::diameter {

/// Diameter (RFC 6733) over TCP: requests of both sides matched by hop-by-hop identifier, AVPs by dictionary.
class Diameter final : public Framed<Diameter, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
};

}  // namespace baleen::dissect::diameter
