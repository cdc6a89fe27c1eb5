// Worker: what it opens and starts for its recordings: inputs, stores, the recorder, and the socket by which it is
// told.

#include <fmt/core.h>

#include <cstdlib>

#include "capture/af_packet/af_packet.h"
#include "capture/pcap_file/pcap_file.h"
#include "codec/pcap/format.h"
#include "io/bandwidth.h"
#include "store/retrying_store.h"
#include "worker/machine.h"
#include "worker/metrics.h"
#include "worker/stores.h"
#include "worker/worker.h"

namespace baleen::worker {
namespace {

constexpr auto kChangeWait = std::chrono::seconds(2);
constexpr size_t kFlowsLookedBack = 100'000;  // at a time, of packets that are dissected once more

/// The keys of the configuration and the environment, when there are any.
Result<> add_keys(const Config& config, record::Encryption& encryption) {
  auto keys = std::make_shared<index::KeyRing>();
  for (const std::string& file : config.encryption_key_files) BALEEN_TRY_DO(keys->add_file(file));
  if (const char* key = std::getenv("BALEEN_ENCRYPTION_KEY"); key != nullptr && *key != '\0')
    BALEEN_TRY_DO(keys->add_text(key, "BALEEN_ENCRYPTION_KEY"));
  if (!keys->empty()) encryption = {std::move(keys), config.encrypt_items};
  return {};
}

}  // namespace

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
    files_ = file.get();
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

}  // namespace baleen::worker
