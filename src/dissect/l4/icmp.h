#pragma once

#include <array>
#include <optional>

#include "base/arena.h"
#include "dissect/build.h"
#include "dissect/dissector.h"
#include "net/decode.h"

namespace baleen::dissect::l4 {

/// "DestinationUnreachable(Port)": type and code of ICMP (RFC 792, RFC 1812) or ICMPv6 (RFC 4443, RFC 4861).
std::string_view icmp_name(bool v6, uint8_t type, uint8_t code, Arena& arena);

/// What an ICMP packet says, as the item's data without the flow that it may be about.
/// REQUIRES: `d` is an ICMP or ICMPv6 packet.
void describe_icmp(const net::Decoded& d, MapOf& data, Arena& arena);

/// Echo requests between two hosts whose replies are still to come, the last ones only; the round trips of the others
/// are not known. It stands where flows of other transports have their dissector.
class Echoes final : public Session {
 public:
  /// When the packet is a reply to one that was noted: how long that was ago. A request is noted.
  std::optional<Duration> pair(const net::Decoded& d, Timestamp time);

  Step dissect(const Input&, Output&) override { return Step::done(); }
  bool gap(Direction, uint64_t, Output&) override { return false; }
  Resync resync(const Input&) override { return {}; }
  void expire(Timestamp, Output&) override {}
  void close(bool, Output&) override {}

 private:
  struct Request {
    uint32_t id = 0;  // and sequence number
    bool from_low = false, waits = false;
    Timestamp time{};
  };
  std::array<Request, 16> requests_;
  size_t next_ = 0;
};

}  // namespace baleen::dissect::l4
