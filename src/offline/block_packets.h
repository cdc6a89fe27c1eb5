#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/pcap/reader.h"
#include "index/recording_reader.h"

namespace baleen::offline {

/// The packets of one block, in memory, in the order of their times; those of a stream in the order in which they lie.
class BlockPackets {
 public:
  /// `secrets` gets the block's TLS secrets.
  static Result<std::unique_ptr<BlockPackets>> load(index::RecordingReader& reader, const index::BlockRecord& block,
                                                    const std::function<void(Bytes)>& secrets);
  struct Packet {
    int64_t time_ns;  // the order
    uint32_t stream;  // place among the block's streams
    uint32_t interface;
    codec::pcap::PacketRecord record;  // borrows from the block
  };
  bool over() const { return next_ == packets_.size(); }
  const Packet& front() const { return packets_[next_]; }
  void pop() { ++next_; }

 private:
  BlockPackets() = default;
  std::string content_;
  std::vector<Packet> packets_;
  size_t next_ = 0;
};

}  // namespace baleen::offline
