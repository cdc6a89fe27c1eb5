#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "capture/packet_source.h"
#include "dissect/engine.h"
#include "record/recorder.h"
#include "script/host.h"
#include "worker/config.h"
#include "worker/key_log_file.h"
#include "worker/packet_files.h"

namespace baleen::worker {

struct WorkerOptions {
  Config config;
  std::string pcap;  // a file, a folder or "-": dissect that instead of the live interfaces
  kfl::Filter show;  // which items on_item gets
  std::function<void(const item::ItemRef&)> on_item;  // on a shard's thread, one at a time; may be empty
  std::function<void(const script::ConsoleLine&)> console;
};

struct WorkerStatus {
  dissect::EngineCounters engine;
  capture::Statistics capture;
  record::Recorder::Status recorder;
  bool recording = false;
  uint64_t script_dropped_items = 0;
  std::vector<script::ScriptStatus> scripts;
};

/// The node agent: sources, shards, recorder and scripts, wired. The only folder that knows all of them.
class Worker {
 public:
  static Result<std::unique_ptr<Worker>> start(WorkerOptions options);
  ~Worker();

  /// Whether the input is read to its end (files), or failed.
  bool finished() const { return running_.load() == 0; }
  /// A changed configuration: environment of scripts, recordings. What cannot change while running is told in the
  /// answer.
  std::vector<std::string> apply(const Config& config);
  /// Ends capture, then scripts, then recording, in that order, so that nothing is lost on the way. Uploads for
  /// `patience`.
  void stop(Duration patience);

  WorkerStatus status();
  const std::string& data_folder() const { return data_folder_; }
  /// Why the input ended, when that was an error.
  std::vector<std::string> problems();

 private:
  class Shard;
  explicit Worker(WorkerOptions options);
  Result<> prepare();
  Result<std::vector<std::unique_ptr<capture::PacketSource>>> open_sources();
  Result<> open_key_logs();
  Result<> start_scripts();
  Result<std::vector<record::Recording>> compile_recordings(const Config& config) const;
  Result<std::unique_ptr<store::ObjectStore>> open_store(const store::Location& location,
                                                         const std::string& key_json) const;
  Result<std::string> upload(const script::Upload& upload, const char* scheme) const;
  Result<> clear(const script::Upload& upload, const char* scheme) const;
  void deliver(const item::ItemRef& item);
  /// The recorder takes from one producer at a time; a single shard pays nothing for it.
  std::unique_lock<std::mutex> share_recorder() {
    return shards_.size() > 1 ? std::unique_lock(offer_mutex_) : std::unique_lock(offer_mutex_, std::defer_lock);
  }

  WorkerOptions options_;
  bool offline_ = false;
  std::string data_folder_, node_name_, node_ip_, run_id_, worker_name_;
  item::Origin origin_;
  record::CaptureNumbers numbers_;
  dissect::tls::KeyLog key_log_;
  std::vector<std::unique_ptr<KeyLogFollower>> followed_key_logs_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<record::Recorder> recorder_;
  dissect::Selection dissectors_;
  std::unique_ptr<PacketFiles> packet_files_;
  std::unique_ptr<script::ScriptHost> scripts_;
  std::mutex deliver_mutex_, offer_mutex_;
  std::atomic<int> running_{0};
  std::mutex problems_mutex_;
  std::vector<std::string> problems_;
  std::atomic<bool> stopped_{false};
};

}  // namespace baleen::worker
