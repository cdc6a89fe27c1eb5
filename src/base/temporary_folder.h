#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace baleen {

/// A folder under the system's temporary one, made when it is first asked for and removed with its owner. A signal that
/// ends the process (SIGINT, SIGTERM, SIGHUP, where nobody else takes it) removes it first; what kill -9 or a crash
/// leaves is removed by the next process of the same user that makes one. One thread for each object.
class TemporaryFolder {
 public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  /// Its path; nobody but the user may look into it.
  Result<std::string> path();
  /// Whether it has been made.
  bool made() const { return !path_.empty(); }

 private:
  std::string path_;
  UniqueFd lock_;  // of the folder itself: as long as it is held, the folder is in use
};

}  // namespace baleen
