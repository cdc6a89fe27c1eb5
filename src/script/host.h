#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/unique_fd.h"
#include "item/item.h"
#include "kfl/kfl.h"
#include "script/cron.h"
#include "script/data_folder.h"
#include "script/engine.h"
#include "script/source.h"

namespace baleen::script {

/// What a script printed, or what is to be said of it.
struct ConsoleLine {
  enum class Kind : uint8_t { kLog, kError, kClear };
  Kind kind = Kind::kLog;
  Timestamp time{};
  std::string script;  // title; empty for the host itself
  std::string text;
};

/// A file that a script sends to a bucket (reference rows ).
struct Upload {
  std::string bucket;
  std::string object;       // "<node>_<ip>_<run>/<file>"; to clear: "<node>_<ip>", the prefix of this node
  std::string path;         // absolute; empty to clear
  std::string credentials;  // gcs: key JSON; s3: {"region","accessKeyId","secretAccessKey"}; azure: {"account",...}
};

struct SnapshotRequest {
  std::vector<std::string> streams;  // names; empty: all that the folder holds
  std::string folder;                // absolute; empty: the worker's own pcap files
  std::string output;                // absolute; an empty file of that name is there already, nobody else's
};

struct HttpRequest {
  std::string method, url, body;
  std::string headers;  // a JSON object, or empty
};

/// What the worker does for scripts; called on the script thread. One that is absent makes the helper throw.
struct HostCallbacks {
  std::function<void(const ConsoleLine&)> console;
  std::function<Result<std::string>(const std::string& stream)> pcap_path;
  std::function<Result<std::string>(const SnapshotRequest&)> snapshot;
  std::function<std::string()> name_resolution_history;  // JSON
  std::function<Result<std::string>(const Upload&)> gcs_put, s3_put, azure_put;
  std::function<Result<>(const Upload&)> gcs_clear, s3_clear;
  std::function<Result<std::string>(const HttpRequest&)> http;
};

struct HostOptions {
  std::string scripts_folder;
  std::vector<std::string> script_files;
  std::vector<std::string> active;  // titles or file names; empty: all
  bool watch = true;
  std::string env_json = "{}";
  std::string data_folder;
  std::string node_name, node_ip, run_id;
  EngineLimits limits;
  uint32_t strikes = 3;  // so many calls beyond their time disable a script
  size_t feeds = 1;
  size_t ring_items = 16384;  // of each feed; a power of two
  kfl::Options kfl;
  UtcOffset utc_offset = local_offset;
  std::function<Timestamp()> clock = now;  // jobs' time
};

struct ScriptStatus {
  std::string name, title;
  bool running = false;
  std::string trouble;  // why it does not run
  uint64_t errors = 0;
};

class ScriptHost;

/// One producer's way to the scripts. The data path's side: never blocks, never allocates; what does not fit is dropped
/// and counted.
class ScriptFeed {
 public:
  ScriptFeed(ScriptHost& host, size_t capacity) : host_(host), items_(capacity), packets_(capacity) {}
  /// False when dropped; without a script that wants items, true and forgotten.
  bool offer(item::ItemRef item);
  void offer(const PacketFacts& packet);
  uint64_t dropped_items() const { return dropped_items_.load(std::memory_order_relaxed); }
  uint64_t dropped_packets() const { return dropped_packets_.load(std::memory_order_relaxed); }

 private:
  friend class ScriptHost;
  ScriptHost& host_;
  Ring<item::ItemRef> items_;
  Ring<PacketFacts> packets_;
  std::atomic<uint64_t> dropped_items_{0}, dropped_packets_{0};
};

/// Runs the scripts of a worker on a thread of its own.
///
/// A change of `env` restarts all scripts with a new global object; a changed file restarts that script only. Before a
/// script ends that took packets (pcap.path) since it last put something into a bucket, for whatever reason but its own
/// misbehaviour, its jobs run once more, with the environment it had: what it kept is uploaded, not forgotten.
class ScriptHost {
 public:
  ScriptHost(HostOptions options, HostCallbacks callbacks);
  ~ScriptHost();  // stops
  ScriptHost(const ScriptHost&) = delete;

  /// Starts the thread, loads the scripts; returns when their top levels have run.
  Result<> start();
  /// Handles what waits in the feeds, runs the jobs of scripts that hold packets, and ends the thread.
  void stop();

  ScriptFeed& feed(size_t i = 0) { return *feeds_[i]; }
  /// Whether packets are worth offering; changes while running.
  bool wants_packets() const { return wants_packets_.load(std::memory_order_relaxed); }
  bool wants_items() const { return wants_items_.load(std::memory_order_relaxed); }

  // Any thread.
  void set_env(std::string env_json);
  /// onItemQueried of every script that has it; the JSON of the object that one returned. Waits for the script thread.
  std::optional<std::string> item_queried(const item::ItemRef& item, const std::string& filter);
  void pod_event(std::string event, std::string pod_json);
  void hub_action(std::string action, std::string object_json);
  void log_call(std::string level, std::string message);
  std::vector<ScriptStatus> status();
  /// Returns when everything that was offered or posted before has been handled, with the jobs that are due.
  void settle();
  uint64_t items() const { return items_seen_.load(std::memory_order_relaxed); }

 private:
  friend class ScriptFeed;
  struct Script {
    ScriptSource source;
    ScriptId id = 0;  // zero: not running
    std::string trouble;
    uint64_t errors = 0;
    uint32_t strikes = 0;
    bool holds_packets = false;  // since its last put
    int64_t window_begin = 0;    // of the error lines' rate limit, Unix seconds
    uint32_t window_errors = 0;
  };
  struct Job {
    ScriptId script;
    std::string tag, cron_text;
    Cron cron;
    FunctionId function;
    int64_t limit, runs;
    std::optional<int64_t> next;
  };
  struct Timer {
    std::chrono::steady_clock::time_point due;
    std::chrono::milliseconds period;  // zero: once
    ScriptId script;
    FunctionId function;
  };

  // host.cpp
  void run(std::function<void(Result<>)> started);
  bool turn();
  bool drain_feeds();
  bool run_commands();
  void wait();
  void wake();
  void post(std::function<void()> command);
  void post_and_wait(std::function<void()> command);
  void load_all();
  void rescan();
  void load(Script& script);
  void end(Script& script, bool flush);
  void restart(const std::string& env_json);
  void refresh_wishes();
  void after_call(ScriptId id, const CallResult& result, std::string_view what);
  void disable(Script& script, const std::string& why);
  void say(ConsoleLine::Kind kind, std::string_view script, std::string text);
  Script* find(ScriptId id);
  bool is_active(const ScriptSource& source) const;
  void broadcast(Hook hook, const std::vector<Argument>& arguments);
  bool run_jobs();
  void run_job(const std::string& tag);
  bool run_timers();
  void dump_names(bool force);
  int64_t unix_now() const;

  // host_functions.cpp
  std::vector<HostFunction> functions();
  void add_console(std::vector<HostFunction>& out);
  void add_files(std::vector<HostFunction>& out);
  void add_pcap(std::vector<HostFunction>& out);
  void add_kfl(std::vector<HostFunction>& out);
  void add_jobs(std::vector<HostFunction>& out);
  void add_timers(std::vector<HostFunction>& out);
  void add_vendors(std::vector<HostFunction>& out);
  const kfl::Compiled& compiled(const std::string& text);
  Result<std::string> upload_path(std::string_view path);
  Result<Argument> put(ScriptId by, const std::function<Result<std::string>(const Upload&)>& callback,
                       std::string_view name, const std::string& bucket, const std::string& path,
                       std::string credentials, bool with_run);

  HostOptions options_;
  HostCallbacks callbacks_;
  std::vector<std::unique_ptr<ScriptFeed>> feeds_;
  std::atomic<bool> wants_packets_{false}, wants_items_{false}, sleeping_{false}, stop_{false};
  std::atomic<uint64_t> items_seen_{0};
  UniqueFd wake_;
  std::thread thread_;
  std::mutex mutex_;
  std::deque<std::function<void()>> commands_;

  // The script thread's.
  DataFolder data_;
  std::unique_ptr<ScriptFiles> files_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Script>> scripts_;
  ScriptId next_id_ = 1;
  std::string env_;
  std::map<std::string, Job> jobs_;
  std::vector<std::string> wanted_runs_;
  bool scheduler_running_ = true;
  std::map<uint32_t, Timer> timers_;
  uint32_t next_timer_ = 1;
  std::unordered_map<std::string, kfl::Compiled> filters_;
  int64_t names_dumped_ = 0;
  std::optional<std::chrono::steady_clock::time_point> rescan_at_;
};

}  // namespace baleen::script
