#include "capture/pcap_file/input_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace baleen::capture {

namespace {

constexpr size_t kRawBuffer = 256 << 10;
constexpr size_t kMapFrom = 1 << 20;  // smaller files are read sooner than mapped
constexpr int kRecheckMs = 250;       // a followed file on a network file system tells nobody that it grew

}  // namespace

Result<InputFile> InputFile::open(const std::string& path, bool follow) {
  InputFile file;
  const bool standard_input = path == "-";
  // a copy, so that closing this file leaves the process its standard input
  file.fd_.reset(standard_input ? ::fcntl(0, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.fd_) return errno_error("open " + path, errno);
  struct stat status{};
  if (::fstat(file.fd_.get(), &status) != 0) return errno_error("stat " + path, errno);
  if (S_ISDIR(status.st_mode)) return errno_error("open " + path, EISDIR);
  file.regular_ = S_ISREG(status.st_mode);
  file.follow_ = follow;
  if (file.regular_) ::posix_fadvise(file.fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  if (follow && file.regular_ && !standard_input) {
    // Only to be quick: without it wait() looks again every kRecheckMs.
    file.inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (file.inotify_ && ::inotify_add_watch(file.inotify_.get(), path.c_str(), IN_MODIFY | IN_CLOSE_WRITE) < 0)
      file.inotify_.reset();
  }
  return file;
}

FileMapping InputFile::map() {
  struct stat status{};
  uint8_t first[4];
  if (!regular_ || follow_ || ::fstat(fd_.get(), &status) != 0 || static_cast<size_t>(status.st_size) < kMapFrom ||
      ::lseek(fd_.get(), 0, SEEK_CUR) != 0 || ::pread(fd_.get(), first, sizeof first, 0) != sizeof first ||
      decompressor_for(first) != nullptr)
    return {};
  auto mapping = FileMapping::open(fd_.get(), static_cast<size_t>(status.st_size));
  if (!mapping || ::lseek(fd_.get(), status.st_size, SEEK_SET) != status.st_size) return {};
  position_ = static_cast<uint64_t>(status.st_size);
  looked_ = true;
  return *std::move(mapping);
}

Result<size_t> InputFile::read(std::span<uint8_t> out) {
  if (at_end_) return size_t{0};
  if (!looked_) {
    BALEEN_TRY(const bool ready, look_at_the_start());
    if (!ready) return size_t{0};
  }
  if (decompressor_) return decompress(out);
  if (raw_size_ == 0) {
    BALEEN_TRY(const size_t got, read_raw(out));
    at_end_ = got == 0 && raw_end_;
    return got;
  }
  const size_t length = std::min(out.size(), raw_size_);
  std::memcpy(out.data(), raw_.data() + raw_begin_, length);
  raw_begin_ += length;
  raw_size_ -= length;
  return length;
}

/// Reads until it is clear what the file is. False: not yet.
Result<bool> InputFile::look_at_the_start() {
  raw_.resize(kRawBuffer);
  while (raw_size_ < 4 && !raw_end_) {
    BALEEN_TRY(const size_t got, read_raw(std::span(raw_).subspan(raw_size_)));
    if (got == 0 && !raw_end_) return false;
    raw_size_ += got;
  }
  looked_ = true;
  if (raw_size_ >= 4) decompressor_ = decompressor_for(Bytes(raw_).first(raw_size_));
  return true;
}

Result<size_t> InputFile::decompress(std::span<uint8_t> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    if (raw_size_ == 0 && !raw_end_) {
      BALEEN_TRY(raw_size_, read_raw(raw_));
      raw_begin_ = 0;
    }
    BALEEN_TRY(const Decompressor::Step step,
               decompressor_->decode(Bytes(raw_).subspan(raw_begin_, raw_size_), out.subspan(filled)));
    raw_begin_ += step.consumed;
    raw_size_ -= step.consumed;
    filled += step.produced;
    if (step.consumed == 0 && step.produced == 0) {
      at_end_ = raw_end_ && filled == 0;
      break;
    }
  }
  return filled;
}

/// One read that does not block. 0 with raw_end_: there will never be more.
Result<size_t> InputFile::read_raw(std::span<uint8_t> out) {
  if (!regular_) {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 0) == 0) return size_t{0};
  }
  ssize_t got;
  do {
    got = ::read(fd_.get(), out.data(), out.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN) return size_t{0};
    return errno_error("read", errno);
  }
  position_ += static_cast<uint64_t>(got);
  if (got == 0) {
    raw_end_ = !(regular_ && follow_);
    if (!raw_end_) {
      struct stat status{};
      if (::fstat(fd_.get(), &status) == 0 && static_cast<uint64_t>(status.st_size) < position_)
        return Error{Code::kInvalid, "the file was cut to a shorter length while it was followed"};
    }
  }
  return static_cast<size_t>(got);
}

void InputFile::wait(Duration timeout, const StopEvent& stop) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  int limit = static_cast<int>(std::clamp<int64_t>(milliseconds, 0, 1 << 30));
  pollfd fds[2] = {{stop.fd(), POLLIN, 0}, {-1, POLLIN, 0}};
  if (!regular_) {
    fds[1].fd = fd_.get();
  } else {
    fds[1].fd = inotify_.get();
    limit = std::min(limit, inotify_ ? kRecheckMs : kRecheckMs / 5);
  }
  if (::poll(fds, 2, limit) > 0 && regular_ && (fds[1].revents & POLLIN)) {
    alignas(inotify_event) char events[4096];
    while (::read(inotify_.get(), events, sizeof events) > 0) {
    }
  }
}

}  // namespace baleen::capture
