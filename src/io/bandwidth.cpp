#include "io/bandwidth.h"

#include <algorithm>
#include <limits>
#include <thread>

namespace baleen::io {

Bandwidth::Bandwidth(uint64_t bytes_per_second, Now now, Sleep sleep)
    : rate_(bytes_per_second), now_(std::move(now)), sleep_(std::move(sleep)) {
  if (!now_) now_ = [] { return Clock::now(); };
  if (!sleep_) sleep_ = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); };
  last_ = now_();
}

void Bandwidth::take(uint64_t bytes) {
  std::chrono::nanoseconds wait{0};
  {
    const std::lock_guard lock(mutex_);
    if (rate_ == 0) return;
    const auto time = now_();
    const double rate = static_cast<double>(rate_);
    tokens_ = std::min(rate / 4, tokens_ + rate * std::chrono::duration<double>(time - last_).count());
    last_ = time;
    tokens_ -= static_cast<double>(bytes);
    if (tokens_ < 0) wait = std::chrono::nanoseconds(static_cast<int64_t>(-tokens_ / rate * 1e9));
  }
  if (wait.count() > 0) sleep_(wait);
}

uint64_t Bandwidth::piece() const {
  const std::lock_guard lock(mutex_);
  if (rate_ == 0) return std::numeric_limits<uint64_t>::max();
  return std::max<uint64_t>(rate_ / 10, 4096);
}

void Bandwidth::set_rate(uint64_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  rate_ = bytes_per_second;
  tokens_ = 0;
}

}  // namespace baleen::io
