#include "worker/key_log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "base/log.h"

namespace baleen::worker {
namespace {

constexpr auto kTurn = std::chrono::milliseconds(50);
constexpr size_t kLongestLine = 4096;

}  // namespace

Result<> read_key_log(const std::string& path, dissect::tls::KeyLog& log) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("TLS key log " + path, errno);
  std::string rest;
  std::array<char, 64 << 10> buffer;
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("TLS key log " + path, errno);
    if (n == 0) break;
    rest.append(buffer.data(), static_cast<size_t>(n));
    const size_t end = rest.rfind('\n');
    if (end != std::string::npos) {
      log.add(std::string_view(rest).substr(0, end + 1));
      rest.erase(0, end + 1);
    }
    if (rest.size() > kLongestLine) return Error{Code::kInvalid, path + " is no TLS key log: its lines are too long"};
  }
  log.add(rest);
  const dissect::tls::KeyLogCounters counters = log.counters();
  if (counters.secrets == 0)
    log::warning("{} has no TLS secrets ({} lines that are none)", path, counters.malformed + counters.other);
  return {};
}

KeyLogFollower::KeyLogFollower(std::string path, dissect::tls::KeyLog& log) : path_(std::move(path)), log_(log) {
  log_.set_grows(true);
  reopen_if_replaced();
  if (!fd_) log::warning("TLS key log {}: not there yet; it is waited for", path_);
  read_on();
  thread_ = std::thread([this] { run(); });
}

KeyLogFollower::~KeyLogFollower() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void KeyLogFollower::run() {
  ::pthread_setname_np(::pthread_self(), "bl-keylog");
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kTurn, [this] { return stopping_; })) {
    reopen_if_replaced();
    read_on();
  }
}

void KeyLogFollower::reopen_if_replaced() {
  struct stat there, ours;
  if (::stat(path_.c_str(), &there) != 0) return;
  if (fd_ && ::fstat(fd_.get(), &ours) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
    if (static_cast<uint64_t>(ours.st_size) < position_) {
      position_ = 0;
      rest_.clear();
    }
    return;
  }
  read_on();  // what was still said to the old one
  fd_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  position_ = 0;
  rest_.clear();
}

void KeyLogFollower::read_on() {
  if (!fd_) return;
  std::array<char, 64 << 10> buffer;
  for (;;) {
    const ssize_t n = ::pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(position_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    position_ += static_cast<uint64_t>(n);
    rest_.append(buffer.data(), static_cast<size_t>(n));
    const size_t end = rest_.rfind('\n');
    if (end != std::string::npos) {
      log_.add(std::string_view(rest_).substr(0, end + 1));
      rest_.erase(0, end + 1);
    }
    if (rest_.size() > kLongestLine) rest_.clear();
  }
}

}  // namespace baleen::worker
