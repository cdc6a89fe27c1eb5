#include "base/file_mapping.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/check.h"

namespace baleen {

/// What the handler has to know of a mapping. Never freed: a handler may look at it at any time.
struct MappingGuard {
  std::atomic<bool> taken{false};
  // `end` is written last and taken back first: where it is zero, there is no mapping.
  std::atomic<uintptr_t> begin{0}, end{0};
  std::atomic<bool> broken{false};
};

namespace {

constexpr size_t kMostMappings = 1024;

const size_t page_bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));  // 4 KiB, but 64 KiB on some of arm64
MappingGuard guards[kMostMappings];
struct sigaction handled_before;

/// Puts a page of zeros where one of a file is gone. Async-signal-safe: mmap() is a system call and nothing else.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (MappingGuard& guard : guards) {
    if (address < guard.begin.load(std::memory_order_acquire) || address >= guard.end.load(std::memory_order_acquire))
      continue;
    guard.broken.store(true, std::memory_order_release);
    void* const page = reinterpret_cast<void*>(address / page_bytes * page_bytes);
    if (::mmap(page, page_bytes, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
    errno = saved_errno;
    return;
  }
  errno = saved_errno;
  if ((handled_before.sa_flags & SA_SIGINFO) != 0) return handled_before.sa_sigaction(signal, info, context);
  if (handled_before.sa_handler != SIG_DFL && handled_before.sa_handler != SIG_IGN)
    return handled_before.sa_handler(signal);
  ::sigaction(SIGBUS, &handled_before, nullptr);  // it comes again at once, and ends the process
}

bool install_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  return ::sigaction(SIGBUS, &action, &handled_before) == 0;
}

MappingGuard* take_guard() {
  static const bool installed = install_handler();
  if (!installed) return nullptr;
  for (MappingGuard& guard : guards)
    if (!guard.taken.exchange(true)) return &guard;
  return nullptr;
}

}  // namespace

Result<FileMapping> FileMapping::open(int fd, size_t size) {
  MappingGuard* const guard = take_guard();
  if (guard == nullptr) return Error{Code::kUnavailable, "too many files are mapped"};
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    guard->taken = false;
    return errno_error("map a file", errno);
  }
  ::madvise(memory, size, MADV_SEQUENTIAL);  // a wish
  FileMapping mapping;
  mapping.memory_ = static_cast<uint8_t*>(memory);
  mapping.size_ = size;
  mapping.guard_ = guard;
  guard->broken = false;
  guard->begin = reinterpret_cast<uintptr_t>(memory);
  guard->end = reinterpret_cast<uintptr_t>(memory) + size;
  return mapping;
}

FileMapping::~FileMapping() {
  if (memory_ == nullptr) return;
  guard_->end = 0;
  guard_->begin = 0;
  ::munmap(memory_, size_);
  guard_->taken = false;
}

Result<> FileMapping::fetch(size_t begin, size_t size) {
  BALEEN_CHECK(begin <= size_ && size <= size_ - begin);
  const size_t page = begin / page_bytes * page_bytes;
  // Systems before Linux 5.14 do not know it; then each page comes with the first look at it.
  if (::madvise(memory_ + page, begin + size - page, MADV_POPULATE_READ) != 0 && errno == EFAULT)
    return Error{Code::kIo, "the file was cut to a shorter length while it was read, or its disk fails"};
  return {};
}

void FileMapping::forget(size_t end) {
  end = end / page_bytes * page_bytes;
  if (end <= forgotten_) return;
  ::madvise(memory_ + forgotten_, end - forgotten_, MADV_DONTNEED);
  forgotten_ = end;
}

bool FileMapping::is_broken() const { return guard_->broken.load(std::memory_order_acquire); }

}  // namespace baleen
