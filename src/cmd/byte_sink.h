#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace baleen::cmd {

/// Standard output or a file, behind a buffer. One thread.
class ByteSink {
 public:
  /// `to`: a path, or "-" or nothing for standard output. A file that is there keeps its content until something is
  /// written: what fails before has taken nothing.
  static Result<ByteSink> open(const std::string& to);
  void write(std::string_view bytes);
  /// Nothing more need be made: nobody reads it (a pager, head), or it cannot be written.
  bool closed() const { return closed_; }
  /// Writes what waits. An error unless only the reader has gone.
  Result<> flush();
  /// Ready to be written to by others.
  int fd();
  /// Whether anything has been written.
  bool begun() const { return begun_ || !buffer_.empty(); }
  /// Whether it is a file that this has made, and where.
  const std::string& path() const { return path_; }

 private:
  static constexpr size_t kFlushAt = 1 << 16;
  ByteSink() = default;
  UniqueFd fd_;  // none: standard output
  std::string path_, buffer_;
  bool closed_ = false, begun_ = false;
  Result<> outcome_;
};

}  // namespace baleen::cmd
