#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace baleen {

/// Names the calling thread, for debuggers and /proc. At most 15 characters.
void name_this_thread(const char* name);

/// One thread that runs tasks one after the other, in the order in which they were given. Any thread gives tasks.
class TaskThread {
 public:
  /// `name` as name_this_thread() takes it; it outlives the call only.
  explicit TaskThread(const char* name);
  /// finish()es.
  ~TaskThread();

  void run(std::function<void()> task);
  /// Tasks given and not yet done, the one that runs included.
  size_t unfinished() const;
  /// Waits until all tasks are done, then ends the thread. Tasks given later are dropped.
  void finish();

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool busy_ = false, finishing_ = false;
  std::thread thread_;
};

}  // namespace baleen
