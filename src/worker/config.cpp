#include "worker/config.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/suggest.h"
#include "dissect/selection.h"
#include "worker/config_values.h"

namespace baleen::worker {
namespace {

constexpr size_t kLargestFile = 4 << 20;
constexpr uint64_t kSmallestSpool = 64 << 20;
constexpr uint64_t kSmallestPart = 5 << 20, kLargestPart = 1 << 30;
constexpr uint64_t kLargestBody = 1 << 30;

void read_scripting(ConfigValues& v, ScriptingConfig& s) {
  s.enabled = v.boolean("scripting.enabled");
  const nlohmann::json env = v.map("scripting.env");
  for (auto entry = env.begin(); entry != env.end(); ++entry) s.env[entry.key()] = dumped(*entry);
  s.source = v.text("scripting.source");
  s.sources = v.list("scripting.sources");
  s.watch = v.boolean("scripting.watchScripts");
  s.active = v.list("scripting.active");
  s.console = v.boolean("scripting.console");
}

void read_stores(ConfigValues& v, StoreConfig& s) {
  s.proxy = v.text("store.proxy");
  s.ca_file = v.text("store.caFile");
  s.idle_timeout = v.duration("store.idleTimeout");
  s.request_timeout = v.duration("store.requestTimeout");
  s.metadata = v.texts("store.metadata");
  s.tags = v.texts("store.tags");
  s.gcs = {
      {v.text("gcs.endpoint"), v.text("gcs.storageClass"), v.text("gcs.kmsKeyName"), v.text("gcs.customerKeyFile")},
      v.text("gcs.serviceAccountKeyFile"),
      v.text("gcs.userProject")};
  s.s3 = {{v.text("s3.endpoint"), v.text("s3.storageClass"), v.text("s3.encryption"), v.text("s3.customerKeyFile")},
          v.text("s3.region"),
          v.text("s3.pathStyle"),
          v.text("s3.signPayload"),
          v.text("s3.profile"),
          v.text("s3.accessKey"),
          v.text("s3.secretKeyFile"),
          v.text("s3.sessionTokenFile"),
          v.text("s3.roleArn"),
          v.text("s3.externalId"),
          v.boolean("s3.requesterPays")};
  static constexpr std::string_view kStyles[] = {"auto", "true", "false"};
  if (std::find(std::begin(kStyles), std::end(kStyles), s.s3.path_style) == std::end(kStyles))
    v.wrong("s3.pathStyle", "auto, true or false", std::string(suggest(s.s3.path_style, kStyles)));
  if (std::find(std::begin(kStyles), std::end(kStyles), s.s3.sign_payload) == std::end(kStyles))
    v.wrong("s3.signPayload", "auto, true or false", std::string(suggest(s.s3.sign_payload, kStyles)));
  s.azure = {{v.text("azblob.endpoint"), v.text("azblob.accessTier"), v.text("azblob.encryptionScope"),
              v.text("azblob.customerKeyFile")},
             v.text("azblob.account"),
             v.text("azblob.keyFile"),
             v.text("azblob.sasFile"),
             v.text("azblob.connectionStringFile")};
}

void read(ConfigValues& v, LoadedConfig& out) {
  Config& c = out.config;
  c.interfaces = v.list("tap.interfaces");
  c.capture_filter = v.text("tap.bpfOverride");
  c.shards = static_cast<int>(v.integer("tap.shards", 1, 256));
  c.ring_bytes = v.size("tap.ringSize");
  c.enabled_dissectors = v.list("tap.enabledDissectors");
  for (const std::string& unknown : dissect::select_dissectors(c.enabled_dissectors).unknown)
    v.wrong("tap.enabledDissectors", fmt::format("names of dissectors, and '{}' is none", unknown),
            std::string(suggest(unknown, dissect::dissector_names())));
  c.tls_key_logs = v.list("tap.tlsKeyLogs");
  c.proto_descriptors = v.list("tap.protoDescriptors");
  c.keep_tls_secrets = v.boolean("tap.keepTlsSecrets");
  c.sample_percent = static_cast<int>(v.integer("tap.misc.trafficSampleRate", 0, 100));
  c.dissect = v.boolean("tap.capture.dissection.enabled");
  c.keep_all = v.boolean("tap.capture.raw.enabled");
  c.keep_for = v.duration("tap.capture.raw.keep");
  c.flight_limit = v.size("tap.capture.raw.storageSize");
  c.pcap_ttl = v.duration("tap.misc.pcapTTL");
  c.tcp_flow_timeout = std::chrono::seconds(v.integer("tap.misc.tcpFlowTimeout", 1, 1 << 30));
  c.udp_flow_timeout = std::chrono::seconds(v.integer("tap.misc.udpFlowTimeout", 1, 1 << 30));
  c.storage_limit = v.size("tap.storageLimit");
  c.body_cap = v.size("tap.misc.bodyCap");
  if (c.body_cap > kLargestBody) v.wrong("tap.misc.bodyCap", "at most 1Gi");
  c.spool_limit = v.size("spool.limit");
  if (c.spool_limit != 0 && c.spool_limit < kSmallestSpool) v.wrong("spool.limit", "at least 64Mi, or 0");
  c.spool_refuses_newest = v.text("spool.whenFull") == "refuseNewest";
  static constexpr std::string_view kWhenFull[] = {"dropOldest", "refuseNewest"};
  if (!c.spool_refuses_newest && v.text("spool.whenFull") != kWhenFull[0])
    v.wrong("spool.whenFull", "dropOldest or refuseNewest", std::string(suggest(v.text("spool.whenFull"), kWhenFull)));
  c.upload_parallel = static_cast<unsigned>(v.integer("upload.parallel", 1, 16));
  c.upload_bandwidth = v.size("upload.bandwidth");
  c.upload_part = v.size("upload.partSize");
  if (c.upload_part < kSmallestPart || c.upload_part > kLargestPart) v.wrong("upload.partSize", "5Mi to 1Gi");
  c.upload_spread = v.duration("upload.spread");
  c.global_filter = v.text("tap.globalFilter");
  c.default_filter = v.text("tap.defaultFilter");
  const nlohmann::json macros = v.map("tap.customMacros");
  for (auto macro = macros.begin(); macro != macros.end(); ++macro)
    c.macros.emplace_back(macro.key(), macro->is_string() ? macro->get<std::string>() : dumped(*macro));
  read_scripting(v, c.scripting);
  c.recordings = read_recordings(v);
  read_redaction(v, v.node("redact"), "redact", c.redact);
  c.encryption_key_files = v.list("encryption.keyFiles");
  c.encrypt_items = v.boolean("encryption.items");
  if (c.encrypt_items && c.encryption_key_files.empty() && std::getenv("BALEEN_ENCRYPTION_KEY") == nullptr)
    v.wrong("encryption.items", "false without a key: encryption.keyFiles, or BALEEN_ENCRYPTION_KEY");
  c.recordings_by_command = v.boolean("recordingControl");
  c.recording_disabled = v.boolean("recordingDisabled");
  if (c.recording_disabled) c.recordings.clear();
  c.metrics_address = v.text("metrics.address");
  c.data_dir = v.text("dataDir");
  c.node_name = v.text("node.name");
  c.node_ip = v.text("node.ip");
  read_stores(v, c.stores);
  c.timezone = v.text("timezone");
  c.log_level = v.text("logLevel");
  static constexpr std::string_view kLevels[] = {"debug", "info", "warn", "warning", "error", "off"};
  if (std::find(std::begin(kLevels), std::end(kLevels), c.log_level) == std::end(kLevels))
    v.wrong("logLevel", "one of debug, info, warning, error, off", std::string(suggest(c.log_level, kLevels)));
  out.yaml = v.merged();
  v.note_keys_without_effect();
}

Result<std::string> read_file(const std::string& path) {
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0) return errno_error(path, errno);
  if (!S_ISREG(facts.st_mode) && !S_ISFIFO(facts.st_mode)) return Error{Code::kInvalid, path + " is not a file"};
  if (static_cast<size_t>(facts.st_size) > kLargestFile)
    return Error{Code::kInvalid, path + " is larger than 4 MiB: not a configuration"};
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error(path, errno);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

std::string default_path() {
  std::vector<std::string> candidates = {"baleen.yaml"};
  if (const char* home = std::getenv("HOME")) candidates.push_back(std::string(home) + "/.baleen/config.yaml");
  struct stat facts;
  for (const std::string& candidate : candidates)
    if (::stat(candidate.c_str(), &facts) == 0) return candidate;
  return {};
}

}  // namespace

bool LoadedConfig::ok() const {
  return std::none_of(problems.begin(), problems.end(), [](const ConfigProblem& p) { return p.fatal; });
}

std::string render(const ConfigProblem& p, std::string_view file) {
  std::string out;
  if (!file.empty() && p.line != 0) out += fmt::format("{}:{}:{}: ", file, p.line, p.column);
  out += fmt::format("{}: {}", p.fatal ? "error" : "note", p.message);
  if (!p.suggestion.empty()) out += fmt::format(" (did you mean '{}'?)", p.suggestion);
  return out;
}

LoadedConfig load_config(const ConfigRequest& request) {
  LoadedConfig out;
  out.file = request.path.empty() ? default_path() : request.path;
  ConfigValues values(out.problems);
  if (!out.file.empty()) {
    if (const auto text = read_file(out.file); text) {
      values.read_text(*text);
    } else {
      out.problems.push_back({true, 0, 0, "configuration file: " + text.error().message, {}});
    }
  }
  for (const std::string& set : request.sets) values.apply_set(set);
  read(values, out);
  return out;
}

LoadedConfig parse_config(std::string_view text, const std::vector<std::string>& sets) {
  LoadedConfig out;
  ConfigValues values(out.problems);
  values.read_text(text);
  for (const std::string& set : sets) values.apply_set(set);
  read(values, out);
  return out;
}

std::string config_reference() {
  std::string out =
      "# Configuration keys\n\nMade by `baleen config --reference`; do not edit.\n\n"
      "Precedence: defaults < one file (`--config`, else `./baleen.yaml`, else `~/.baleen/config.yaml`) < `--set` and "
      "flags.\n\n"
      "| key | kind | default | what it does |\n| --- | --- | --- | --- |\n";
  out += describe_keys();
  out +=
      "\nThe other keys of the reference product's configuration are known and have no effect; any other key is an "
      "error.\n";
  return out;
}

}  // namespace baleen::worker
