#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dissect/tls/decrypt/key_log.h"

namespace baleen::worker {

/// Reads a key log file (SSLKEYLOGFILE) that is complete into `log`.
Result<> read_key_log(const std::string& path, dissect::tls::KeyLog& log);

/// Follows a key log file that programs append to while we run, on a thread of its own: what is appended is in the log
/// within a twentieth of a second. A file that is not there yet is waited for; one that is replaced, or cut, is read
/// from its beginning.
class KeyLogFollower {
 public:
  /// `log` outlives it.
  KeyLogFollower(std::string path, dissect::tls::KeyLog& log);
  ~KeyLogFollower();
  KeyLogFollower(const KeyLogFollower&) = delete;
  KeyLogFollower& operator=(const KeyLogFollower&) = delete;

 private:
  void run();
  void read_on();
  void reopen_if_replaced();

  std::string path_;
  dissect::tls::KeyLog& log_;
  UniqueFd fd_;
  uint64_t position_ = 0;
  std::string rest_;  // of a line that is not whole yet
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace baleen::worker
