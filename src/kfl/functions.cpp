#include "kfl/functions.h"

#include <deque>
#include <map>
#include <mutex>

#include "base/check.h"

namespace baleen::kfl {
namespace {

std::string_view trimmed(std::string_view s) {
  while (s.starts_with(' ')) s.remove_prefix(1);
  while (s.ends_with(' ')) s.remove_suffix(1);
  return s;
}

/// Cuts at `at`, outside parentheses.
std::vector<std::string_view> split(std::string_view s, char at) {
  std::vector<std::string_view> out;
  int depth = 0;
  size_t from = 0;
  for (size_t i = 0; i <= s.size(); ++i) {
    if (i < s.size() && s[i] == '(') ++depth;
    if (i < s.size() && s[i] == ')') --depth;
    if (i < s.size() && (s[i] != at || depth != 0)) continue;
    if (const auto part = trimmed(s.substr(from, i - from)); !part.empty()) out.push_back(part);
    from = i + 1;
  }
  return out;
}

/// "string.contains(string) -> bool": the receiver's type, the parameters', the result's.
Overload parse_signature(std::string_view name, std::string_view signature) {
  Overload o;
  const size_t arrow = signature.find("->");
  BALEEN_CHECK(arrow != std::string_view::npos);
  o.result = parse_type(trimmed(signature.substr(arrow + 2)));
  const std::string_view form = trimmed(signature.substr(0, arrow));
  const std::string call = std::string(name) + "(";
  size_t at = form.starts_with(call) ? 0 : form.find("." + call);
  BALEEN_CHECK(at != std::string_view::npos);
  if (!form.starts_with(call)) {
    o.receiver = true;
    o.parameters.push_back(parse_type(form.substr(0, at)));
    ++at;
  }
  const std::string_view inside = form.substr(at + call.size(), form.size() - at - call.size() - 1);
  for (const std::string_view p : split(inside, ',')) o.parameters.push_back(parse_type(p));
  return o;
}

struct Registry {
  std::vector<Function> functions;
  std::map<std::string_view, size_t> by_name;

  Registry() {
    for (const auto rows : {core_functions(), text_functions(), math_functions(), time_functions()}) {
      for (const FunctionRow& row : rows) {
        Function f{row.name, row.run, {}, row.doc, split(row.signatures, ';')};
        for (const std::string_view s : f.signatures) f.overloads.push_back(parse_signature(row.name, s));
        by_name.emplace(row.name, functions.size());
        functions.push_back(std::move(f));
      }
    }
  }
};

const Registry& registry() {
  static const Registry r;
  return r;
}

}  // namespace

const Function* function_named(std::string_view name) {
  const auto found = registry().by_name.find(name);
  return found != registry().by_name.end() ? &registry().functions[found->second] : nullptr;
}

std::vector<Overload> parse_signatures(std::string_view name, std::string_view signatures) {
  std::vector<Overload> out;
  for (const std::string_view s : split(signatures, ';')) out.push_back(parse_signature(name, s));
  return out;
}

std::span<const Function> all_functions() { return registry().functions; }

const Type* parse_type(std::string_view text) {
  // Called while tables are made and for declared variables, never while filters run: types are kept for good, each
  // once.
  static std::recursive_mutex mutex;
  static TypePool pool;
  static std::map<std::string, const Type*, std::less<>> known;
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(text); found != known.end()) return found->second;
  using K = Type::Kind;
  static constexpr std::pair<std::string_view, K> kSimple[] = {
      {"dyn", K::kDyn},           {"null", K::kNull},   {"bool", K::kBool},
      {"int", K::kInt},           {"uint", K::kUint},   {"double", K::kDouble},
      {"string", K::kString},     {"bytes", K::kBytes}, {"timestamp", K::kTimestamp},
      {"duration", K::kDuration},
  };
  const Type* type = nullptr;
  for (const auto& [name, kind] : kSimple)
    if (name == text) type = pool.make(kind);
  const size_t open = text.find('(');
  if (type == nullptr && open != std::string_view::npos) {
    const std::string_view name = text.substr(0, open);
    std::vector<const Type*> parameters;
    for (const std::string_view p : split(text.substr(open + 1, text.size() - open - 2), ','))
      parameters.push_back(parse_type(p));
    const K kind = name == "list"       ? K::kList
                   : name == "map"      ? K::kMap
                   : name == "optional" ? K::kOptional
                   : name == "type"     ? K::kType
                                        : K::kAbstract;
    type = pool.make(kind, std::move(parameters), std::string(name));
  }
  if (type == nullptr) type = pool.make(K::kParameter, {}, std::string(text));
  known.emplace(std::string(text), type);
  return type;
}

std::string to_string(const Type& t) {
  using K = Type::Kind;
  static constexpr std::string_view kNames[] = {"dyn",   "null",      "bool",     "int",  "uint", "double",   "string",
                                                "bytes", "timestamp", "duration", "list", "map",  "optional", "type"};
  std::string out;
  if (t.kind == K::kParameter || t.kind == K::kAbstract)
    out = t.name;
  else if (t.kind == K::kError)
    out = "?";
  else
    out = kNames[static_cast<size_t>(t.kind)];
  if (t.kind == K::kParameter && out.starts_with('_')) out = "dyn";
  if (t.parameters.empty()) return out;
  char separator = '(';
  for (const Type* p : t.parameters) {
    out += separator;
    if (separator == ',') out += ' ';
    separator = ',';
    out += to_string(*p);
  }
  return out + ")";
}

}  // namespace baleen::kfl
