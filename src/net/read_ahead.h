#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace baleen::net {

/// Asks for the memory of packets that lie one behind the other, as in a file that is mapped, some way ahead of the one
/// that is being taken: a file is larger than any cache, and where a packet lies is known only when the one before it
/// is there. In small steps, because a processor waits where more is asked of memory at once than it keeps in mind. A
/// hint: it changes no result. One thread.
class ReadAhead {
 public:
  /// From the packet that is taken to what is asked for: beyond those that the source reads at once, and little enough
  /// for a second-level cache.
  static constexpr size_t kLead = 128 << 10, kLeast = 32 << 10;

  /// Nothing from `end` on is asked for.
  void set_end(const void* end) { end_ = reinterpret_cast<uintptr_t>(end); }

  /// Some more, unless it is far enough ahead of `packet`. For each packet once.
  void step(const void* packet) { go_on(packet, 1); }
  /// As much as while much work is done on a packet: memory has had the time.
  void step_far(const void* packet) { go_on(packet, 4); }

 private:
  void go_on(const void* packet, int blocks) {
    const auto now = reinterpret_cast<uintptr_t>(packet);
    next_ = std::max(next_, now + kLeast);
    const uintptr_t until = std::min(now + kLead, end_);
    for (int i = 0; i < blocks && next_ < until; ++i, next_ += kBlock) {
      const auto* const at = reinterpret_cast<const uint8_t*>(next_);
      __builtin_prefetch(at, 0, kLevel);
      __builtin_prefetch(at + 64, 0, kLevel);
      __builtin_prefetch(at + 128, 0, kLevel);
      __builtin_prefetch(at + 192, 0, kLevel);
    }
  }

  static constexpr size_t kBlock = 256;
  static constexpr int kLevel = 2;  // the second one: in the first it would not stay so long
  uintptr_t next_ = 0, end_ = 0;
};

}  // namespace baleen::net
