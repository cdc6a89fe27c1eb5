#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::dissect {

/// What an item keeps of a body: it comes in pieces and lies in one place of the item's arena. How much will come is
/// only a claim: room is made for a few times what has come while that is little, then for about twice as much.
class KeptText {
 public:
  std::string_view view() const { return {at_, size_}; }
  const char* data() const { return at_; }
  size_t size() const { return size_; }
  /// Forgets what stands from `size` on.
  void cut(uint64_t size) { size_ = static_cast<uint32_t>(std::min<uint64_t>(size_, size)); }

  /// Makes it `n` bytes longer, and says where they are to be put. `due`: how many bytes are announced from here on,
  /// these included; `most`: how long it can become in all. REQUIRES: it stays below 4 GiB.
  char* extend(size_t n, uint64_t due, uint64_t most, Arena& arena) {
    if (n > room_ - size_) widen(n, due, most, arena);
    char* const end = at_ + size_;
    size_ += static_cast<uint32_t>(n);
    return end;
  }
  void add(Bytes piece, uint64_t due, uint64_t most, Arena& arena) {
    char* const to = extend(piece.size(), due, most, arena);
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
  }

 private:
  static constexpr uint64_t kFirstRoom = 2048, kLittle = 8192;

  void widen(size_t n, uint64_t due, uint64_t most, Arena& arena) {
    const uint64_t needed = size_ + n;
    const uint64_t likely = room_ == 0         ? std::min(due, kFirstRoom)
                            : needed < kLittle ? 4 * needed
                                               : needed + needed / 4;  // an arena has blocks of powers of two
    const std::span<char> wider = arena.allocate_at_least(std::max(needed, std::min(likely, most)));
    if (size_ != 0) std::memcpy(wider.data(), at_, size_);
    at_ = wider.data();
    room_ = static_cast<uint32_t>(std::min<size_t>(wider.size(), UINT32_MAX));
  }

  char* at_ = nullptr;
  uint32_t size_ = 0, room_ = 0;
};

}  // namespace baleen::dissect
