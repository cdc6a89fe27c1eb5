#include "worker/config_values.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/suggest.h"
#include "base/units.h"

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

constexpr int kDeepest = 32;
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

bool looks_secret(std::string_view name) {
  for (const std::string_view word : {"SECRET", "TOKEN", "PASSWORD", "KEY", "CREDENTIAL"})
    if (std::search(name.begin(), name.end(), word.begin(), word.end(),
                    [](char a, char b) { return std::toupper(static_cast<unsigned char>(a)) == b; }) != name.end())
      return true;
  return false;
}

}  // namespace

ConfigValues::ConfigValues(std::vector<ConfigProblem>& problems) : problems_(problems) {
  for (const Key& key : kKeys)
    if (key.kind != kElsewhere) values_[std::string(key.path)] = YAML::Load(std::string(key.default_yaml));
}

void ConfigValues::read_text(std::string_view text) {
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

void ConfigValues::apply_set(const std::string& assignment) {
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

void ConfigValues::problem(const YAML::Mark& mark, std::string message, std::string suggestion, bool fatal) {
  const bool none = mark.is_null();
  problems_.push_back(
      {fatal, none ? 0 : mark.line + 1, none ? 0 : mark.column + 1, std::move(message), std::move(suggestion)});
}

void ConfigValues::wrong(const std::string& path, std::string_view expected, std::string suggestion) {
  const YAML::Node& node = values_[path];
  const std::string found = node.IsScalar()     ? fmt::format("'{}'", node.Scalar())
                            : node.IsMap()      ? "a map"
                            : node.IsSequence() ? "a list"
                                                : "nothing";
  problem(node.Mark(), fmt::format("{}: expected {}, found {}", path, expected, found), std::move(suggestion));
}

void ConfigValues::walk(const YAML::Node& map, const std::string& parent, int depth) {
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

void ConfigValues::take(const std::string& path, const YAML::Node& node) {
  if (find_key(path)->kind == kElsewhere) {
    without_effect_.push_back(path);
  } else if (!node.IsNull()) {
    values_[path] = node;
  } else if (path == "scripting.env" || path == "recording" || path == "redact") {
    values_[path] = node;  // emptied on purpose
  }
}

void ConfigValues::set_one(const std::string& path, const YAML::Node& value, const std::string& text) {
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

std::string ConfigValues::text(const std::string& path) {
  const YAML::Node& node = values_[path];
  if (!node.IsScalar()) {
    if (!node.IsNull()) wrong(path, "text");
    return {};
  }
  return node.Scalar();
}
int64_t ConfigValues::integer(const std::string& path, int64_t low, int64_t high) {
  int64_t n = 0;
  const YAML::Node& node = values_[path];
  if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, n) || n < low || n > high) {
    wrong(path, fmt::format("a whole number from {} to {}", low, high));
    return low;
  }
  return n;
}
uint64_t ConfigValues::size(const std::string& path) {
  const auto n = parse_size(text(path));
  if (!n) wrong(path, "a size, as 500MB or 5Gi");
  return n.value_or(0);
}
Duration ConfigValues::duration(const std::string& path) {
  const auto d = parse_duration(text(path));
  if (!d) wrong(path, "a duration, as 10s or 5m");
  return d.value_or(Duration{});
}
bool ConfigValues::boolean(const std::string& path) {
  bool b = false;
  const YAML::Node& node = values_[path];
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, b)) wrong(path, "true or false");
  return b;
}
std::vector<std::string> ConfigValues::list(const std::string& path) {
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
nlohmann::json ConfigValues::map(const std::string& path) {
  const YAML::Node& node = values_[path];
  if (node.IsNull()) return nlohmann::json::object();
  if (node.IsMap()) return json_of(node);
  wrong(path, "a map of names to values");
  return nlohmann::json::object();
}

std::map<std::string, std::string> ConfigValues::texts(const std::string& path) {
  std::map<std::string, std::string> out;
  const nlohmann::json found = map(path);
  for (auto entry = found.begin(); entry != found.end(); ++entry)
    out[entry.key()] = entry->is_string() ? entry->get<std::string>() : dumped(*entry);
  return out;
}

std::string ConfigValues::merged() {
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

void ConfigValues::note_keys_without_effect() {
  if (without_effect_.empty()) return;
  std::string names;
  const size_t shown = std::min<size_t>(without_effect_.size(), 5);
  for (size_t i = 0; i < shown; ++i) names += (i == 0 ? "" : ", ") + without_effect_[i];
  if (without_effect_.size() > shown) names += fmt::format(" and {} more", without_effect_.size() - shown);
  problem(YAML::Mark::null_mark(), fmt::format("{}: known, and without effect in this program", names), {}, false);
}

std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string describe_keys() {
  static constexpr std::string_view kKindNames[] = {"bool", "int",  "text", "duration",   "seconds",
                                                    "size", "list", "map",  "map or list"};
  std::string out;
  for (const Key& key : kKeys)
    if (key.kind != kElsewhere)
      out += fmt::format("| `{}` | {} | `{}` | {} |\n", key.path, kKindNames[key.kind], key.default_yaml, key.doc);
  return out;
}

}  // namespace baleen::worker
