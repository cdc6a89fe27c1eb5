#pragma once

#include <map>
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
  record::RedactionRules redact{};  // beside those of Config
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

/// The configuration in force: defaults < file < --set and flags.
struct Config {
  std::vector<std::string> interfaces;
  std::string capture_filter;
  int shards = 1;
  uint64_t ring_bytes = 0;
  std::vector<std::string> enabled_dissectors;
  std::vector<std::string> tls_key_logs;
  bool keep_tls_secrets = true;
  int sample_percent = 100;
  Duration pcap_ttl{};
  Duration tcp_flow_timeout{}, udp_flow_timeout{};
  uint64_t storage_limit = 0;
  uint64_t body_cap = 0;
  std::string global_filter, default_filter;
  std::vector<std::pair<std::string, std::string>> macros;
  ScriptingConfig scripting;
  std::vector<RecordingConfig> recordings;
  record::RedactionRules redact;                  // of every recording
  std::vector<std::string> encryption_key_files;  // the first encrypts
  bool encrypt_items = false;
  std::string data_dir, node_name, node_ip, gcs_key_file, timezone, log_level;
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
