#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/packet.h"

namespace baleen::capture {

/// A filter in pcap-filter(7) syntax that is asked of packets which are captured already, as `tcpdump -r FILE` asks it:
/// VLAN tags are bytes of the packet. Immutable: any thread, cheap to copy.
class PacketFilter {
 public:
  /// Lets everything through.
  PacketFilter() = default;
  /// kInvalid with libpcap's words and a hint. An empty text lets everything through.
  static Result<PacketFilter> compile(const std::string& text);
  /// False for packets of a link type for which the filter has no meaning ("ether host ..." without Ethernet).
  bool matches(const net::Packet& packet) const;
  const std::string& text() const { return text_; }

 private:
  struct Programs;
  std::string text_;
  std::shared_ptr<const Programs> programs_;  // null: everything
};

}  // namespace baleen::capture
