#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::ntp {

/// NTP (RFC 5905) and SNTP: a client's packet and the server's by the timestamp that the server repeats, control
/// (RFC 9327) and private messages by their numbers; the other modes stand alone.
class Ntp final : public Framed<Ntp, DatagramMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = false, kUdp = true;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);

 private:
  Step management(const Frame& frame, Output& out);
  item::Item* interleaved(uint64_t originate);
};

}  // namespace baleen::dissect::ntp
