#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/poison.h"

namespace baleen {

/// Free lists of blocks, so that the steady state never calls malloc. One thread owns it.
///
/// A block taken from a pool may be given back to another pool of the same block size.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 4096;

  /// Keeps at most `keep` free blocks; what is beyond goes back to the system.
  explicit BlockPool(size_t keep = 16384) : keep_(keep) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  void* take();
  void give(void* block);
  size_t free_blocks() const { return count_; }

  /// Blocks beyond kBlockBytes, by powers of two up to kLargest; what is larger comes from the system each time.
  /// `bytes`: how many are wanted; afterwards, how many there are. At most kKeepLarge bytes of them are kept.
  void* take_large(size_t& bytes);
  /// `bytes` as take_large() left it.
  void give_large(void* block, size_t bytes);
  static constexpr size_t kLargest = 2 << 20, kKeepLarge = 32 << 20;

 private:
  struct Free {
    Free* next;
  };
  static constexpr size_t kClasses = 9;  // 8 KiB to 2 MiB
  Free* large_[kClasses] = {};
  size_t large_bytes_ = 0;
  Free* head_ = nullptr;
  size_t count_ = 0;
  size_t keep_;
};

/// Owns every byte it hands out, until clear() or its end. A chain of blocks; larger wishes get blocks of
/// their own. Not for threads at the same time.
class Arena {
 public:
  /// `pool` may be null: then blocks come from the system. A pool outlives its arenas.
  explicit Arena(BlockPool* pool = nullptr) : pool_(pool) {}
  ~Arena() { release(); }
  Arena(Arena&& other) noexcept { swap(other); }
  Arena& operator=(Arena&& other) noexcept {
    release();
    swap(other);
    return *this;
  }

  /// Uninitialised bytes at `align` (a power of two, at most 16).
  void* allocate(size_t size, size_t align = 8) {
    const size_t at = (used_ + align - 1) & ~(align - 1);
    if (__builtin_expect(at + size <= room_, 1)) {
      used_ = at + size;
      unpoison(block_ + at, size);
      return block_ + at;
    }
    return allocate_slow(size);
  }

  /// At least `size` bytes: all that there are where the wish gets a block of its own.
  std::span<char> allocate_at_least(size_t size) {
    char* const at = static_cast<char*>(allocate(size, 1));
    return {at, size > kMostOfBlock ? large_->bytes - kHeader : size};
  }

  template <class T>
  std::span<T> array(size_t n) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 16);
    T* p = static_cast<T*>(allocate(n * sizeof(T), alignof(T)));
    for (size_t i = 0; i < n; ++i) new (p + i) T();
    return {p, n};
  }

  template <class T, class... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 16);
    return new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  /// A copy that lives as long as the arena.
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* p = static_cast<char*>(allocate(text.size(), 1));
    std::memcpy(p, text.data(), text.size());
    return {p, text.size()};
  }
  Bytes copy(Bytes bytes) { return as_bytes(copy(as_text(bytes))); }

  /// Forgets everything, but keeps the first block for the next user. Pointers handed out are invalid.
  void clear();
  /// Bytes taken from the pool or the system.
  size_t footprint() const { return footprint_; }

 private:
  struct Header {
    Header* previous;
    size_t bytes;  // of the whole block, header included
  };
  static constexpr size_t kHeader = (sizeof(Header) + 15) & ~size_t{15};
  static constexpr size_t kMostOfBlock = BlockPool::kBlockBytes - kHeader;
  void* allocate_slow(size_t size);
  void release();
  void free_block(Header* h);
  void swap(Arena& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(block_, other.block_);
    std::swap(used_, other.used_);
    std::swap(room_, other.room_);
    std::swap(footprint_, other.footprint_);
    std::swap(large_, other.large_);
  }

  BlockPool* pool_ = nullptr;
  char* block_ = nullptr;  // the block in use; starts with its Header
  size_t used_ = 0;
  size_t room_ = 0;
  size_t footprint_ = 0;
  Header* large_ = nullptr;  // wishes beyond a block
};

}  // namespace baleen
