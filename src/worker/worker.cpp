#include "worker/worker.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/log.h"
#include "capture/af_packet/af_packet.h"
#include "capture/pcap_file/pcap_file.h"
#include "codec/pcap/format.h"
#include "dissect/registry.h"
#include "io/bandwidth.h"
#include "io/http_client.h"
#include "store/retrying_store.h"
#include "worker/metrics.h"
#include "worker/stores.h"

namespace baleen::worker {
namespace {

namespace fs = std::filesystem;

constexpr auto kHandedOverWithin = std::chrono::milliseconds(30);  // capture::AfPacketOptions::retire, and some more
constexpr auto kChangeWait = std::chrono::seconds(2);
constexpr auto kWait = std::chrono::milliseconds(100);
constexpr size_t kFlowsLookedBack = 100'000;  // at a time, of packets that are dissected once more
constexpr uint64_t kSettleEvery = 64 << 20;   // bytes of a file between two looks at whether the recorder keeps up

std::string host_name() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// The first address that other machines could use.
std::string own_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return "127.0.0.1";
  std::string found = "127.0.0.1";
  for (const ifaddrs* a = all; a != nullptr; a = a->ifa_next) {
    if (a->ifa_addr == nullptr || a->ifa_addr->sa_family != AF_INET || (a->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(a->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
    break;
  }
  ::freeifaddrs(all);
  return found;
}

std::string random_id() {
  std::random_device random;
  return fmt::format("{:08x}", random());
}

Result<std::string> choose_data_folder(const std::string& configured) {
  const std::string folder = data_folder_of(configured);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    return Error{Code::kIo,
                 fmt::format("data folder {}: {}; choose another with --set dataDir=FOLDER", folder, failed.message())};
  return folder;
}

/// All of them are 64-bit counts, whatever is added to them.
void add_counts(dissect::EngineCounters& sum, const dissect::EngineCounters& counts) {
  static_assert(std::is_trivially_copyable_v<dissect::EngineCounters>);
  using Numbers = std::array<uint64_t, sizeof(dissect::EngineCounters) / sizeof(uint64_t)>;
  static_assert(sizeof(Numbers) == sizeof(dissect::EngineCounters));
  auto a = std::bit_cast<Numbers>(sum);
  const auto b = std::bit_cast<Numbers>(counts);
  for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  sum = std::bit_cast<dissect::EngineCounters>(a);
}

/// What blocks that wait for their bucket may take. What lies there already is counted as free.
uint64_t spool_limit(const Config& config, const std::string& folder) {
  if (config.spool_limit != 0) return config.spool_limit;
  std::error_code failed;
  fs::create_directories(folder, failed);
  uint64_t free = fs::space(folder, failed).available;
  if (failed) free = config.storage_limit;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code gone;
    if (const uint64_t size = it->is_regular_file(gone) ? it->file_size(gone) : 0; !gone) free += size;
  }
  return std::max(std::min(config.storage_limit, free) / 2, record::SpoolOptions::kSmallestLimit);
}

std::string env_json(const ScriptingConfig& scripting) {
  auto env = nlohmann::json::object();
  for (const auto& [name, value] : scripting.env) env[name] = nlohmann::json::parse(value, nullptr, false);
  return env.dump();
}

}  // namespace

std::string data_folder_of(const std::string& configured) {
  std::string folder = configured;
  if (folder.empty()) {
    const char* home = std::getenv("HOME");
    folder = ::geteuid() == 0 || home == nullptr ? "/var/lib/baleen" : std::string(home) + "/.local/share/baleen";
  }
  std::error_code failed;
  return fs::absolute(folder, failed).lexically_normal().string();
}

Result<kfl::Filter> compile_pattern(const std::string& pattern, const Config& config) {
  kfl::Options options;
  options.protocols = dissect::cards();
  options.macros = config.macros;
  auto compiled = kfl::compile(pattern, options);
  if (!compiled.filter)
    return Error{Code::kInvalid,
                 fmt::format("the pattern does not compile:\n{}", kfl::render(pattern, compiled.diagnostics))};
  return *std::move(compiled.filter);
}

std::vector<record::Definition> definitions_of(const Config& config) {
  std::vector<record::Definition> out;
  for (const RecordingConfig& r : config.recordings) {
    record::Definition d;
    d.name = r.name;
    d.description = r.description;
    d.pattern = r.pattern;
    d.destination = r.to;
    d.schedule = {r.start, r.duration, static_cast<uint32_t>(r.iterations), r.timezone};
    d.expiration = r.expiration;
    d.limit_bytes = r.limit_bytes;
    d.limit_items = r.limit_items;
    d.redact = r.redact;
    d.look_back = r.look_back;
    d.scope = r.scope;
    d.undissected = r.undissected;
    d.origin = r.from_command_line ? record::Definition::Origin::kCommand : record::Definition::Origin::kConfig;
    out.push_back(std::move(d));
  }
  return out;
}

/// The rules of a recording, and those of all.
static record::Recordings::CompileRedaction redaction_of(const Config& config) {
  return [config](const record::RedactionRules& own) -> Result<std::shared_ptr<const record::Redaction>> {
    const record::RedactionRules all = config.redact + own;
    if (all.empty()) return std::shared_ptr<const record::Redaction>();
    kfl::Options options;
    options.protocols = dissect::cards();
    options.macros = config.macros;
    return record::Redaction::compile(all, options);
  };
}

record::Recordings::Options recordings_options(const Config& config, const std::string& data_folder,
                                               std::function<void(std::vector<record::Recording>)> apply) {
  record::Recordings::Options options;
  options.file = data_folder + "/recordings.json";
  options.compile = [config](const std::string& pattern) { return compile_pattern(pattern, config); };
  options.redaction = redaction_of(config);
  options.apply = std::move(apply);
  return options;
}

/// One capture thread with all that belongs to its packets.
class Worker::Shard final : public dissect::EngineObserver {
 public:
  Shard(Worker& worker, size_t index, std::unique_ptr<capture::PacketSource> source,
        std::unique_ptr<record::FlightRecorder> flight, dissect::EngineOptions options)
      : worker_(worker),
        index_(index),
        source_(std::move(source)),
        flight_(std::move(flight)),
        engine_(options, *this) {}

  const record::FlightRecorder* flight() const { return flight_.get(); }
  void start(script::ScriptFeed* feed) {
    feed_ = feed;
    thread_ = std::thread([this] { run(); });
  }
  void stop() { source_->stop(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  void on_item(item::ItemRef item) override {
    if (worker_.recorder_) {
      const auto lock = worker_.share_recorder();
      worker_.recorder_->offer(item);
    }
    if (feed_ != nullptr) feed_->offer(item);
    worker_.deliver(item);
  }
  void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override {
    if (flight_) flight_->append({stream.number, stream.kind}, packet);
  }
  void on_fragment(dissect::StreamRef stream, const net::Packet& packet) override {
    if (flight_) flight_->append({stream.number, stream.kind}, packet);
  }
  void on_loose_packet(const net::Packet& packet) override {
    if (flight_) flight_->append({record::kNoStream, item::StreamKind::kTcp}, packet);
  }
  void on_undissected(dissect::StreamRef stream) override {
    if (!worker_.recorder_) return;
    const auto lock = worker_.share_recorder();
    worker_.recorder_->stream_undissected({stream.number, stream.kind});
  }
  void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override {
    if (!worker_.recorder_) return;
    const auto lock = worker_.share_recorder();
    worker_.recorder_->stream_ended(stream.number);
  }

  std::vector<record::InterfaceName> interfaces() {
    const std::lock_guard lock(numbers_mutex_);
    return interfaces_;
  }

  void add_to(WorkerStatus& status) {
    const std::lock_guard lock(numbers_mutex_);
    add_counts(status.engine, engine_numbers_);
    if (flight_) {
      status.flight.packets += flight_->packets();
      status.flight.overwritten += flight_->overwritten_packets();
      status.flight.refused += flight_->refused_packets();
      status.flight.bytes += flight_->bytes_on_disk();
    }
    status.capture.ring_full += source_numbers_.ring_full;
    status.capture.packets += source_numbers_.packets;
    status.capture.bytes += source_numbers_.bytes;
    status.capture.dropped_by_kernel += source_numbers_.dropped_by_kernel;
    status.capture.dropped_by_writer += source_numbers_.dropped_by_writer;
  }

 private:
  void run() {
    auto next_numbers = std::chrono::steady_clock::now();
    while (true) {
      if (worker_.recorder_) worker_.recorder_->at_batch(index_);
      {
        auto batch = source_->next_batch(kWait);
        if (!batch) {
          if (batch.error().retryable()) continue;
          const std::lock_guard lock(worker_.problems_mutex_);
          worker_.problems_.push_back(batch.error().message);
          break;
        }
        if (batch->state() == capture::PacketBatch::State::kEnd) break;
        take(*batch);
        if (worker_.recorder_ && !worker_.offline_) worker_.recorder_->caught_up(index_, caught_up_to(*batch));
      }
      if (!worker_.offline_) engine_.advance(now());
      if (std::chrono::steady_clock::now() < next_numbers) continue;
      publish_numbers();
      next_numbers = std::chrono::steady_clock::now() + kWait;
    }
    engine_.finish();
    publish_numbers();
    worker_.running_.fetch_sub(1);
  }

  /// Packets are handed over some time after they came.
  static Timestamp caught_up_to(const capture::PacketBatch& batch) {
    return batch.size() == 0 ? now() - kHandedOverWithin : batch.packets().back().time;
  }

  void take(const capture::PacketBatch& batch) {
    const bool tell_scripts = feed_ != nullptr && worker_.scripts_->wants_packets();
    for (const net::Packet& packet : batch) {
      if (tell_scripts) feed_->offer(facts_of(packet));
      since_settled_ += packet.bytes.size();
    }
    engine_.on_batch(batch.packets());
    worker_.numbers_.packets.fetch_add(batch.size(), std::memory_order_relaxed);
    // A file can wait for the recorder; live packets cannot.
    if (worker_.offline_ && worker_.recorder_ && since_settled_ > kSettleEvery) {
      worker_.recorder_->settle();
      since_settled_ = 0;
    }
  }

  static script::PacketFacts facts_of(const net::Packet& packet) {
    script::PacketFacts facts;
    facts.time = packet.time;
    facts.capture_length = static_cast<uint32_t>(packet.bytes.size());
    facts.length = packet.wire_length;
    facts.truncated = packet.wire_length > packet.bytes.size();
    return facts;
  }

  void publish_numbers() {
    const capture::Statistics source = source_->statistics();
    const auto& interfaces = source_->interfaces();
    std::vector<record::InterfaceName> names;
    if (worker_.recorder_ && interfaces.size() != interfaces_.size()) {
      for (const capture::Interface& i : interfaces) names.push_back({i.name, i.link});
      worker_.recorder_->set_interfaces(names);
    }
    const std::lock_guard lock(numbers_mutex_);
    if (!names.empty()) interfaces_ = std::move(names);
    worker_.numbers_.dropped_by_kernel.fetch_add(source.dropped_by_kernel - source_numbers_.dropped_by_kernel,
                                                 std::memory_order_relaxed);
    source_numbers_ = source;
    engine_numbers_ = engine_.counters();
  }

  Worker& worker_;
  size_t index_;
  std::unique_ptr<capture::PacketSource> source_;
  std::unique_ptr<record::FlightRecorder> flight_;
  script::ScriptFeed* feed_ = nullptr;
  dissect::Engine engine_;
  uint64_t since_settled_ = 0;
  std::mutex numbers_mutex_;
  std::vector<record::InterfaceName> interfaces_;
  capture::Statistics source_numbers_;
  dissect::EngineCounters engine_numbers_;
  std::thread thread_;
};

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
  auto recordings = recordings_options(config, data_folder_, {});
  if (offline_) recordings.file.clear();
  recordings.untimed = offline_;
  if (!config.recording_disabled) {
    auto opened = record::Recordings::open(std::move(recordings));
    // Somebody else records into this folder; whoever only looks may do so beside.
    const bool looks_only =
        !scripts_wanted && config.recordings.empty() && !config.recordings_by_command && !config.keep_all;
    if (!opened && !(opened.error().code == Code::kConflict && looks_only)) return std::move(opened).error();
    if (opened) {
      recordings_ = *std::move(opened);
      BALEEN_TRY_DO(recordings_->configure(definitions_of(config)));
    }
  }
  const bool keep_packets = scripts_wanted || (config.keep_all && !offline_) ||
                            (recordings_ && (config.recordings_by_command || recordings_->any_to_come()));
  BALEEN_TRY_DO(open_key_logs());
  BALEEN_TRY_DO(descriptor_files_.use(config.proto_descriptors));
  BALEEN_TRY(auto sources, open_sources());

  dissectors_ = dissect::select_dissectors(config.enabled_dissectors);
  if (config.enabled_dissectors.empty()) {
    dissect::add_what_is_asked(options_.show.text(), dissectors_);
    if (recordings_)
      for (const record::RecordingStatus& r : recordings_->list())
        dissect::add_what_is_asked(r.definition.pattern, dissectors_);
    for (const auto& [name, value] : config.scripting.env) dissect::add_what_is_asked(value, dissectors_);
  }
  std::vector<const record::FlightRecorder*> flights;
  for (size_t i = 0; i < sources.size(); ++i) {
    dissect::EngineOptions engine = engine_options();
    engine.tell_packets = keep_packets;
    engine.first_stream = i;
    engine.stream_step = sources.size();
    std::unique_ptr<record::FlightRecorder> flight;
    if (keep_packets) {
      BALEEN_TRY(flight, record::FlightRecorder::open(flight_options(sources.size())));
      flights.push_back(flight.get());
    }
    shards_.push_back(std::make_unique<Shard>(*this, i, std::move(sources[i]), std::move(flight), engine));
  }
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

/// Files are read when all their secrets are there; what is captured live waits for those that are still to come.
Result<> Worker::open_key_logs() {
  for (const std::string& path : options_.config.tls_key_logs) {
    if (offline_) {
      BALEEN_TRY_DO(read_key_log(path, key_log_));
    } else {
      followed_key_logs_.push_back(std::make_unique<KeyLogFollower>(path, key_log_));
    }
  }
  return {};
}

Result<std::vector<std::unique_ptr<capture::PacketSource>>> Worker::open_sources() {
  std::vector<std::unique_ptr<capture::PacketSource>> sources;
  if (offline_) {
    capture::FileEvents events;
    events.on_secrets = [this](uint32_t type, Bytes secrets) {
      if (type == codec::pcap::kTlsKeyLog) key_log_.add(as_text(secrets));
    };
    BALEEN_TRY(auto file, capture::PcapFileSource::open({.path = options_.pcap, .follow = false, .events = events}));
    sources.push_back(std::move(file));
    return sources;
  }
  capture::AfPacketOptions live;
  live.interfaces = options_.config.interfaces;
  live.filter = options_.config.capture_filter;
  live.ring_bytes = options_.config.ring_bytes;
  return capture::open_af_packet(live, static_cast<size_t>(options_.config.shards));
}

Result<std::unique_ptr<store::ObjectStore>> Worker::open_store(const store::Location& location,
                                                               const std::string& key_json) const {
  Config config = options_.config;
  if (!key_json.empty()) config.stores.gcs.key_file.clear();  // the script brings its own
  BALEEN_TRY(store::OpenOptions options, open_options(config, location));
  if (!key_json.empty()) options.gcs_service_account_json = key_json;
  BALEEN_TRY(auto store, store::open(location, options));
  return std::unique_ptr<store::ObjectStore>(std::make_unique<store::RetryingStore>(std::move(store)));
}

/// The keys of the configuration and the environment, when there are any.
static Result<> add_keys(const Config& config, record::Encryption& encryption) {
  auto keys = std::make_shared<index::KeyRing>();
  for (const std::string& file : config.encryption_key_files) BALEEN_TRY_DO(keys->add_file(file));
  if (const char* key = std::getenv("BALEEN_ENCRYPTION_KEY"); key != nullptr && *key != '\0')
    BALEEN_TRY_DO(keys->add_text(key, "BALEEN_ENCRYPTION_KEY"));
  if (!keys->empty()) encryption = {std::move(keys), config.encrypt_items};
  return {};
}

/// Files of packets have no schedule, no state and nobody to command them.
Result<> Worker::start_recorder(const std::vector<const record::FlightRecorder*>& flights) {
  const Config& config = options_.config;
  record::RecorderOptions recorder;
  recorder.spool_folder = data_folder_ + "/spool";
  recorder.node = node_name_;
  recorder.run = run_id_;
  recorder.spool.limit_bytes = spool_limit(config, recorder.spool_folder);
  recorder.spool.when_full =
      config.spool_refuses_newest ? record::WhenFull::kRefuseNewest : record::WhenFull::kDropOldest;
  recorder.spool.parallel = config.upload_parallel;
  recorder.spool.part_bytes = config.upload_part;
  recorder.spool.spread = config.upload_spread;
  if (config.upload_bandwidth != 0) recorder.spool.bandwidth = std::make_shared<io::Bandwidth>(config.upload_bandwidth);
  if (config.keep_tls_secrets)
    recorder.secrets_of = [this](Bytes client_random) { return key_log_.lines(client_random); };
  recorder.open_store = [this](const store::Location& location) { return open_store(location, {}); };
  recorder.engine = engine_options();
  recorder.engine.flow_limit = kFlowsLookedBack;
  recorder.engine.early_limit /= 4;
  recorder.engine.pending_limit /= 4;
  BALEEN_TRY_DO(add_keys(config, recorder.encryption));
  BALEEN_TRY(recorder_, record::Recorder::open(std::move(recorder), flights, &numbers_));
  if (recordings_) {
    recordings_->set_apply([this](std::vector<record::Recording> r) { recorder_->set_recordings(std::move(r)); });
    recordings_->start();
  }
  return offline_ ? Result<>() : open_control(flights);
}

Result<> Worker::open_control(const std::vector<const record::FlightRecorder*>& flights) {
  if (recordings_)
    control_ = std::make_unique<Control>(
        *recordings_,
        Control::Hooks{[this](const std::string& name) { return uploads_json(recorder_->status(), name); },
                       [this] { return finished() || recorder_->wait_until_caught_up(kChangeWait); },
                       [this] { return finished() || recorder_->wait_until_in_force(kChangeWait); }});
  dumps_ =
      std::make_unique<DumpServer>(DumpServer::Source{flights, [this] { return interfaces(); }, now(), node_name_});
  const auto answer = [this](std::string_view line) {
    return control_ ? control_->answer(line)
                    : std::string(R"({"ok":false,"error":{"code":"invalid","message":"nothing is recorded here: )"
                                  R"(recordingDisabled is set"}})");
  };
  BALEEN_TRY(control_socket_,
             ControlSocket::open(data_folder_ + "/run", answer, [this](std::string_view line, UniqueFd& connection) {
               return dumps_->take(line, connection);
             }));
  return {};
}

Result<std::string> Worker::upload(const script::Upload& upload, const char* scheme) const {
  BALEEN_TRY(const auto store, open_store({scheme, upload.bucket, ""}, upload.credentials));
  BALEEN_TRY_DO(store->put_file(upload.object, upload.path, {}));
  return fmt::format("https://storage.googleapis.com/{}/{}", upload.bucket, upload.object);
}

Result<> Worker::clear(const script::Upload& upload, const char* scheme) const {
  BALEEN_TRY(const auto store, open_store({scheme, upload.bucket, ""}, upload.credentials));
  store::ListOptions list;
  list.prefix = upload.object;
  do {
    BALEEN_TRY(const store::ListPage page, store->list(list));
    for (const store::ObjectFacts& object : page.objects)
      if (const auto removed = store->remove(object.key); !removed && removed.error().code != Code::kNotFound)
        return removed.error();
    list.page_token = page.next_page_token;
  } while (!list.page_token.empty());
  return {};
}

Result<> Worker::start_scripts() {
  const ScriptingConfig& scripting = options_.config.scripting;
  script::HostOptions host;
  host.scripts_folder = scripting.source;
  host.script_files = scripting.sources;
  host.active = scripting.active;
  host.watch = scripting.watch;
  host.env_json = env_json(scripting);
  host.data_folder = data_folder_ + "/worker";
  host.node_name = node_name_;
  host.node_ip = node_ip_;
  host.run_id = run_id_;
  host.feeds = shards_.size();
  host.kfl.protocols = dissect::cards();
  host.kfl.macros = options_.config.macros;

  script::HostCallbacks callbacks;
  callbacks.console = options_.console;
  callbacks.pcap_path = [this](const std::string& stream) { return packet_files_->stream(stream); };
  callbacks.snapshot = [this](const script::SnapshotRequest& request) -> Result<std::string> {
    BALEEN_TRY_DO(packet_files_->snapshot(request.streams, request.folder, request.output));
    return request.output;
  };
  callbacks.name_resolution_history = [] { return std::string("{}"); };
  callbacks.gcs_put = [this](const script::Upload& u) { return upload(u, "gs"); };
  callbacks.gcs_clear = [this](const script::Upload& u) { return clear(u, "gs"); };
  callbacks.http = [client =
                        std::make_shared<io::HttpClient>()](const script::HttpRequest& request) -> Result<std::string> {
    io::HttpRequest out;
    out.method = request.method;
    out.url = request.url;
    out.body = as_bytes(request.body);
    const auto headers = nlohmann::json::parse(request.headers.empty() ? "{}" : request.headers, nullptr, false);
    if (headers.is_object())
      for (auto h = headers.begin(); h != headers.end(); ++h)
        out.headers.emplace_back(h.key(), h->is_string() ? h->get<std::string>() : h->dump());
    out.total_timeout = std::chrono::seconds(30);
    BALEEN_TRY(io::HttpAnswer answer, client->send(out));
    return std::move(answer.body);
  };
  scripts_ = std::make_unique<script::ScriptHost>(std::move(host), std::move(callbacks));
  return scripts_->start();
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

std::vector<std::string> Worker::problems() {
  const std::lock_guard lock(problems_mutex_);
  return std::exchange(problems_, {});
}

}  // namespace baleen::worker
