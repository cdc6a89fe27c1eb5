// kfl_conformance SUITE.json SKIPPED.tsv: runs the official CEL conformance suite (test/cel_conformance) through this
// folder's parser, checker and evaluator. A test in the list of skipped ones must fail, every other must pass.
// With --list it prints the tests that fail, one a line, and judges nothing.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "kfl/check_cel.h"
#include "kfl/decode.h"
#include "kfl/limits.h"
#include "kfl/parse_cel.h"
#include "kfl/time_cel.h"
#include "kfl/values_cel.h"

namespace baleen::kfl {
namespace {

using Json = nlohmann::json;

struct Unsupported {
  std::string what;
};

double real_of(const Json& j) {
  if (j.is_number()) return j.get<double>();
  const std::string s = j.get<std::string>();
  return s == "NaN" ? NAN : s == "Infinity" ? HUGE_VAL : s == "-Infinity" ? -HUGE_VAL : std::stod(s);
}

/// A value in the JSON form of cel.expr.Value.
Datum datum_of(const Json& j, Arena& arena) {
  const std::string kind = j.begin().key();
  const Json& v = j.begin().value();
  if (kind == "nullValue") return {};
  if (kind == "boolValue") return Datum::of(v.get<bool>());
  if (kind == "int64Value") return Datum::of(static_cast<int64_t>(std::stoll(v.get<std::string>())));
  if (kind == "uint64Value") return Datum::of(static_cast<uint64_t>(std::stoull(v.get<std::string>())));
  if (kind == "doubleValue") return Datum::of(real_of(v));
  if (kind == "stringValue") return Datum::text(arena.copy(std::string_view(v.get_ref<const std::string&>())));
  if (kind == "typeValue")
    return Datum::text(arena.copy(std::string_view(v.get_ref<const std::string&>())), Kind::kType);
  if (kind == "bytesValue") return Datum::text(*decode_base64(v.get<std::string>(), arena), Kind::kBytes);
  if (kind == "listValue") {
    const Json values = v.value("values", Json::array());
    const auto out = arena.array<Datum>(values.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = datum_of(values[i], arena);
    return Datum::of(std::span<const Datum>(out));
  }
  if (kind == "mapValue") {
    const Json entries = v.value("entries", Json::array());
    const auto out = arena.array<Entry>(entries.size());
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = {datum_of(entries[i]["key"], arena), datum_of(entries[i]["value"], arena)};
    return Datum::of(std::span<const Entry>(out));
  }
  if (kind == "objectValue") {
    const std::string type = v.value("@type", "");
    if (type.ends_with("google.protobuf.Timestamp")) return parse_timestamp(v["value"].get<std::string>());
    if (type.ends_with("google.protobuf.Duration")) return parse_duration_text(v["value"].get<std::string>());
    throw Unsupported{"protobuf message " + type};
  }
  throw Unsupported{kind};
}

/// A type in the JSON form of cel.expr.Type, as parse_type() reads it.
std::string type_of(const Json& j) {
  const std::string kind = j.begin().key();
  const Json& v = j.begin().value();
  if (kind == "dyn") return "dyn";
  if (kind == "null") return "null";
  if (kind == "primitive") {
    const std::string p = v.get<std::string>();
    return p == "BOOL"     ? "bool"
           : p == "INT64"  ? "int"
           : p == "UINT64" ? "uint"
           : p == "DOUBLE" ? "double"
           : p == "STRING" ? "string"
                           : "bytes";
  }
  if (kind == "wellKnown" && v != "ANY") return v == "TIMESTAMP" ? "timestamp" : "duration";
  if (kind == "listType") return "list(" + type_of(v.value("elemType", Json{{"dyn", {}}})) + ")";
  if (kind == "mapType")
    return "map(" + type_of(v.value("keyType", Json{{"dyn", {}}})) + ", " +
           type_of(v.value("valueType", Json{{"dyn", {}}})) + ")";
  if (kind == "typeParam") return v.get<std::string>();
  if (kind == "type") return "type(" + (v.empty() ? "dyn" : type_of(v)) + ")";
  if (kind == "abstractType") {
    std::string name = v["name"].get<std::string>(), inside;
    if (name == "optional_type") name = "optional";
    for (const Json& p : v.value("parameterTypes", Json::array())) inside += (inside.empty() ? "" : ", ") + type_of(p);
    return name + "(" + inside + ")";
  }
  throw Unsupported{"type " + kind};
}

bool same(const Datum& a, const Datum& b) {
  if (a.is_list() && b.is_list()) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; ++i)
      if (!same(a.element(i), b.element(i))) return false;
    return true;
  }
  if (a.is_map() && b.is_map()) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; ++i) {
      bool found = false;
      for (size_t j = 0; j < b.size && !found; ++j) found = same(a.key(i), b.key(j)) && same(a.value(i), b.value(j));
      if (!found) return false;
    }
    return true;
  }
  if (a.kind != b.kind) return false;
  if (a.is(Kind::kDouble)) return a.real == b.real || (std::isnan(a.real) && std::isnan(b.real));
  int64_t work = kMaxWork;
  return equal_cel(a, b, work);
}

std::string shown_value(const Datum& d) {
  if (d.is_error()) return "error: " + std::string(d.text());
  Arena arena;
  std::string out = fmt::format("{} ", type_name(d));
  const item::Value v = to_value(d, arena);
  if (v.is_string()) return out + std::string(v.text());
  if (v.is_number()) return out + std::to_string(v.as_double());
  return out + (v.as_bool() ? "true" : "");
}

/// What went wrong; empty when the test passed.
std::string run(const Json& t) {
  Arena arena;
  Environment environment;
  std::deque<Function> functions;
  for (const Json& declared : t.value("typeEnv", Json::array())) {
    const std::string name = declared["name"].get<std::string>();
    if (declared.contains("ident")) {
      Variable v;
      v.name = name;
      v.type = parse_type(type_of(declared["ident"]["type"]));
      v.fallback = Datum::error("the variable has no value");
      environment.add(std::move(v));
    } else {
      Function& f = functions.emplace_back();
      f.name = arena.copy(std::string_view(name));
      for (const Json& o : declared["function"]["overloads"]) {
        Overload overload;
        overload.receiver = o.value("isInstanceFunction", false);
        for (const Json& p : o.value("params", Json::array())) overload.parameters.push_back(parse_type(type_of(p)));
        overload.result = parse_type(type_of(o["resultType"]));
        f.overloads.push_back(std::move(overload));
      }
    }
  }
  const Json bindings = t.value("bindings", Json::object());
  for (const auto& [name, value] : bindings.items()) {
    Variable v;
    if (const Variable* known = environment.find(name))
      v = *known;
    else
      v.name = name, v.type = parse_type("dyn");
    v.fallback = datum_of(value["value"], arena);
    environment.add(std::move(v));
  }
  Tree tree;
  Diagnoser diagnose;
  const std::string text = t["expr"].get<std::string>();
  CheckOptions check;
  check.environment = &environment;
  check.more_functions = &functions;
  check.container = t.value("container", "");
  check.types = !t.value("disableCheck", false);
  check.filter = false;
  uint32_t locals = 0;
  const bool wants_error = t.contains("evalError") || t.contains("anyEvalErrors");
  if (!parse_cel(text, tree, diagnose, !t.value("disableMacros", false)) || !check_cel(tree, check, diagnose, locals))
    return wants_error ? "" : "does not compile: " + render(text, diagnose.take());
  const Json typed = t.value("typedResult", Json::object());
  if (typed.contains("deducedType")) {
    const std::string expected = type_of(typed["deducedType"]), got = to_string(*tree.root->type);
    if (expected != got) return fmt::format("type {} instead of {}", got, expected);
  }
  if (t.value("checkOnly", false)) return "";
  std::vector<Datum> slots(locals + 1);
  Context context{{}, arena, kMaxWork, slots.data()};
  const Datum got = eval_cel(*tree.root, context);
  if (wants_error) return got.is_error() ? "" : "no error but " + shown_value(got);
  const Datum expected = t.contains("value")        ? datum_of(t["value"], arena)
                         : typed.contains("result") ? datum_of(typed["result"], arena)
                                                    : Datum::of(true);
  return same(got, expected) ? "" : fmt::format("{} instead of {}", shown_value(got), shown_value(expected));
}

int main_(int argc, char** argv) {
  if (argc < 3) return std::fputs("kfl_conformance SUITE.json SKIPPED.tsv|--list\n", stderr), 2;
  std::ifstream in(argv[1]);
  const Json rows = Json::parse(in);
  const bool list = std::strcmp(argv[2], "--list") == 0;
  std::set<std::string> skipped;
  if (!list) {
    std::ifstream skips(argv[2]);
    for (std::string line; std::getline(skips, line);)
      if (!line.empty() && line[0] != '#') skipped.insert(line.substr(0, line.find('\t')));
  }
  size_t passed = 0, wrong = 0;
  std::set<std::string> seen;
  for (const Json& row : rows) {
    std::string name = row["name"].get<std::string>();
    for (char& c : name) c = c == '\n' || c == '\t' ? ' ' : c;  // one is named by its text
    const std::string base = name;
    for (size_t n = 2; !seen.insert(name).second; ++n) name = fmt::format("{}#{}", base, n);
    std::string problem;
    try {
      problem = run(row["test"]);
    } catch (const Unsupported& u) {
      problem = "needs " + u.what;
    }
    const bool skip = skipped.contains(name);
    passed += problem.empty();
    std::replace(problem.begin(), problem.end(), '\n', ' ');
    if (list && !problem.empty()) std::cout << name << "\t" << row["test"]["expr"].dump() << "\t" << problem << "\n";
    if (!list && skip && problem.empty()) ++wrong, std::cout << "PASSES, but is listed as skipped: " << name << "\n";
    if (!list && !skip && !problem.empty()) ++wrong, std::cout << "FAILS: " << name << ": " << problem << "\n";
    skipped.erase(name);
  }
  for (const std::string& name : skipped)
    ++wrong, std::cout << "is listed as skipped but does not exist: " << name << "\n";
  std::cout << fmt::format("{} of {} tests passed, {} wrong\n", passed, rows.size(), wrong);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace baleen::kfl

int main(int argc, char** argv) { return baleen::kfl::main_(argc, argv); }
