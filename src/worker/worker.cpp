#include "worker/worker.h"

#include <fmt/core.h>

#include <algorithm>

#include "dissect/registry.h"
#include "worker/machine.h"
#include "worker/metrics.h"
#include "worker/shard.h"

namespace baleen::worker {

Result<std::unique_ptr<Worker>> Worker::start(WorkerOptions options) {
  std::unique_ptr<Worker> worker(new Worker(std::move(options)));
  BALEEN_TRY_DO(worker->prepare());
  return worker;
}

Worker::Worker(WorkerOptions options) : options_(std::move(options)) {}

Worker::~Worker() { stop(Duration{0}); }

Result<> Worker::prepare() {
  const Config& config = options_.config;
  offline_ = !options_.pcap.empty();
  BALEEN_TRY(data_folder_, choose_data_folder(config.data_dir));
  node_name_ = config.node_name.empty() ? host_name() : config.node_name;
  node_ip_ = config.node_ip.empty() ? own_address() : config.node_ip;
  run_id_ = random_id();
  worker_name_ = node_ip_ + ":48999";
  origin_ = {worker_name_, node_name_, node_ip_};

  const bool scripts_wanted =
      config.scripting.enabled && (!config.scripting.source.empty() || !config.scripting.sources.empty());
  if (!config.recording_disabled) BALEEN_TRY_DO(open_recordings(scripts_wanted));
  const bool keep_packets = scripts_wanted || (config.keep_all && !offline_) ||
                            (recordings_ && (config.recordings_by_command || recordings_->any_to_come()));
  BALEEN_TRY_DO(open_key_logs());
  BALEEN_TRY_DO(descriptor_files_.use(config.proto_descriptors));
  BALEEN_TRY(auto sources, open_sources());

  choose_dissectors();
  BALEEN_TRY(const auto flights, make_shards(std::move(sources), keep_packets));
  if (keep_packets) {
    packet_files_ = std::make_unique<PacketFiles>(data_folder_ + "/worker/pcaps", flights,
                                                  config.pcap_ttl + std::chrono::minutes(15), config.storage_limit / 4);
    BALEEN_TRY_DO(start_recorder(flights));
  }
  if (scripts_wanted) BALEEN_TRY_DO(start_scripts());
  if (!config.metrics_address.empty()) {
    BALEEN_TRY(metrics_, io::PageServer::listen(config.metrics_address,
                                                {{"/metrics", "text/plain; version=0.0.4; charset=utf-8",
                                                  [this] { return metrics_text(this->status()); }},
                                                 {"/healthz", "text/plain", [] { return std::string("ok\n"); }}}));
  }
  running_ = static_cast<int>(shards_.size());
  for (size_t i = 0; i < shards_.size(); ++i) shards_[i]->start(scripts_ ? &scripts_->feed(i) : nullptr);
  return {};
}

Result<> Worker::open_recordings(bool scripts_wanted) {
  const Config& config = options_.config;
  auto recordings = recordings_options(config, data_folder_, {});
  if (offline_) recordings.file.clear();
  recordings.untimed = offline_;
  auto opened = record::Recordings::open(std::move(recordings));
  // Somebody else records into this folder; whoever only looks may do so beside.
  const bool looks_only =
      !scripts_wanted && config.recordings.empty() && !config.recordings_by_command && !config.keep_all;
  if (!opened) return opened.error().code == Code::kConflict && looks_only ? Result<>() : std::move(opened).error();
  recordings_ = *std::move(opened);
  return recordings_->configure(definitions_of(config));
}

/// Those that are wanted, and those that a pattern cannot do without.
void Worker::choose_dissectors() {
  const Config& config = options_.config;
  dissectors_ = dissect::select_dissectors(config.enabled_dissectors);
  if (config.enabled_dissectors.empty()) {
    dissect::add_what_is_asked(options_.show.text(), dissectors_);
    if (recordings_)
      for (const record::RecordingStatus& r : recordings_->list())
        dissect::add_what_is_asked(r.definition.pattern, dissectors_);
    for (const auto& [name, value] : config.scripting.env) dissect::add_what_is_asked(value, dissectors_);
  }
}

/// The number of a live run's first stream: behind those of earlier runs of this node, so that no stream's or item's
/// name comes again, as long as there are fewer than kStreamsPerSecond from one start to the next. Twelve digits until
/// 2039. Captures are numbered from zero: the same one makes the same items.
uint64_t Worker::first_stream(size_t shards) const {
  constexpr uint64_t kStreamsPerSecond = 2000, kEpoch = 1'704'067'200;  // 2024
  if (offline_) return 0;
  const auto seconds = static_cast<uint64_t>(std::max<int64_t>(to_ms(now()) / 1000, kEpoch)) - kEpoch;
  return seconds * kStreamsPerSecond / shards * shards;
}

Result<std::vector<const record::FlightRecorder*>> Worker::make_shards(
    std::vector<std::unique_ptr<capture::PacketSource>> sources, bool keep_packets) {
  std::vector<const record::FlightRecorder*> flights;
  const uint64_t first = first_stream(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    dissect::EngineOptions engine = engine_options();
    engine.tell_packets = keep_packets;
    engine.first_stream = first + i;
    engine.stream_step = sources.size();
    std::unique_ptr<record::FlightRecorder> flight;
    if (keep_packets) {
      BALEEN_TRY(flight, record::FlightRecorder::open(flight_options(sources.size())));
      flights.push_back(flight.get());
    }
    shards_.push_back(std::make_unique<Shard>(*this, i, std::move(sources[i]), std::move(flight), engine));
  }
  return flights;
}

/// Of shards, and of what is dissected once more.
dissect::EngineOptions Worker::engine_options() {
  const Config& config = options_.config;
  dissect::EngineOptions engine;
  engine.protocols = dissectors_.protocols;
  engine.l4 = dissectors_.l4;
  engine.origin = &origin_;
  engine.source = offline_ ? item::CaptureSource::kUnspecified : item::CaptureSource::kAfPacket;
  engine.sample_percent = config.dissect ? config.sample_percent : 0;  // streams are told apart, and no more
  engine.tcp_idle = config.tcp_flow_timeout;
  engine.udp_idle = config.udp_flow_timeout;
  engine.settings.body_cap = config.body_cap;
  engine.settings.descriptors = &descriptors_;
  if (offline_ || !config.tls_key_logs.empty()) engine.settings.key_log = &key_log_;
  return engine;
}

/// Of each shard.
record::FlightRecorderOptions Worker::flight_options(size_t shards) const {
  const Config& config = options_.config;
  record::FlightRecorderOptions flight;
  flight.folder = data_folder_;
  flight.limit_bytes = (config.flight_limit != 0 ? config.flight_limit : config.storage_limit / 4) / shards;
  // What readers hold and what is being filled is a small part of the limit.
  flight.segment_bytes = std::clamp<uint64_t>(flight.limit_bytes / 16, 1 << 20, flight.segment_bytes);
  flight.ttl = std::max<Duration>(config.pcap_ttl, std::chrono::seconds(10));
  if (recordings_)
    for (const record::RecordingStatus& r : recordings_->list())
      flight.ttl = std::max(flight.ttl, r.definition.look_back);
  if (config.keep_all)
    flight.ttl = config.keep_for == Duration{0} ? Duration::max() : std::max(flight.ttl, config.keep_for);
  if (offline_) flight.ttl = Duration::max();
  return flight;
}

std::vector<record::InterfaceName> Worker::interfaces() {
  std::vector<record::InterfaceName> all;
  for (auto& shard : shards_)
    if (auto names = shard->interfaces(); names.size() > all.size()) all = std::move(names);
  return all;
}

void Worker::deliver(const item::ItemRef& item) {
  if (!options_.on_item || !options_.show.matches(*item)) return;
  const std::lock_guard lock(deliver_mutex_);
  options_.on_item(item);
}

std::vector<std::string> Worker::apply(const Config& config) {
  std::vector<std::string> notes;
  Config& now_in_force = options_.config;
  if (config.redact != now_in_force.redact && recordings_) {
    if (const auto taken = recordings_->set_redaction(redaction_of(config)); taken) {
      now_in_force.redact = config.redact;
      notes.push_back("other rules of redaction in force");
    } else {
      notes.push_back(taken.error().message + "; the rules of redaction stay as they were");
    }
  }
  if (!(config.recordings == now_in_force.recordings) && recordings_) {
    if (!recorder_) {
      notes.push_back("a first recording in the configuration needs a restart: packets were not kept until now");
    } else if (const auto taken = recordings_->configure(definitions_of(config)); !taken) {
      notes.push_back(taken.error().message + "; the recordings stay as they were");
    } else {
      notes.push_back(config.recordings.empty() ? "recording stopped; what was kept is uploaded"
                                                : fmt::format("{} recordings in force", config.recordings.size()));
    }
  }
  if (scripts_ && config.scripting.env != now_in_force.scripting.env) {
    scripts_->set_env(env_json(config.scripting));
    notes.push_back("scripts restarted with the new environment");
  }
  if (config.proto_descriptors != now_in_force.proto_descriptors) {
    now_in_force.proto_descriptors = config.proto_descriptors;
    const auto read = descriptor_files_.use(config.proto_descriptors);
    notes.push_back(read ? "other protobuf descriptors in force"
                         : read.error().message + "; the protobuf descriptors stay as they were");
  }
  const bool other = config.interfaces != now_in_force.interfaces ||
                     config.capture_filter != now_in_force.capture_filter || config.data_dir != now_in_force.data_dir ||
                     config.scripting.source != now_in_force.scripting.source ||
                     config.tls_key_logs != now_in_force.tls_key_logs || config.dissect != now_in_force.dissect ||
                     config.keep_all != now_in_force.keep_all || config.keep_for != now_in_force.keep_for ||
                     config.flight_limit != now_in_force.flight_limit;
  if (other)
    notes.push_back(
        "changes of interfaces, capture filter, data folder, TLS key logs, script folder and tap.capture need a "
        "restart");
  now_in_force.recordings = config.recordings;
  now_in_force.scripting.env = config.scripting.env;
  return notes;
}

std::optional<std::string> Worker::refresh() {
  const auto read = descriptor_files_.refresh();
  if (!read) return read.error().message + "; the protobuf descriptors stay as they were";
  return *read ? std::optional<std::string>("protobuf descriptors read again") : std::nullopt;
}

void Worker::stop(Duration patience) {
  if (stopped_.exchange(true)) return;
  for (auto& shard : shards_) shard->stop();
  for (auto& shard : shards_) shard->join();
  control_socket_.reset();
  dumps_.reset();
  metrics_.reset();
  if (scripts_) scripts_->stop();
  if (recordings_) recordings_->stop_clock();
  if (recorder_) recorder_->stop(patience);
  if (recordings_) recordings_->save_now();
}

WorkerStatus Worker::status() {
  WorkerStatus status;
  for (auto& shard : shards_) shard->add_to(status);
  status.descriptors = descriptors_.counters();
  if (recorder_) {
    status.recorder = recorder_->status();
    if (recordings_) status.recordings = recordings_->list();
    status.recording = !status.recordings.empty();
  }
  if (scripts_) {
    if (!stopped_) status.scripts = scripts_->status();
    for (size_t i = 0; i < shards_.size(); ++i) status.script_dropped_items += scripts_->feed(i).dropped_items();
  }
  return status;
}

std::vector<std::string> Worker::left_out() const {
  std::vector<std::string> out;
  if (files_ == nullptr) return out;
  for (const Error& problem : files_->problems()) out.push_back(problem.message);
  return out;
}

std::vector<std::string> Worker::problems() {
  const std::lock_guard lock(problems_mutex_);
  return std::exchange(problems_, {});
}

}  // namespace baleen::worker
