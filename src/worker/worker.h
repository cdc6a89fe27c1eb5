#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "capture/packet_source.h"
#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "io/page_server.h"
#include "record/recorder.h"
#include "record/recordings.h"
#include "script/host.h"
#include "worker/config.h"
#include "worker/control.h"
#include "worker/descriptor_files.h"
#include "worker/key_log_file.h"
#include "worker/packet_dump.h"
#include "worker/packet_files.h"
#include "worker/recording_config.h"

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
  struct Flight {
    uint64_t packets = 0, overwritten = 0, refused = 0, bytes = 0;
  } flight;
  bool recording = false;  // something is, or was, to be recorded
  std::vector<record::RecordingStatus> recordings;
  dissect::grpc::DescriptorsCounters descriptors;
  uint64_t script_dropped_items = 0;
  std::vector<script::ScriptStatus> scripts;
  record::SpoolWaiting waiting_of(const std::string& recording) const {
    const auto found = recorder.waiting.find(recording);
    return found == recorder.waiting.end() ? record::SpoolWaiting{} : found->second;
  }
};

/// The environment of scripts, as JSON.
std::string env_json(const ScriptingConfig& scripting);

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
  /// Looks at the files that may change meanwhile (protobuf descriptors). What is new or wrong, to be told to the user.
  std::optional<std::string> refresh();
  /// Ends capture, then scripts, then recording, in that order, so that nothing is lost on the way. Uploads for
  /// `patience`.
  void stop(Duration patience);

  WorkerStatus status();
  const std::string& data_folder() const { return data_folder_; }
  /// Where metrics are served; 0: nowhere.
  int metrics_port() const { return metrics_ ? metrics_->port() : 0; }
  /// Why the input ended, when that was an error.
  std::vector<std::string> problems();
  /// Of captures: what could not be read of them. Once it has stopped.
  std::vector<std::string> left_out() const;

 private:
  class Shard;
  explicit Worker(WorkerOptions options);
  Result<> prepare();
  Result<> open_recordings(bool scripts_wanted);
  void choose_dissectors();
  uint64_t first_stream(size_t shards) const;
  /// The flight recorders of the shards, when packets are kept.
  Result<std::vector<const record::FlightRecorder*>> make_shards(
      std::vector<std::unique_ptr<capture::PacketSource>> sources, bool keep_packets);
  Result<std::vector<std::unique_ptr<capture::PacketSource>>> open_sources();
  Result<> open_key_logs();
  Result<> start_scripts();
  Result<> start_recorder(const std::vector<const record::FlightRecorder*>& flights);
  Result<> open_control(const std::vector<const record::FlightRecorder*>& flights);
  dissect::EngineOptions engine_options();
  record::FlightRecorderOptions flight_options(size_t shards) const;
  std::vector<record::InterfaceName> interfaces();
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
  dissect::grpc::Descriptors descriptors_;
  DescriptorFiles descriptor_files_{descriptors_};
  std::vector<std::unique_ptr<KeyLogFollower>> followed_key_logs_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<record::Recorder> recorder_;
  std::unique_ptr<record::Recordings> recordings_;  // goes before the recorder
  std::unique_ptr<Control> control_;
  std::unique_ptr<DumpServer> dumps_;
  std::unique_ptr<ControlSocket> control_socket_;
  std::unique_ptr<io::PageServer> metrics_;  // asks all of the above
  dissect::Selection dissectors_;
  std::unique_ptr<PacketFiles> packet_files_;
  std::unique_ptr<script::ScriptHost> scripts_;
  std::mutex deliver_mutex_, offer_mutex_;
  std::atomic<int> running_{0};
  const capture::PcapFileSource* files_ = nullptr;  // a shard's; null: live
  std::mutex problems_mutex_;
  std::vector<std::string> problems_;
  std::atomic<bool> stopped_{false};
};

}  // namespace baleen::worker
