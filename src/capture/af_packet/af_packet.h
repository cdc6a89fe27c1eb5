#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture/packet_source.h"

namespace baleen::capture {

struct AfPacketOptions {
  /// Names; none, or "any" among them: all interfaces, also those that appear later.
  std::vector<std::string> interfaces;
  /// pcap-filter(7) syntax; nothing that it rejects is ever copied to us.
  std::string filter;
  /// Each shard has a ring of this size. A block is handed over when it is full, or `retire` after its first packet.
  size_t ring_bytes = 64 << 20;
  size_t block_bytes = 1 << 20;
  Duration retire = std::chrono::milliseconds(10);
  /// Bytes kept of each packet; 0: all.
  uint32_t snap_length = 0;
  /// Also packets that are not for this machine. Of "any", only those interfaces that are there at the start.
  bool promiscuous = false;
  /// The namespace whose interfaces are meant, as "/proc/12/ns/net" or "/run/netns/a"; empty: the caller's.
  std::string network_namespace;
};

/// Opens live capture as `shards` sources that share the packets among them by flow: both directions of a flow come to
/// the same shard. Each may be used by a thread of its own. Errors: kDenied without CAP_NET_RAW; kNotFound for an
/// interface that is not there, with a suggestion; kUnavailable for one that is down; kInvalid for a filter, with
/// libpcap's words.
///
/// Then next_batch() says kUnavailable, once, when the only interface of the capture goes down (packets come again when
/// it is up again), and kNotFound from when it was removed on. Packets that lost their VLAN tag to the kernel have it
/// again.
Result<std::vector<std::unique_ptr<PacketSource>>> open_af_packet(const AfPacketOptions& options, size_t shards = 1);

}  // namespace baleen::capture
