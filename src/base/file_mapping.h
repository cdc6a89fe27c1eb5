#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace baleen {

/// The first bytes of a file as memory: the pages in which the system keeps them, and no copies. Only for reading.
///
/// Others may cut a file while it is mapped, and a disk may fail. A look at such a page is a SIGBUS, which ends a
/// program; here the page becomes zeros, and is_broken() says so: who has looked asks before he believes what he saw.
/// The process has one handler for this, installed by the first mapping; a SIGBUS of anything else does what it would
/// do without. One thread has a mapping; any may look at its bytes.
class FileMapping {
 public:
  /// `fd` may be closed afterwards. REQUIRES: the file has `size` bytes now, and that is not zero. kUnavailable, kIo:
  /// it cannot be mapped (not every file system can), and is to be read().
  static Result<FileMapping> open(int fd, size_t size);

  FileMapping() = default;
  FileMapping(FileMapping&& other) noexcept { swap(other); }
  FileMapping& operator=(FileMapping&& other) noexcept {
    swap(other);
    return *this;
  }
  ~FileMapping();

  explicit operator bool() const { return memory_ != nullptr; }
  Bytes bytes() const { return {memory_, size_}; }

  /// Brings [begin, begin + size) in, faster than looks at each page of it would. kIo: not all of it is there any more.
  Result<> fetch(size_t begin, size_t size);
  /// Bytes before `end` are not looked at any more: their pages need not count as the process's.
  void forget(size_t end);
  /// Somebody has looked at bytes that were gone.
  bool is_broken() const;

 private:
  void swap(FileMapping& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    std::swap(forgotten_, other.forgotten_);
    std::swap(guard_, other.guard_);
  }

  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
  size_t forgotten_ = 0;  // bytes at the front, in whole pages
  struct MappingGuard* guard_ = nullptr;
};

}  // namespace baleen
