#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace baleen::worker {

/// Puts a dump's records into the order of their times, those of equal times into that of their coming: processors
/// stamp packets before they hand them over, so one that waits a moment there comes after packets that are newer. A
/// record is held back until one has come that is newer by the window, or until too many bytes wait. One thread.
class ReorderWindow {
 public:
  ReorderWindow(Duration window, size_t most_bytes) : window_ns_(window.count()), most_bytes_(most_bytes) {}

  /// Takes a whole DumpRecord with its bytes.
  void push(std::string_view record);
  /// Appends to `out` those that have been held back for long enough.
  void release(std::string& out);
  /// Appends those that are at least a window older than `now_ns`, in nanoseconds since the epoch.
  void release_older(int64_t now_ns, std::string& out);
  /// Appends all.
  void drain(std::string& out);

  size_t bytes() const { return bytes_; }

 private:
  struct Held {
    int64_t time_ns;
    uint64_t number;
    std::string record;
    /// For a heap whose top is the oldest.
    bool operator<(const Held& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : number > other.number;
    }
  };
  void pop(std::string& out);

  int64_t window_ns_;
  size_t most_bytes_;
  std::vector<Held> held_;          // a heap
  std::vector<std::string> spare_;  // buffers to be used again
  size_t bytes_ = 0;
  uint64_t next_ = 0;
  int64_t newest_ns_ = INT64_MIN;
};

}  // namespace baleen::worker
