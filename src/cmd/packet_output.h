#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/pcap/writer.h"
#include "net/ethernet_form.h"
#include "record/block_writer.h"

namespace baleen::cmd {

/// A capture file, or standard output, that is whole after every flush(): whoever is cut off in between leaves
/// something that tools read.
class PacketOutput {
 public:
  enum class Format { kPcapng, kPcap };
  /// "-" is standard output.
  static Result<PacketOutput> open(const std::string& path, Format format);

  /// `interfaces`: what the packet's number is an index of; one that is not there is called by its number.
  Result<> add(const record::RecordedPacket& packet, const std::vector<record::InterfaceName>& interfaces);
  Result<> flush();
  /// The reader of standard output has gone: nothing more need be written.
  bool closed() const { return closed_; }
  uint64_t packets() const { return packets_; }
  uint64_t bytes() const { return written_ + buffer_->size(); }

 private:
  /// Of the capture and in the file: a packet's link type may differ from what its interface says.
  struct Known {
    uint32_t interface;
    net::LinkType link;
    uint32_t number;
  };
  PacketOutput() = default;
  uint32_t number_of(const record::RecordedPacket& packet, const std::vector<record::InterfaceName>& interfaces);

  std::string path_;
  UniqueFd file_;
  int fd_ = -1;
  Format format_ = Format::kPcapng;
  std::unique_ptr<std::string> buffer_ = std::make_unique<std::string>();  // the writers have its address
  std::unique_ptr<codec::pcap::PcapngWriter> pcapng_;
  std::unique_ptr<codec::pcap::PcapWriter> pcap_;
  net::EthernetForm form_;
  std::vector<Known> known_;
  uint64_t packets_ = 0, written_ = 0;
  bool closed_ = false;
};

}  // namespace baleen::cmd
