#pragma once

#include <atomic>

#include "base/unique_fd.h"

namespace baleen::capture {

/// Something to wait for beside packets: once raised it stays so. raise() is for any thread and for signal handlers.
class StopEvent {
 public:
  StopEvent();
  void raise();
  bool raised() const { return raised_.load(std::memory_order_relaxed); }
  /// Readable once it was raised.
  int fd() const { return fd_.get(); }

 private:
  std::atomic<bool> raised_{false};
  UniqueFd fd_;
};

}  // namespace baleen::capture
