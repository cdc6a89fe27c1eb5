#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/packet.h"

namespace baleen::capture {

/// A classic BPF program as SO_ATTACH_FILTER takes it.
using FilterProgram = std::vector<sock_filter>;

/// Checks a capture filter in pcap-filter(7) syntax; the Error has libpcap's words and a hint. Needs no privileges.
Result<> check_capture_filter(const std::string& text);

/// What the kernel shall let through to a packet socket.
struct FilterPlan {
  std::string text;          // pcap-filter syntax; empty: everything
  uint32_t snap_length = 0;  // bytes kept of a packet; 0: all
  /// Only packets of these devices; empty: of all that the socket is bound to.
  std::vector<int> devices;
  /// The loopback device shows every packet twice, leaving and arriving: leave out the first.
  bool arriving_loopback_only = false;
  /// kEthernet or kRaw when all packets begin so; otherwise the program asks each packet's device.
  std::optional<net::LinkType> link;
};

/// One program for all of the plan. It reads nothing that only the packet's receiver knows, so it may be replaced while
/// the socket is bound.
Result<FilterProgram> build_filter(const FilterPlan& plan);

/// Lets nothing through.
FilterProgram closed_filter();

/// Attaches `program` in the place of the one before it.
Result<> attach_filter(int socket, const FilterProgram& program);

}  // namespace baleen::capture
