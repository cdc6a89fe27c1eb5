#include "base/task_thread.h"

#include <pthread.h>

#include <string>

namespace baleen {

void name_this_thread(const char* name) {
  ::pthread_setname_np(::pthread_self(), std::string(name).substr(0, 15).c_str());
}

TaskThread::TaskThread(const char* name)
    : thread_([this, name = std::string(name)] {
        name_this_thread(name.c_str());
        work();
      }) {}

TaskThread::~TaskThread() { finish(); }

void TaskThread::run(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (finishing_) return;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

size_t TaskThread::unfinished() const {
  const std::lock_guard lock(mutex_);
  return tasks_.size() + (busy_ ? 1 : 0);
}

void TaskThread::finish() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void TaskThread::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return finishing_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    busy_ = true;
    lock.unlock();
    task();
    lock.lock();
    busy_ = false;
  }
}

}  // namespace baleen
