#pragma once

#include <vector>

#include "dissect/dissector.h"
#include "net/sctp.h"

namespace baleen::dissect {

/// What the flow of an SCTP association holds instead of a dissector: both directions in order, and which conversations
/// they carry. Each of those is a flow of its own, whose key names its channel.
class Association final : public Session {
 public:
  static constexpr size_t kMostChannels = 64;

  net::SctpHalf half[2];
  std::vector<uint32_t> channels;
  uint32_t opened = 0;  // conversations that there were
  bool over = false;

  /// Data of a named protocol are messages whose pairing does not look at streams (Diameter may answer on another one);
  /// without a name each stream is a conversation. Never zero.
  static uint32_t channel(const net::SctpData& data) {
    return data.protocol != 0 ? 0x20000u | (data.protocol & 0xFFFFu) : 0x10000u | data.stream;
  }

  Step dissect(const Input&, Output&) override { return Step::done(); }
  bool gap(Direction, uint64_t, Output&) override { return false; }
  Resync resync(const Input&) override { return {}; }
  void expire(Timestamp, Output&) override {}
  void close(bool, Output&) override {}
};

}  // namespace baleen::dissect
