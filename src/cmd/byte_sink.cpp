#include "cmd/byte_sink.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace baleen::cmd {

Result<ByteSink> ByteSink::open(const std::string& to) {
  ByteSink sink;
  if (to.empty() || to == "-") return sink;
  sink.path_ = to;
  sink.fd_.reset(::open(to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  if (!sink.fd_) return errno_error("--to " + to, errno);
  return sink;
}

void ByteSink::write(std::string_view bytes) {
  if (closed_) return;
  buffer_ += bytes;
  if (buffer_.size() >= kFlushAt) static_cast<void>(flush());
}

int ByteSink::fd() {
  if (!std::exchange(begun_, true) && fd_ && ::ftruncate(fd_.get(), 0) != 0 && errno != EINVAL) {  // a pipe has no end
    closed_ = true;
    outcome_ = errno_error(path_, errno);
  }
  return fd_ ? fd_.get() : STDOUT_FILENO;
}

Result<> ByteSink::flush() {
  std::string_view rest = buffer_;
  (void)fd();
  while (!rest.empty() && !closed_) {
    const ssize_t n = ::write(fd(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      closed_ = true;
      if (errno != EPIPE) outcome_ = errno_error(path_.empty() ? "standard output" : path_, errno);
    } else {
      rest.remove_prefix(static_cast<size_t>(n));
    }
  }
  buffer_.clear();
  return outcome_;
}

}  // namespace baleen::cmd
