#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/redaction.h"

namespace baleen::worker {

/// One native recording as the configuration file has it.
struct RecordingConfig {
  std::string name = "default";
  std::string pattern;  // KFL; empty: the recording is off (reference row R-08)
  std::string to;       // "gs://bucket/prefix" or a folder
  bool enabled = true;
  std::string description;
  std::optional<Timestamp> start;             // none: when it is first seen
  Duration duration{0};                       // 0: until it is stopped
  int64_t iterations = 1;                     // one a day; 0: for ever
  std::string timezone;                       // whose days; empty: UTC
  Duration expiration{0};                     // age at which `recordings expire` removes its blocks; 0: never
  uint64_t limit_bytes = 0, limit_items = 0;  // 0: none
  record::RedactionRules redact{};            // beside those of Config
  Duration look_back{0};                      // what was captured so long before it begins is recorded, too
  std::string scope;                          // pcap-filter: every stream with such a packet, matched or not
  bool undissected = false;                   // streams that no dissector understands
  bool from_command_line = false;
  bool operator==(const RecordingConfig&) const = default;
};

struct ScriptingConfig {
  bool enabled = true;
  std::map<std::string, std::string> env;  // name to JSON text of the value: numbers stay numbers (S-08)
  std::string source;
  std::vector<std::string> sources;
  bool watch = true;
  std::vector<std::string> active;
  bool console = true;
  bool operator==(const ScriptingConfig&) const = default;
};

/// What the configuration says of buckets of one kind. Secrets are in files that it names.
struct BucketConfig {
  std::string endpoint, storage_class, encryption, customer_key_file;
  bool operator==(const BucketConfig&) const = default;
};
struct GcsConfig : BucketConfig {
  std::string key_file, user_project;
  bool operator==(const GcsConfig&) const = default;
};
struct S3Config : BucketConfig {
  std::string region, path_style, sign_payload, profile, access_key, secret_key_file, session_token_file, role_arn,
      external_id;
  bool requester_pays = false;
  bool operator==(const S3Config&) const = default;
};
struct AzureConfig : BucketConfig {
  std::string account, key_file, sas_file, connection_string_file;
  bool operator==(const AzureConfig&) const = default;
};
struct StoreConfig {
  std::string proxy, ca_file;
  Duration idle_timeout{}, request_timeout{};
  std::map<std::string, std::string> metadata, tags;
  GcsConfig gcs;
  S3Config s3;
  AzureConfig azure;
  bool operator==(const StoreConfig&) const = default;
};

/// The configuration in force: defaults < file < --set and flags.
struct Config {
  std::vector<std::string> interfaces;
  std::string capture_filter;
  int shards = 1;
  uint64_t ring_bytes = 0;
  std::vector<std::string> enabled_dissectors;
  std::vector<std::string> tls_key_logs;
  std::vector<std::string> proto_descriptors;
  bool keep_tls_secrets = true;
  int sample_percent = 100;
  Duration pcap_ttl{};
  bool dissect = true;
  bool keep_all = false;      // packets of everything, whether something is recorded or not
  Duration keep_for{0};       // ... at least for so long; 0: as long as flight_limit allows
  uint64_t flight_limit = 0;  // of the flight recorders together; 0: a share of storage_limit
  Duration tcp_flow_timeout{}, udp_flow_timeout{};
  uint64_t storage_limit = 0;
  uint64_t spool_limit = 0;  // 0: a share of the disk
  bool spool_refuses_newest = false;
  unsigned upload_parallel = 3;   // to one destination
  uint64_t upload_bandwidth = 0;  // bytes per second; 0: no limit
  uint64_t upload_part = 64 << 20;
  Duration upload_spread{};
  uint64_t body_cap = 0;
  std::string global_filter, default_filter;
  std::vector<std::pair<std::string, std::string>> macros;
  ScriptingConfig scripting;
  std::vector<RecordingConfig> recordings;
  record::RedactionRules redact;                  // of every recording
  std::vector<std::string> encryption_key_files;  // the first encrypts
  bool encrypt_items = false;
  StoreConfig stores;
  bool recordings_by_command = false;  // `baleen recordings create` may make a first one: packets are kept for it
  bool recording_disabled = false;
  std::string metrics_address;  // "127.0.0.1:49100"; empty: none
  std::string data_dir, node_name, node_ip, timezone, log_level;
};

/// Something wrong with the configuration's text. Lines and columns count from 1; 0: no position (--set).
struct ConfigProblem {
  bool fatal = true;  // otherwise a note
  int line = 0, column = 0;
  std::string message;
  std::string suggestion;
};
/// "baleen.yaml:3:5: error: unknown key 'scripting.evn' (did you mean 'scripting.env'?)"
std::string render(const ConfigProblem& problem, std::string_view file);

struct ConfigRequest {
  std::string path;               // empty: ./baleen.yaml, else ~/.baleen/config.yaml, else none
  std::vector<std::string> sets;  // "tap.bpfOverride=port 80"; repeated list keys append
};

struct LoadedConfig {
  Config config;
  std::string file;                     // the one that was read; empty when none
  std::vector<ConfigProblem> problems;  // all of them
  std::string yaml;                     // the merged configuration; values that look like secrets are masked
  bool ok() const;
};

/// Reads and merges. A file that was named and cannot be read is a problem, not an Error.
LoadedConfig load_config(const ConfigRequest& request);
/// The same with the file's text given.
LoadedConfig parse_config(std::string_view text, const std::vector<std::string>& sets = {});

/// All keys with default and meaning, as Markdown: docs/reference/config.md is made from it.
std::string config_reference();

}  // namespace baleen::worker
