#include "base/temporary_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

namespace baleen {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "baleen-tmp-";
constexpr std::array kEnding = {SIGINT, SIGTERM, SIGHUP};
constexpr int kTries = 8;

sigset_t all_signals() {
  sigset_t set;
  sigfillset(&set);
  return set;
}

/// No signal comes to this thread: whoever has the lock is never the thread that a signal has stopped.
class WithoutSignals {
 public:
  WithoutSignals() {
    const sigset_t all = all_signals();
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~WithoutSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

int signal_pipe[2] = {-1, -1};

extern "C" void tell_remover(int signal) {
  const auto number = static_cast<unsigned char>(signal);
  if (::write(signal_pipe[1], &number, 1) != 1) return;
  for (;;) ::pause();  // the remover ends the process
}

/// The folders of this process, and a thread that removes them when a signal ends it.
class Remover {
 public:
  static Remover& instance() {
    static Remover& remover = *new Remover;  // its thread outlives what static destructors end
    return remover;
  }
  void add(const std::string& folder) {
    const WithoutSignals guard;
    const std::lock_guard lock(mutex_);
    if (started_by_ != ::getpid()) start();
    folders_.insert(folder);
  }
  void forget(const std::string& folder) {
    const WithoutSignals guard;
    const std::lock_guard lock(mutex_);
    folders_.erase(folder);
  }

 private:
  /// Once in a process; a forked one has neither the thread nor the folders of its parent.
  void start() {
    started_by_ = ::getpid();
    folders_.clear();
    if (::pipe2(signal_pipe, O_CLOEXEC) != 0) return;
    std::thread([this] { wait_and_remove(); }).detach();  // with all signals blocked, as here
    for (const int signal : kEnding) {
      struct sigaction now;
      if (::sigaction(signal, nullptr, &now) != 0 || (now.sa_handler != SIG_DFL && now.sa_handler != tell_remover))
        continue;
      struct sigaction ours{};
      ours.sa_handler = tell_remover;
      ours.sa_flags = SA_RESTART;
      ::sigaction(signal, &ours, nullptr);
    }
  }
  void wait_and_remove() {
    unsigned char number;
    while (::read(signal_pipe[0], &number, 1) != 1)
      if (errno != EINTR) return;
    {
      const std::lock_guard lock(mutex_);
      std::error_code ignored;
      for (const std::string& folder : folders_) fs::remove_all(folder, ignored);
    }
    ::signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    ::raise(number);
  }

  std::mutex mutex_;
  std::set<std::string> folders_;
  pid_t started_by_ = -1;
};

/// The folder, when nobody uses it; it is then this process's. Nothing when it is `busy`, gone, another user's, or on a
/// file system without locks.
UniqueFd locked(const std::string& path, bool& busy) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat opened, named;
  busy = false;
  if (!fd || ::fstat(fd.get(), &opened) != 0 || opened.st_uid != ::geteuid()) return {};
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    busy = errno == EWOULDBLOCK;
    return {};
  }
  return ::lstat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino ? std::move(fd) : UniqueFd();
}

/// Removes what processes have left behind that died.
void sweep(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    if (!i->path().filename().string().starts_with(kPrefix)) continue;
    std::error_code ignored;
    bool busy;
    if (const UniqueFd lock = locked(i->path().string(), busy); lock) fs::remove_all(i->path(), ignored);
  }
}

}  // namespace

TemporaryFolder::~TemporaryFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  Remover::instance().forget(path_);
}

Result<std::string> TemporaryFolder::path() {
  if (!path_.empty()) return path_;
  std::error_code failed;
  const fs::path parent = fs::temp_directory_path(failed);
  if (failed) return Error{Code::kIo, "no temporary folder (TMPDIR): " + failed.message()};
  sweep(parent);
  for (int i = 0; i < kTries; ++i) {
    std::string pattern = (parent / (std::string(kPrefix) + "XXXXXX")).string();
    if (::mkdtemp(pattern.data()) == nullptr) return errno_error(pattern, errno);
    bool busy;
    lock_ = locked(pattern, busy);
    // Another process's sweep may have come between the two.
    if (busy || ::access(pattern.c_str(), F_OK) != 0) continue;
    path_ = std::move(pattern);
    Remover::instance().add(path_);
    return path_;
  }
  return Error{Code::kIo, parent.string() + ": temporary folders vanish as soon as they are made"};
}

}  // namespace baleen
