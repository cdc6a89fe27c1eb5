#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "record/flight_recorder.h"

namespace baleen::worker {

/// Files of packets that scripts ask for: one stream as a .pcap (pcap.path), many merged into one (pcap.snapshot). Any
/// thread.
///
/// A stream that was asked for is followed from then on: its file grows with it. A script copies a stream once, at its
/// first match; when the copy is merged later, the file that has grown takes its place, so that what came after the
/// match is kept too.
class PacketFiles {
 public:
  /// `folder` is where files are made; `flights`: stream n belongs to flights[n % size]. A file is removed `keep` after
  /// it last grew, and the oldest when all are larger than `limit_bytes`.
  PacketFiles(std::string folder, std::vector<const record::FlightRecorder*> flights, Duration keep,
              uint64_t limit_bytes);
  ~PacketFiles();

  /// Writes the packets that the stream has so far; kNotFound when they are gone. `stream` is a name,
  /// "000000000042.pcap".
  Result<std::string> stream(const std::string& name);
  /// Merges by time. `streams` are names; empty: all files of `folder`, or of all streams when that is empty too.
  Result<> snapshot(const std::vector<std::string>& streams, const std::string& folder, const std::string& output);
  /// Packets of followed streams that were overwritten before they could be kept.
  uint64_t lost_packets() const { return lost_; }

 private:
  struct Followed {
    record::Cursor cursor;
    uint64_t bytes = 0;
    std::chrono::steady_clock::time_point grown;
  };
  Result<> grow(const std::string& name, Followed& stream);
  void remove_old();
  void follow();
  std::string longest(const std::string& path) const;

  std::string folder_;
  std::vector<const record::FlightRecorder*> flights_;
  Duration keep_;
  uint64_t limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Followed> followed_;
  std::atomic<uint64_t> lost_{0};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace baleen::worker
