#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "base/unique_fd.h"
#include "record/recordings.h"

namespace baleen::worker {

/// Answers the commands of docs/reference/recordings.md: a line of JSON in, a line of JSON out. Any thread.
class Control {
 public:
  /// Each may be empty: no worker runs.
  struct Hooks {
    /// Makes the JSON object that `show` adds for a recording's name: its uploads and the loss ledger.
    std::function<std::string(const std::string&)> uploads_of;
    /// Before something ends: until packets that came so far are taken. False: it was waited for in vain.
    std::function<bool()> catch_up;
    /// After a change: until it is in force for the packets to come. False: it was waited for in vain.
    std::function<bool()> in_force;
  };
  Control(record::Recordings& recordings, Hooks hooks) : recordings_(recordings), hooks_(std::move(hooks)) {}
  /// A change is in force when it is answered: what comes before `stop` is recorded, what comes after it is not.
  std::string answer(std::string_view request);

 private:
  std::string change(bool ends, const std::function<nlohmann::json()>& make) const;
  record::Recordings& recordings_;
  Hooks hooks_;
};

/// "uploads" and "ledger" of a running recorder, as JSON.
std::string uploads_json(const record::Recorder::Status& status, const std::string& recording);

/// A Unix-domain socket that only its owner may connect to, with a thread that answers lines.
class ControlSocket {
 public:
  static constexpr size_t kLongestLine = 256 << 10;
  static constexpr size_t kMostClients = 16;
  /// Listens at `folder`/control.sock; what a process left there that has ended is replaced. `folder` is made, for its
  /// owner only. `answer` is called on the socket's thread.
  /// `take` is asked first, when there is one: it may take the connection over, and says so.
  static Result<std::unique_ptr<ControlSocket>> open(const std::string& folder,
                                                     std::function<std::string(std::string_view)> answer,
                                                     std::function<bool(std::string_view, UniqueFd&)> take = {});
  ~ControlSocket();

 private:
  ControlSocket() = default;
  void run();
  std::string path_;
  std::function<std::string(std::string_view)> answer_;
  std::function<bool(std::string_view, UniqueFd&)> take_;
  UniqueFd listener_, wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// Sends one line to the worker whose socket lies in `folder`, and waits for its answer; kNotFound when none listens
/// there.
Result<std::string> ask_worker(const std::string& folder, std::string_view request);
/// The same in two steps. What came behind the answer's line is left in `rest`.
Result<UniqueFd> connect_worker(const std::string& folder);
Result<std::string> ask_connection(int connection, const std::string& folder, std::string_view request,
                                   std::string* rest);

}  // namespace baleen::worker
