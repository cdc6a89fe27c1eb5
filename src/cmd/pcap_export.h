#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "cmd/byte_sink.h"
#include "codec/pcap/reader.h"

namespace baleen::cmd {

/// Pcapng, piece by piece, as one pcap file in the order of time. Packets wait in a temporary file without a name; 24
/// bytes for each of them in memory.
class PcapExport {
 public:
  static Result<PcapExport> open();
  /// More of the pcapng text; pieces need not end with its blocks.
  Result<> add(std::string_view pcapng);
  /// kInvalid when the packets are of several link types: a pcap file holds one.
  Result<> write(ByteSink& sink);

 private:
  struct Place {
    int64_t time_ns;
    uint64_t offset;
    uint32_t length, wire_length;
  };
  PcapExport() = default;
  UniqueFd file_;
  uint64_t written_ = 0;
  std::string window_;
  codec::pcap::Reader reader_;
  std::vector<Place> places_;
  std::vector<uint16_t> links_;  // that were met
};

}  // namespace baleen::cmd
