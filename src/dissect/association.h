#pragma once

#include <algorithm>
#include <vector>

#include "dissect/dissector.h"
#include "net/sctp.h"

namespace baleen::dissect {

/// What the flow of an SCTP association holds instead of a dissector: both directions in order, and which conversations
/// they carry. Each of those is a flow of its own, whose key names its channel.
class Association final : public Session {
 public:
  static constexpr size_t kMostChannels = 64, kMostMessages = 64, kMostMessageBytes = 1 << 20;

  /// A message of which some I-DATA chunks have come. Those of other messages may lie between them (RFC 8260 2.2).
  struct Message {
    int from = 0;
    uint16_t stream = 0;
    bool unordered = false;
    uint32_t id = 0, protocol = 0, missing = 0;
    std::vector<uint8_t> bytes;
  };

  net::SctpHalf half[2];
  std::vector<uint32_t> channels;
  std::vector<uint32_t> protocols;  // payload protocol identifiers that were seen
  std::vector<Message> messages;
  size_t message_bytes = 0;
  uint32_t opened = 0;       // conversations that there were
  uint32_t tag[2] = {0, 0};  // that packets of each side carry; 0: not known
  bool over = false;

  void saw(uint32_t protocol) {
    if (protocols.size() < kMostChannels && std::find(protocols.begin(), protocols.end(), protocol) == protocols.end())
      protocols.push_back(protocol);
  }
  void drop_messages(int from) {
    std::erase_if(messages, [&](const Message& m) { return m.from == from; });
    message_bytes = 0;
    for (const Message& m : messages) message_bytes += m.bytes.size();
  }

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
