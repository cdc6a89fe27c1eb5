#pragma once

// Private to the configuration: the values of the known keys, from the defaults, a file and --set, each with its place
// in the file. What they mean is config.cpp's, and recording_keys.cpp's for the maps below `recording` and `redact`.

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "worker/config.h"

namespace baleen::worker {

class ConfigValues {
 public:
  /// The defaults. Problems are appended to a list that outlives it.
  explicit ConfigValues(std::vector<ConfigProblem>& problems);

  void read_text(std::string_view yaml);
  /// KEY=VALUE: a key, or one member of a map.
  void apply_set(const std::string& assignment);

  void problem(const YAML::Mark& mark, std::string message, std::string suggestion = {}, bool fatal = true);
  void wrong(const std::string& path, std::string_view expected, std::string suggestion = {});

  // What a key has, checked: a problem and something harmless when it is of another kind.
  const YAML::Node& node(const std::string& path) { return values_[path]; }
  std::string text(const std::string& path);
  int64_t integer(const std::string& path, int64_t low, int64_t high);
  uint64_t size(const std::string& path);
  Duration duration(const std::string& path);
  bool boolean(const std::string& path);
  std::vector<std::string> list(const std::string& path);
  nlohmann::json map(const std::string& path);
  std::map<std::string, std::string> texts(const std::string& path);

  /// All of it as YAML, secrets hidden.
  std::string merged();
  void note_keys_without_effect();

 private:
  void walk(const YAML::Node& map, const std::string& parent, int depth);
  void take(const std::string& path, const YAML::Node& node);
  void set_one(const std::string& path, const YAML::Node& value, const std::string& text);

  std::vector<ConfigProblem>& problems_;
  std::map<std::string, YAML::Node> values_;
  std::set<std::string> set_lists_;
  std::vector<std::string> without_effect_;
};

/// As JSON; bytes that are no UTF-8 are replaced.
std::string dumped(const nlohmann::json& value);

/// The key `recording`: one map, or a list of them.
std::vector<RecordingConfig> read_recordings(ConfigValues& values);
/// A map of rules; `true` stands for {secrets: true}. `where` is what errors call it.
void read_redaction(ConfigValues& values, const YAML::Node& node, std::string_view where, record::RedactionRules& out);

/// The rows of the reference page.
std::string describe_keys();

}  // namespace baleen::worker
