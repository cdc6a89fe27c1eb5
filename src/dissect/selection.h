#pragma once

#include <span>
#include <string>
#include <vector>

#include "dissect/dissector.h"

namespace baleen::dissect {

/// Items that the engine makes by itself, of packets and flows: which ones are wanted.
struct L4Items {
  bool icmp = false;
  bool tcp = false, udp = false, sctp = false;                 // packets, one by one
  bool tcp_conn = false, udp_conn = false, sctp_conn = false;  // connections, one by one
  bool tcp_flow = false, udp_flow = false;                     // all connections of a client to a server's port

  /// Whether connections have to be followed.
  bool of_tcp() const { return tcp || tcp_conn || tcp_flow; }
  bool of_udp() const { return udp_conn || udp_flow; }
  bool of_sctp() const { return sctp_conn; }
};

/// What an engine is to look for.
struct Selection {
  std::vector<ProtocolEntry> protocols;  // in the registry's order
  L4Items l4{};
  std::vector<std::string> unknown;  // names that nobody has
};

/// The dissectors of these names: of protocols ("http"), of their variants by macro ("tlsx", "grpc": the dissector that
/// makes them), or of L4 items ("icmp"; '-' and '_' are alike). None at all: the default, all but packets, connections
/// and flows.
Selection select_dissectors(std::span<const std::string> names);
/// Adds the packets, connections or flows that a filter speaks of ("udp", "conn", "flow_state"): tracking connections
/// costs memory for each, and an item for each packet is much, so by default they are made for those who ask.
void add_what_is_asked(std::string_view filter, Selection& selection);
/// What can be asked for, for suggestions.
std::vector<std::string_view> dissector_names();

}  // namespace baleen::dissect
