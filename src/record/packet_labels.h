#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "codec/pcap/writer.h"
#include "index/item_row.h"

namespace baleen::record {

/// What the items of a block say of the ends of its packets, for tools that show packets: names of addresses (Name
/// Resolution Blocks, draft-ietf-opsawg-pcapng 4.5), and which pods and services a stream joins, as the comment of its
/// first packet. Bounded: what comes beyond kMostBytes is left out, as it stands in the items, too. One thread.
class PacketLabels {
 public:
  static constexpr size_t kMostBytes = 1 << 20;

  void note(const index::ItemRow& row);
  /// "shop/cart-7f9 -> shop/redis"; empty where nobody knows pods or services.
  std::string_view comment(const std::string& stream) const;
  void write_names(codec::pcap::PcapngWriter& writer) const;
  /// What it adds to a packets file at most.
  size_t bytes() const { return bytes_; }

 private:
  void name(const std::string& address, const std::string& name);

  std::map<std::string, std::string> names_;  // by address, 4 or 16 bytes: the first that was heard
  std::unordered_map<std::string, std::string> comments_;
  std::string last_stream_;  // of the last row that knew its ends
  size_t bytes_ = 0;
};

}  // namespace baleen::record
