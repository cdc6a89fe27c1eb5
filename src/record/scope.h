#pragma once

#include <string>

#include "base/result.h"
#include "capture/packet_filter.h"
#include "record/flight_recorder.h"

namespace baleen::record {

/// Which streams a recording takes whatever is in them: those with a packet that a pcap-filter lets through.
class Scope {
 public:
  /// No stream.
  Scope() = default;
  /// An empty text: no stream; "everything": all of them; else pcap-filter(7). kInvalid with libpcap's words.
  static Result<Scope> compile(const std::string& text);
  bool any() const { return !text_.empty(); }
  bool has(const RecordedPacket& p) const {
    return any() && filter_.matches({p.time, p.bytes, p.wire_length, p.interface, p.link});
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  capture::PacketFilter filter_;
};

}  // namespace baleen::record
