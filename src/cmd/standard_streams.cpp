#include "cmd/standard_streams.h"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cmd/commands.h"

namespace baleen::cmd {
namespace {

std::atomic<int> g_output_error{0};

/// Returns zero, or an errno.
int write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return 0;
}

// Streams whose writers always succeed: fmt::print throws, and terminates most programs, where stdio says otherwise.

ssize_t write_output(void*, const char* data, size_t size) {
  if (g_output_error.load(std::memory_order_relaxed) != 0) return static_cast<ssize_t>(size);
  if (const int error = write_all(STDOUT_FILENO, data, size); error != 0) note_output_failure(error);
  return static_cast<ssize_t>(size);
}

ssize_t write_error(void*, const char* data, size_t size) {
  (void)write_all(STDERR_FILENO, data, size);
  return static_cast<ssize_t>(size);
}

}  // namespace

void guard_standard_streams() {
  if (FILE* const out = ::fopencookie(nullptr, "w", {nullptr, write_output, nullptr, nullptr}); out != nullptr) {
    std::setvbuf(out, nullptr, ::isatty(STDOUT_FILENO) == 1 ? _IOLBF : _IOFBF, 1 << 16);
    stdout = out;
  }
  if (FILE* const error = ::fopencookie(nullptr, "w", {nullptr, write_error, nullptr, nullptr}); error != nullptr) {
    std::setvbuf(error, nullptr, _IONBF, 0);
    stderr = error;
  }
}

void note_output_failure(int error) {
  int none = 0;
  g_output_error.compare_exchange_strong(none, error);
}

int finish_output(int code) {
  std::fflush(stdout);
  const int error = g_output_error.load();
  if (error == 0 || error == EPIPE) return code;
  fmt::print(stderr, "baleen: standard output: {}; not all was written\n", std::strerror(error));
  return code == exit_code::kOk ? exit_code::kFailed : code;
}

}  // namespace baleen::cmd
