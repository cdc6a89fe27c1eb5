#include "capture/stop_event.h"

#include <sys/eventfd.h>

#include <cstdint>

#include "base/check.h"

namespace baleen::capture {

StopEvent::StopEvent() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { BALEEN_CHECK(fd_); }

void StopEvent::raise() {
  raised_.store(true, std::memory_order_relaxed);
  const uint64_t one = 1;
  (void)!::write(fd_.get(), &one, sizeof one);
}

}  // namespace baleen::capture
