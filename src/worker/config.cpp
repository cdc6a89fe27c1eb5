#include "worker/config.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/suggest.h"
#include "base/units.h"
#include "dissect/selection.h"
#include "record/scope.h"

namespace baleen::worker {
namespace {

enum Kind { kBool, kInt, kString, kDuration, kSeconds, kSize, kList, kMap, kAny, kElsewhere };

struct Key {
  std::string_view path;
  Kind kind;
  std::string_view default_yaml;
  std::string_view doc;
};

constexpr Key kKeys[] = {
#define BALEEN_KEY(path, kind, default_yaml, doc) {path, kind, default_yaml, doc},
#include "worker/config_keys.def"
#undef BALEEN_KEY
};

constexpr size_t kLargestFile = 4 << 20;
constexpr int kDeepest = 32;
constexpr uint64_t kSmallestSpool = 64 << 20;
constexpr uint64_t kSmallestPart = 5 << 20, kLargestPart = 1 << 30;
constexpr int kMostNodes = 100'000;

const Key* find_key(std::string_view path) {
  for (const Key& key : kKeys)
    if (key.path == path) return &key;
  return nullptr;
}

bool is_branch(std::string_view path) {
  for (const Key& key : kKeys)
    if (key.path.size() > path.size() && key.path.starts_with(path) && key.path[path.size()] == '.') return true;
  return false;
}

/// What the person most likely meant: a sibling with a similar name, or the same last name somewhere else.
std::string suggestion_for(std::string_view path) {
  const size_t dot = path.rfind('.');
  const std::string_view parent = dot == std::string_view::npos ? std::string_view() : path.substr(0, dot + 1);
  const std::string_view name = path.substr(parent.size());
  std::set<std::string_view> siblings;
  for (const Key& key : kKeys)
    if (key.path.starts_with(parent))
      siblings.insert(key.path.substr(parent.size(), key.path.find('.', parent.size()) - parent.size()));
  const std::vector<std::string_view> candidates(siblings.begin(), siblings.end());
  if (const std::string_view near = suggest(name, candidates); !near.empty())
    return std::string(parent) + std::string(near);
  for (const Key& key : kKeys)
    if (key.kind != kElsewhere && key.path.substr(key.path.rfind('.') + 1) == name) return std::string(key.path);
  return {};
}

/// Whether a tree is of reasonable size once its aliases are followed; they may make it endless.
bool bounded(const YAML::Node& node, int& budget, int depth = 0) {
  if (--budget < 0 || depth > kDeepest) return false;
  if (!node.IsDefined() || node.IsScalar() || node.IsNull()) return true;
  for (const auto& entry : node) {
    const bool fine = node.IsMap() ? bounded(entry.first, budget, depth + 1) && bounded(entry.second, budget, depth + 1)
                                   : bounded(entry, budget, depth + 1);
    if (!fine) return false;
  }
  return true;
}

/// A scalar as JSON: what is quoted in YAML stays text, plain numbers and booleans are such (S-08).
nlohmann::json json_of(const YAML::Node& node, int depth = 0) {
  if (depth > kDeepest || node.IsNull() || !node.IsDefined()) return nullptr;
  if (node.IsSequence()) {
    auto list = nlohmann::json::array();
    for (const auto& element : node) list.push_back(json_of(element, depth + 1));
    return list;
  }
  if (node.IsMap()) {
    auto map = nlohmann::json::object();
    for (const auto& entry : node) map[entry.first.as<std::string>("")] = json_of(entry.second, depth + 1);
    return map;
  }
  const std::string text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  if (int64_t i; YAML::convert<int64_t>::decode(node, i)) return i;
  if (double d; YAML::convert<double>::decode(node, d)) return d;
  return text;
}

class Loader {
 public:
  explicit Loader(LoadedConfig& out) : out_(out) {
    for (const Key& key : kKeys)
      if (key.kind != kElsewhere) values_[std::string(key.path)] = YAML::Load(std::string(key.default_yaml));
  }

  void read_text(std::string_view text) {
    try {
      const YAML::Node root = YAML::Load(std::string(text));
      if (root.IsNull() || !root.IsDefined()) return;
      if (!root.IsMap()) return problem(root.Mark(), "a configuration is a map of keys, as in 'tap:'");
      int budget = kMostNodes;
      if (!bounded(root, budget))
        return problem(root.Mark(), "too large, or nested too deeply, once its aliases are followed");
      walk(root, "", 0);
    } catch (const YAML::Exception& e) {
      problem(e.mark, fmt::format("not YAML: {}", e.msg));
    }
  }

  void apply_set(const std::string& assignment) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0)
      return problem(YAML::Mark::null_mark(),
                     fmt::format("--set {}: expected KEY=VALUE, as in tap.storageLimit=5Gi", assignment));
    const std::string path = assignment.substr(0, equals);
    const std::string text = assignment.substr(equals + 1);
    try {
      const YAML::Node value = YAML::Load(text);
      int budget = kMostNodes;
      if (!bounded(value, budget))
        return problem(YAML::Mark::null_mark(), fmt::format("--set {}: the value is too large", path));
      set_one(path, value, text);
    } catch (const YAML::Exception& e) {
      problem(YAML::Mark::null_mark(), fmt::format("--set {}: the value is not YAML: {}", path, e.msg));
    }
  }

  void finish() {
    Config& c = out_.config;
    c.interfaces = list("tap.interfaces");
    c.capture_filter = text("tap.bpfOverride");
    c.shards = static_cast<int>(integer("tap.shards", 1, 256));
    c.ring_bytes = size("tap.ringSize");
    c.enabled_dissectors = list("tap.enabledDissectors");
    for (const std::string& unknown : dissect::select_dissectors(c.enabled_dissectors).unknown)
      wrong("tap.enabledDissectors", fmt::format("names of dissectors, and '{}' is none", unknown),
            std::string(suggest(unknown, dissect::dissector_names())));
    c.tls_key_logs = list("tap.tlsKeyLogs");
    c.proto_descriptors = list("tap.protoDescriptors");
    c.keep_tls_secrets = boolean("tap.keepTlsSecrets");
    c.sample_percent = static_cast<int>(integer("tap.misc.trafficSampleRate", 0, 100));
    c.dissect = boolean("tap.capture.dissection.enabled");
    c.keep_all = boolean("tap.capture.raw.enabled");
    c.keep_for = duration("tap.capture.raw.keep");
    c.flight_limit = size("tap.capture.raw.storageSize");
    c.pcap_ttl = duration("tap.misc.pcapTTL");
    c.tcp_flow_timeout = std::chrono::seconds(integer("tap.misc.tcpFlowTimeout", 1, 1 << 30));
    c.udp_flow_timeout = std::chrono::seconds(integer("tap.misc.udpFlowTimeout", 1, 1 << 30));
    c.storage_limit = size("tap.storageLimit");
    c.body_cap = size("tap.misc.bodyCap");
    c.spool_limit = size("spool.limit");
    if (c.spool_limit != 0 && c.spool_limit < kSmallestSpool) wrong("spool.limit", "at least 64Mi, or 0");
    c.spool_refuses_newest = text("spool.whenFull") == "refuseNewest";
    static constexpr std::string_view kWhenFull[] = {"dropOldest", "refuseNewest"};
    if (!c.spool_refuses_newest && text("spool.whenFull") != kWhenFull[0])
      wrong("spool.whenFull", "dropOldest or refuseNewest", std::string(suggest(text("spool.whenFull"), kWhenFull)));
    c.upload_parallel = static_cast<unsigned>(integer("upload.parallel", 1, 16));
    c.upload_bandwidth = size("upload.bandwidth");
    c.upload_part = size("upload.partSize");
    if (c.upload_part < kSmallestPart || c.upload_part > kLargestPart) wrong("upload.partSize", "5Mi to 1Gi");
    c.upload_spread = duration("upload.spread");
    c.global_filter = text("tap.globalFilter");
    c.default_filter = text("tap.defaultFilter");
    const nlohmann::json macros = map("tap.customMacros");
    for (auto macro = macros.begin(); macro != macros.end(); ++macro)
      c.macros.emplace_back(macro.key(), macro->is_string() ? macro->get<std::string>() : macro->dump());
    read_scripting();
    read_recordings();
    read_redaction(values_["redact"], "redact", c.redact);
    c.encryption_key_files = list("encryption.keyFiles");
    c.encrypt_items = boolean("encryption.items");
    if (c.encrypt_items && c.encryption_key_files.empty() && std::getenv("BALEEN_ENCRYPTION_KEY") == nullptr)
      wrong("encryption.items", "false without a key: encryption.keyFiles, or BALEEN_ENCRYPTION_KEY");
    c.recordings_by_command = boolean("recordingControl");
    c.recording_disabled = boolean("recordingDisabled");
    if (c.recording_disabled) c.recordings.clear();
    c.metrics_address = text("metrics.address");
    c.data_dir = text("dataDir");
    c.node_name = text("node.name");
    c.node_ip = text("node.ip");
    read_stores();
    c.timezone = text("timezone");
    c.log_level = text("logLevel");
    static constexpr std::string_view kLevels[] = {"debug", "info", "warn", "warning", "error", "off"};
    if (std::find(std::begin(kLevels), std::end(kLevels), c.log_level) == std::end(kLevels))
      wrong("logLevel", "one of debug, info, warning, error, off", std::string(suggest(c.log_level, kLevels)));
    out_.yaml = merged();
    note_keys_without_effect();
  }

 private:
  void problem(const YAML::Mark& mark, std::string message, std::string suggestion = {}, bool fatal = true) {
    const bool none = mark.is_null();
    out_.problems.push_back(
        {fatal, none ? 0 : mark.line + 1, none ? 0 : mark.column + 1, std::move(message), std::move(suggestion)});
  }

  void wrong(const std::string& path, std::string_view expected, std::string suggestion = {}) {
    const YAML::Node& node = values_[path];
    const std::string found = node.IsScalar()     ? fmt::format("'{}'", node.Scalar())
                              : node.IsMap()      ? "a map"
                              : node.IsSequence() ? "a list"
                                                  : "nothing";
    problem(node.Mark(), fmt::format("{}: expected {}, found {}", path, expected, found), std::move(suggestion));
  }

  void walk(const YAML::Node& map, const std::string& parent, int depth) {
    std::set<std::string> seen;
    for (const auto& entry : map) {
      const std::string path =
          parent.empty() ? entry.first.as<std::string>("") : parent + "." + entry.first.as<std::string>("");
      if (!seen.insert(path).second) problem(entry.first.Mark(), fmt::format("'{}' is given twice", path));
      if (find_key(path) != nullptr) {
        take(path, entry.second);
      } else if (is_branch(path)) {
        if (entry.second.IsMap() && depth < kDeepest) {
          walk(entry.second, path, depth + 1);
        } else if (!entry.second.IsNull()) {
          problem(entry.second.Mark(), fmt::format("'{}' is a map of keys", path));
        }
      } else {
        problem(entry.first.Mark(), fmt::format("unknown key '{}'", path), suggestion_for(path));
      }
    }
  }

  void take(const std::string& path, const YAML::Node& node) {
    if (find_key(path)->kind == kElsewhere) {
      without_effect_.push_back(path);
    } else if (!node.IsNull()) {
      values_[path] = node;
      given_.insert(path);
    } else if (path == "scripting.env" || path == "recording" || path == "redact") {
      values_[path] = node;  // emptied on purpose
    }
  }

  void set_one(const std::string& path, const YAML::Node& value, const std::string& text) {
    if (const Key* key = find_key(path); key != nullptr) {
      if (key->kind == kList && !value.IsSequence()) {
        YAML::Node list = set_lists_.insert(path).second ? YAML::Node(YAML::NodeType::Sequence) : values_[path];
        list.push_back(text);
        return take(path, list);
      }
      // What a string key is set to is its text, whatever YAML would make of it: `port 80`, `a: b`.
      return take(path, key->kind == kString ? YAML::Node(text) : value);
    }
    // One member of a map: scripting.env.RECORDING_KFL=http
    for (const Key& key : kKeys) {
      if ((key.kind != kMap && key.kind != kAny) || !path.starts_with(std::string(key.path) + ".")) continue;
      YAML::Node map = YAML::Clone(values_[std::string(key.path)]);
      if (!map.IsMap()) map = YAML::Node(YAML::NodeType::Map);
      const bool plain = value.IsScalar() && value.Tag() != "!";
      map[path.substr(key.path.size() + 1)] =
          plain || !value.IsScalar() ? (value.IsScalar() ? value : YAML::Node(text)) : value;
      return take(std::string(key.path), map);
    }
    problem(YAML::Mark::null_mark(), fmt::format("--set: unknown key '{}'", path), suggestion_for(path));
  }

  std::string text(const std::string& path) {
    const YAML::Node& node = values_[path];
    if (!node.IsScalar()) {
      if (!node.IsNull()) wrong(path, "text");
      return {};
    }
    return node.Scalar();
  }
  int64_t integer(const std::string& path, int64_t low, int64_t high) {
    int64_t n = 0;
    const YAML::Node& node = values_[path];
    if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, n) || n < low || n > high) {
      wrong(path, fmt::format("a whole number from {} to {}", low, high));
      return low;
    }
    return n;
  }
  uint64_t size(const std::string& path) {
    const auto n = parse_size(text(path));
    if (!n) wrong(path, "a size, as 500MB or 5Gi");
    return n.value_or(0);
  }
  Duration duration(const std::string& path) {
    const auto d = parse_duration(text(path));
    if (!d) wrong(path, "a duration, as 10s or 5m");
    return d.value_or(Duration{});
  }
  bool boolean(const std::string& path) {
    bool b = false;
    const YAML::Node& node = values_[path];
    if (!node.IsScalar() || !YAML::convert<bool>::decode(node, b)) wrong(path, "true or false");
    return b;
  }
  std::vector<std::string> list(const std::string& path) {
    std::vector<std::string> out;
    const YAML::Node& node = values_[path];
    if (node.IsScalar()) return {node.Scalar()};  // one element needs no brackets
    if (!node.IsSequence()) {
      if (!node.IsNull()) wrong(path, "a list");
      return out;
    }
    for (const auto& element : node) {
      if (!element.IsScalar()) {
        wrong(path, "a list of texts");
        return out;
      }
      out.push_back(element.Scalar());
    }
    return out;
  }
  nlohmann::json map(const std::string& path) {
    const YAML::Node& node = values_[path];
    if (node.IsNull()) return nlohmann::json::object();
    if (node.IsMap()) return json_of(node);
    wrong(path, "a map of names to values");
    return nlohmann::json::object();
  }

  void read_scripting() {
    ScriptingConfig& s = out_.config.scripting;
    s.enabled = boolean("scripting.enabled");
    const nlohmann::json env = map("scripting.env");
    for (auto entry = env.begin(); entry != env.end(); ++entry) s.env[entry.key()] = entry->dump();
    s.source = text("scripting.source");
    s.sources = list("scripting.sources");
    s.watch = boolean("scripting.watchScripts");
    s.active = list("scripting.active");
    s.console = boolean("scripting.console");
  }

  std::map<std::string, std::string> texts(const std::string& path) {
    std::map<std::string, std::string> out;
    const nlohmann::json found = map(path);
    for (auto entry = found.begin(); entry != found.end(); ++entry)
      out[entry.key()] = entry->is_string() ? entry->get<std::string>() : entry->dump();
    return out;
  }

  void read_stores() {
    StoreConfig& s = out_.config.stores;
    s.proxy = text("store.proxy");
    s.ca_file = text("store.caFile");
    s.idle_timeout = duration("store.idleTimeout");
    s.request_timeout = duration("store.requestTimeout");
    s.metadata = texts("store.metadata");
    s.tags = texts("store.tags");
    s.gcs = {{text("gcs.endpoint"), text("gcs.storageClass"), text("gcs.kmsKeyName"), text("gcs.customerKeyFile")},
             text("gcs.serviceAccountKeyFile"),
             text("gcs.userProject")};
    s.s3 = {{text("s3.endpoint"), text("s3.storageClass"), text("s3.encryption"), text("s3.customerKeyFile")},
            text("s3.region"),
            text("s3.pathStyle"),
            text("s3.signPayload"),
            text("s3.profile"),
            text("s3.accessKey"),
            text("s3.secretKeyFile"),
            text("s3.sessionTokenFile"),
            text("s3.roleArn"),
            text("s3.externalId"),
            boolean("s3.requesterPays")};
    static constexpr std::string_view kStyles[] = {"auto", "true", "false"};
    if (std::find(std::begin(kStyles), std::end(kStyles), s.s3.path_style) == std::end(kStyles))
      wrong("s3.pathStyle", "auto, true or false", std::string(suggest(s.s3.path_style, kStyles)));
    if (std::find(std::begin(kStyles), std::end(kStyles), s.s3.sign_payload) == std::end(kStyles))
      wrong("s3.signPayload", "auto, true or false", std::string(suggest(s.s3.sign_payload, kStyles)));
    s.azure = {{text("azblob.endpoint"), text("azblob.accessTier"), text("azblob.encryptionScope"),
                text("azblob.customerKeyFile")},
               text("azblob.account"),
               text("azblob.keyFile"),
               text("azblob.sasFile"),
               text("azblob.connectionStringFile")};
  }

  void read_recordings() {
    const YAML::Node& node = values_["recording"];
    if (node.IsNull()) return;
    if (node.IsMap()) return read_recording(node);
    if (!node.IsSequence()) return wrong("recording", "a map, or a list of maps, of name, pattern and to");
    for (const auto& element : node) read_recording(element);
    std::set<std::string> names;
    for (const RecordingConfig& r : out_.config.recordings)
      if (!names.insert(r.name).second) problem(node.Mark(), fmt::format("two recordings are named '{}'", r.name));
  }

  void read_recording(const YAML::Node& node) {
    if (!node.IsMap()) return problem(node.Mark(), "recording: expected a map of name, pattern and to");
    RecordingConfig r;
    static constexpr std::string_view kNames[] = {
        "name",     "pattern",    "to",         "enabled",    "description", "start",    "duration", "iterations",
        "timezone", "expiration", "limitBytes", "limitItems", "redact",      "lookBack", "scope",    "undissected"};
    for (const auto& entry : node) {
      const std::string name = entry.first.as<std::string>("");
      const std::string value = entry.second.IsScalar() ? entry.second.Scalar() : std::string();
      if (name == "name") {
        r.name = value;
      } else if (name == "pattern") {
        r.pattern = value;
      } else if (name == "to") {
        r.to = value;
      } else if (name == "redact") {
        read_redaction(entry.second, "recording.redact", r.redact);
      } else if (name == "enabled") {
        if (!YAML::convert<bool>::decode(entry.second, r.enabled))
          problem(entry.second.Mark(), "recording.enabled: expected true or false");
      } else if (!read_recording_member(name, value, entry.second, r)) {
        problem(entry.first.Mark(), fmt::format("unknown key 'recording.{}'", name),
                std::string(suggest(name, kNames)));
      }
    }
    if (r.name.empty() || r.name.find_first_of("/\\=\n") != std::string::npos || r.name.starts_with('.'))
      problem(node.Mark(),
              fmt::format("recording.name: '{}' must be a name that a folder can have, without '/' and '='", r.name));
    const bool wanted = !r.pattern.empty() || !r.scope.empty() || r.undissected;
    if (r.to.empty() && wanted)
      problem(node.Mark(),
              fmt::format("recording '{}' has no destination: give it 'to: gs://bucket/prefix' or a folder", r.name));
    if (wanted && r.enabled) out_.config.recordings.push_back(std::move(r));
  }

  /// `true` stands for {secrets: true}.
  void read_redaction(const YAML::Node& node, std::string_view where, record::RedactionRules& out) {
    if (node.IsNull()) return;
    if (node.IsScalar()) {
      if (!YAML::convert<bool>::decode(node, out.secrets))
        problem(node.Mark(), fmt::format("{}: expected true, false or a map of rules", where));
      return;
    }
    if (!node.IsMap()) return problem(node.Mark(), fmt::format("{}: expected a map of rules", where));
    static constexpr std::string_view kNames[] = {"secrets", "headers", "json", "patterns", "kfl"};
    for (const auto& entry : node) {
      const std::string name = entry.first.as<std::string>("");
      const YAML::Node& value = entry.second;
      auto* const list = name == "headers"    ? &out.headers
                         : name == "json"     ? &out.json
                         : name == "patterns" ? &out.patterns
                                              : nullptr;
      if (list != nullptr) {
        if (!YAML::convert<std::vector<std::string>>::decode(value, *list))
          problem(value.Mark(), fmt::format("{}.{}: expected a list of texts", where, name));
      } else if (name == "secrets") {
        if (!YAML::convert<bool>::decode(value, out.secrets))
          problem(value.Mark(), fmt::format("{}.secrets: expected true or false", where));
      } else if (name == "kfl") {
        out.kfl = value.IsScalar() ? value.Scalar() : std::string();
      } else {
        problem(entry.first.Mark(), fmt::format("unknown key '{}.{}'", where, name),
                std::string(suggest(name, kNames)));
      }
    }
  }

  /// False when there is no such key.
  bool read_recording_member(const std::string& name, const std::string& value, const YAML::Node& node,
                             RecordingConfig& r) {
    const auto expected = [&](std::string_view what) {
      problem(node.Mark(), fmt::format("recording.{}: expected {}, found '{}'", name, what, value));
    };
    const auto duration = [&](Duration& out) {
      const auto d = parse_duration(value);
      if (!d) expected("a duration, as 30m or 2h");
      out = d.value_or(Duration{0});
    };
    const auto size = [&](uint64_t& out) {
      const auto n = parse_size(value);
      if (!n) expected("a number, as 1000 or 5Gi");
      out = n.value_or(0);
    };
    if (name == "description") {
      r.description = value;
    } else if (name == "start") {
      r.start = value.empty() ? std::nullopt : parse_time(value, Timestamp{});
      // An age would be another time with every reading.
      if (!value.empty() && (!r.start || parse_duration(value)))
        expected("a time, as 2026-11-24T12:00:00Z or with an offset");
    } else if (name == "duration") {
      duration(r.duration);
    } else if (name == "iterations") {
      if (!YAML::convert<int64_t>::decode(node, r.iterations) || r.iterations < 0 || r.iterations > 1'000'000)
        expected("how many days, 0 for every day");
    } else if (name == "timezone") {
      r.timezone = value;
    } else if (name == "expiration") {
      duration(r.expiration);
    } else if (name == "limitBytes") {
      size(r.limit_bytes);
    } else if (name == "limitItems") {
      size(r.limit_items);
    } else if (name == "lookBack") {
      duration(r.look_back);
    } else if (name == "scope") {
      r.scope = value;
      if (const auto good = record::Scope::compile(value); !good)
        problem(node.Mark(), "recording.scope: " + good.error().message);
    } else if (name == "undissected") {
      if (!YAML::convert<bool>::decode(node, r.undissected)) expected("true or false");
    } else {
      return false;
    }
    return true;
  }

  static bool looks_secret(std::string_view name) {
    for (const std::string_view word : {"SECRET", "TOKEN", "PASSWORD", "KEY", "CREDENTIAL"})
      if (std::search(name.begin(), name.end(), word.begin(), word.end(),
                      [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; }) != name.end())
        return true;
    return false;
  }

  std::string merged() {
    YAML::Node root(YAML::NodeType::Map);
    for (const Key& key : kKeys) {
      if (key.kind == kElsewhere) continue;
      YAML::Node value = YAML::Clone(values_[std::string(key.path)]);
      if (key.path == "scripting.env" && value.IsMap())
        for (auto entry : value)
          if (looks_secret(entry.first.as<std::string>(""))) entry.second = "********";
      if (key.path == "store.proxy" && value.IsScalar())
        if (const size_t at = value.Scalar().rfind('@'); at != std::string::npos)
          value = "********" + value.Scalar().substr(at);
      YAML::Node at = root;
      std::string_view rest = key.path;
      for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
        at.reset(at[std::string(rest.substr(0, dot))]);
        rest.remove_prefix(dot + 1);
      }
      at[std::string(rest)] = value;
    }
    YAML::Emitter emitter;
    emitter << root;
    return std::string(emitter.c_str()) + "\n";
  }

  void note_keys_without_effect() {
    if (without_effect_.empty()) return;
    std::string names;
    const size_t shown = std::min<size_t>(without_effect_.size(), 5);
    for (size_t i = 0; i < shown; ++i) names += (i == 0 ? "" : ", ") + without_effect_[i];
    if (without_effect_.size() > shown) names += fmt::format(" and {} more", without_effect_.size() - shown);
    problem(YAML::Mark::null_mark(), fmt::format("{}: known, and without effect in this program", names), {}, false);
  }

  LoadedConfig& out_;
  std::map<std::string, YAML::Node> values_;
  std::set<std::string> given_, set_lists_;
  std::vector<std::string> without_effect_;
};

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
  Loader loader(out);
  if (!out.file.empty()) {
    if (const auto text = read_file(out.file); text) {
      loader.read_text(*text);
    } else {
      out.problems.push_back({true, 0, 0, "configuration file: " + text.error().message, {}});
    }
  }
  for (const std::string& set : request.sets) loader.apply_set(set);
  loader.finish();
  return out;
}

LoadedConfig parse_config(std::string_view text, const std::vector<std::string>& sets) {
  LoadedConfig out;
  Loader loader(out);
  loader.read_text(text);
  for (const std::string& set : sets) loader.apply_set(set);
  loader.finish();
  return out;
}

std::string config_reference() {
  static constexpr std::string_view kKindNames[] = {"bool", "int",  "text", "duration",   "seconds",
                                                    "size", "list", "map",  "map or list"};
  std::string out =
      "# Configuration keys\n\nMade by `baleen config --reference`; do not edit.\n\n"
      "Precedence: defaults < one file (`--config`, else `./baleen.yaml`, else `~/.baleen/config.yaml`) < `--set` and "
      "flags.\n\n"
      "| key | kind | default | what it does |\n| --- | --- | --- | --- |\n";
  for (const Key& key : kKeys)
    if (key.kind != kElsewhere)
      out += fmt::format("| `{}` | {} | `{}` | {} |\n", key.path, kKindNames[key.kind], key.default_yaml, key.doc);
  out +=
      "\nThe other keys of the reference product's configuration are known and have no effect; any other key is an "
      "error.\n";
  return out;
}

}  // namespace baleen::worker
