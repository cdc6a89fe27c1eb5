#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::sip {

/// SIP (RFC 3261) over UDP and TCP: a request and its final response by Call-ID and CSeq; provisional responses are
/// counted in it.
class Sip final : public Framed<Sip, DatagramMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = true;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) { seen_[static_cast<size_t>(direction)] = 0; }

 private:
  uint32_t seen_[2] = {0, 0};  // bytes without the end of the headers
};

}  // namespace baleen::dissect::sip
