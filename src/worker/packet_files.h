#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "record/flight_recorder.h"

namespace baleen::worker {

/// Files of packets that scripts ask for: one stream as a .pcap (pcap.path), many merged into one (pcap.snapshot). Any
/// thread.
class PacketFiles {
 public:
  /// `folder` is where files are made; `flights`: stream n belongs to flights[n % size]. Files older than `keep` are
  /// removed now and then.
  PacketFiles(std::string folder, std::vector<const record::FlightRecorder*> flights, Duration keep);

  /// Writes the packets that the stream has so far; kNotFound when they are gone. `stream` is a name,
  /// "000000000042.pcap".
  Result<std::string> stream(const std::string& name);
  /// Merges by time. `streams` are names; empty: all files of `folder`, or of all streams when that is empty too.
  Result<> snapshot(const std::vector<std::string>& streams, const std::string& folder, const std::string& output);

 private:
  void remove_old();
  std::string folder_;
  std::vector<const record::FlightRecorder*> flights_;
  Duration keep_;
  Timestamp last_sweep_{};
};

}  // namespace baleen::worker
