#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/pcap_file/decompressor.h"
#include "capture/stop_event.h"

namespace baleen::capture {

/// The bytes of a file, a pipe or standard input, decompressed when their first bytes say that they are compressed.
class InputFile {
 public:
  /// Opens `path`; "-" is standard input. With `follow` the end of a regular file is only a reason to wait.
  static Result<InputFile> open(const std::string& path, bool follow);

  /// All that a regular file holds now, when it is large, not compressed, and nobody follows it: to be looked at
  /// instead of read; read() goes on behind it. Nothing where that is not so, or the system does not want it. REQUIRES:
  /// nothing was read.
  FileMapping map();
  /// Fills the front of `out` with what is there without waiting. 0: nothing now; at_end() says whether for good.
  Result<size_t> read(std::span<uint8_t> out);
  bool at_end() const { return at_end_; }
  /// Waits until there may be more to read, `stop` is raised or `timeout` is over.
  void wait(Duration timeout, const StopEvent& stop);
  /// The end was inside a compressed member: the file was cut.
  bool cut() const { return at_end_ && decompressor_ && !decompressor_->complete(); }

 private:
  InputFile() = default;
  Result<size_t> read_raw(std::span<uint8_t> out);
  Result<size_t> decompress(std::span<uint8_t> out);
  Result<bool> look_at_the_start();

  UniqueFd fd_, inotify_;
  bool regular_ = false;  // otherwise a pipe, a socket or a terminal, which a read may block on
  bool follow_ = false;
  bool looked_ = false;  // at the first bytes
  bool raw_end_ = false;
  bool at_end_ = false;
  uint64_t position_ = 0;  // raw bytes read
  std::unique_ptr<Decompressor> decompressor_;
  std::vector<uint8_t> raw_;  // the start of the file, later the compressed bytes
  size_t raw_begin_ = 0, raw_size_ = 0;
};

}  // namespace baleen::capture
