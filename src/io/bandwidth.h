#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>

namespace baleen::io {

/// Shares so many bytes per second between any number of transfers. Any thread.
///
/// A bucket of tokens that holds at most a quarter of a second's worth: whoever takes more than is there goes into debt
/// and sleeps it off, so that the sum over all takers keeps to the rate however large their pieces are.
class Bandwidth {
 public:
  using Clock = std::chrono::steady_clock;
  using Sleep = std::function<void(std::chrono::nanoseconds)>;
  using Now = std::function<Clock::time_point()>;

  /// Zero bytes per second means no limit. `now` and `sleep` are for tests; empty means the machine's own.
  explicit Bandwidth(uint64_t bytes_per_second, Now now = {}, Sleep sleep = {});

  /// Returns when `bytes` may be sent.
  void take(uint64_t bytes);
  /// The largest piece that is sensible to take at once: a tenth of a second's worth, from 4 KiB up.
  uint64_t piece() const;
  void set_rate(uint64_t bytes_per_second);

 private:
  mutable std::mutex mutex_;
  uint64_t rate_;
  double tokens_ = 0;
  Clock::time_point last_;
  Now now_;
  Sleep sleep_;
};

}  // namespace baleen::io
