#include "kfl/complete.h"

#include <algorithm>

#include "base/suggest.h"
#include "kfl/closed_sets.h"
#include "kfl/dialect.h"
#include "kfl/functions.h"
#include "kfl/functions_v1.h"
#include "kfl/lex_v1.h"
#include "kfl/macros_v1.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

Dialect dialect_of(std::string_view text, const Options& options) {
  if (options.dialect != Dialect::kAuto) return options.dialect;
  const Recognised r = recognise(text, *environment_for(options.protocols));
  return r.dialect != Dialect::kAuto ? r.dialect : options.ambiguous;
}

bool is_path_part(char c) { return is_ident_part(c) || c == '.'; }

std::string scope_name(uint64_t scope) {
  for (const FlagCard& f : flag_cards())
    if (f.mask == scope) return std::string(f.name);
  return {};
}

std::string type_of_field(item::FieldType t) {
  static constexpr std::string_view kNames[] = {"bool", "int", "double", "string", "bytes", "list", "map"};
  return std::string(kNames[static_cast<size_t>(t)]);
}

/// What every item has, for v1.
constexpr std::pair<std::string_view, std::string_view> kCommon[] = {{"src.ip", "string"},
                                                                     {"src.port", "string"},
                                                                     {"src.name", "string"},
                                                                     {"src.namespace", "string"},
                                                                     {"src.processName", "string"},
                                                                     {"dst.ip", "string"},
                                                                     {"dst.port", "string"},
                                                                     {"dst.name", "string"},
                                                                     {"dst.namespace", "string"},
                                                                     {"dst.processName", "string"},
                                                                     {"src.pod.metadata.name", "string"},
                                                                     {"dst.pod.metadata.name", "string"},
                                                                     {"src.service.metadata.name", "string"},
                                                                     {"dst.service.metadata.name", "string"},
                                                                     {"node.name", "string"},
                                                                     {"node.ip", "string"},
                                                                     {"protocol.name", "string"},
                                                                     {"protocol.abbr", "string"},
                                                                     {"protocol.version", "string"},
                                                                     {"protocol.layer4", "string"},
                                                                     {"timestamp", "int"},
                                                                     {"elapsedTime", "int"},
                                                                     {"tls", "bool"},
                                                                     {"error.type", "string"},
                                                                     {"error.msg", "string"},
                                                                     {"stream", "string"},
                                                                     {"record", "string"},
                                                                     {"capture.source", "string"},
                                                                     {"capture.backend", "string"},
                                                                     {"requestSize", "int"},
                                                                     {"responseSize", "int"},
                                                                     {"size", "int"},
                                                                     {"passed", "bool"},
                                                                     {"failed", "bool"},
                                                                     {"index", "int"},
                                                                     {"conn_id", "int"},
                                                                     {"flow_id", "int"},
                                                                     {"worker", "string"}};

struct Cursor {
  size_t begin;
  std::string_view typed;  // the name so far
  std::string_view field;  // before a comparison: what is compared
  bool in_string = false;
};

/// What stands before the cursor.
Cursor look(std::string_view text, size_t cursor) {
  Cursor c{cursor, {}, {}};
  Diagnoser ignored;
  std::string_view before[3];
  for (const TokenV1& t : lex_v1(text.substr(0, cursor), ignored)) {
    if (t.kind == TokenV1::Kind::kEnd) break;
    if (t.kind == TokenV1::Kind::kString && t.end == cursor && (t.text.size() < 2 || t.text.back() != t.text.front()))
      return {t.begin + 1, t.text.substr(1), before[0] == "=" ? before[2] : std::string_view(), true};
    before[2] = t.kind == TokenV1::Kind::kIdent ? t.text : before[2];
    before[1] = before[0];
    before[0] = t.text;
  }
  while (c.begin > 0 && is_path_part(text[c.begin - 1])) --c.begin;
  c.typed = text.substr(c.begin, cursor - c.begin);
  return c;
}

/// The dotted name that ends before the comparison in front of a string.
std::string_view compared(std::string_view text, size_t string_begin) {
  size_t end = string_begin - 1;
  while (end > 0 && (text[end - 1] == ' ' || text[end - 1] == '=' || text[end - 1] == '!')) --end;
  size_t begin = end;
  while (begin > 0 && is_path_part(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

}  // namespace

std::vector<NamedThing> named_things(Dialect dialect, const Options& options) {
  std::vector<NamedThing> out;
  if (dialect == Dialect::kV2) {
    for (const FlagCard& f : flag_cards()) out.push_back({std::string(f.name), "bool", "", "", std::string(f.doc)});
    const auto environment = environment_for(options.protocols);
    for (const auto& [name, v] : environment->variables())
      out.push_back({name, std::string(v.type_text), scope_name(v.scope),
                     v.sources.empty() ? "" : v.sources[0].path.text(), v.doc});
    return out;
  }
  for (const auto& [path, type] : kCommon)
    out.push_back({std::string(path), std::string(type), "", std::string(path), ""});
  for (const item::Protocol* p : options.protocols)
    for (const item::Field& f : p->fields)
      out.push_back(
          {std::string(f.path), type_of_field(f.type), std::string(p->macro), std::string(f.path), std::string(f.doc)});
  if (options.protocols.empty()) {
    const auto environment = environment_for({});
    for (const auto& [name, v] : environment->variables())
      for (const Variable::Source& s : v.sources)
        if (v.scope != 0)
          out.push_back({s.path.text(), std::string(v.type_text), scope_name(v.scope), s.path.text(), v.doc});
  }
  std::stable_sort(out.begin(), out.end(), [](const NamedThing& a, const NamedThing& b) { return a.name < b.name; });
  out.erase(std::unique(
                out.begin(), out.end(),
                [](const NamedThing& a, const NamedThing& b) { return a.name == b.name && a.protocol == b.protocol; }),
            out.end());
  return out;
}

Completions complete(std::string_view text, size_t cursor, const Options& options) {
  cursor = std::min(cursor, text.size());
  const Dialect dialect = dialect_of(text, options);
  const Cursor at = look(text, cursor);
  Completions out{at.begin, cursor, {}};
  const auto offer = [&](std::string_view name, std::string_view type, std::string_view doc) {
    if (out.items.size() < 100 && name.starts_with(at.typed))
      out.items.push_back({std::string(name), std::string(type), std::string(doc)});
  };
  if (at.in_string) {
    const std::string_view field = compared(text, at.begin);
    for (const std::string_view value : closed_set(field)) offer(value, "value", "");
    return out;
  }
  if (const size_t dot = at.typed.rfind('.'); dialect == Dialect::kV1 && dot != std::string_view::npos) {
    for (const HelperCard& h : helper_cards())
      if (h.signature.starts_with("field.") && h.name.starts_with(at.typed.substr(dot + 1)))
        out.items.push_back({std::string(at.typed.substr(0, dot + 1)) + std::string(h.name) + "(",
                             std::string(h.signature), std::string(h.doc)});
  }
  for (const NamedThing& n : named_things(dialect, options)) offer(n.name, n.type, n.doc);
  if (dialect == Dialect::kV1) {
    for (const Macro& m : macros_of(options)) offer(m.name, "macro", m.text);
    for (const HelperCard& h : helper_cards()) offer(h.name, h.signature, h.doc);
    for (const std::string_view word : {"and", "or", "true", "false", "nil"}) offer(word, "operator", "");
  } else {
    for (const Function& f : all_functions()) offer(f.name, f.signatures.empty() ? "" : f.signatures[0], f.doc);
    const size_t dot = at.typed.rfind('.');
    if (dot != std::string_view::npos)
      for (const Function& f : all_functions())
        for (size_t i = 0; i < f.overloads.size(); ++i)
          if (f.overloads[i].receiver && f.name.starts_with(at.typed.substr(dot + 1))) {
            if (out.items.size() < 100)
              out.items.push_back({std::string(at.typed.substr(0, dot + 1)) + std::string(f.name) + "(",
                                   std::string(f.signatures[i]), std::string(f.doc)});
            break;
          }
  }
  std::stable_sort(out.items.begin(), out.items.end(),
                   [](const Completion& a, const Completion& b) { return a.text.size() < b.text.size(); });
  out.items.erase(std::unique(out.items.begin(), out.items.end(),
                              [](const Completion& a, const Completion& b) { return a.text == b.text; }),
                  out.items.end());
  return out;
}

std::optional<Hover> hover(std::string_view text, size_t cursor, const Options& options) {
  cursor = std::min(cursor, text.size());
  size_t begin = cursor, end = cursor;
  while (begin > 0 && is_path_part(text[begin - 1])) --begin;
  while (end < text.size() && is_path_part(text[end])) ++end;
  if (begin == end) return std::nullopt;
  const std::string_view name = text.substr(begin, end - begin), last = name.substr(name.rfind('.') + 1);
  const Dialect dialect = dialect_of(text, options);
  for (const NamedThing& n : named_things(dialect, options))
    if (n.name == name) return Hover{begin, end, n.name, n.type, n.doc};
  if (dialect == Dialect::kV1) {
    for (const Macro& m : macros_of(options))
      if (m.name == name) return Hover{begin, end, m.name, "macro", m.text};
    for (const HelperCard& h : helper_cards())
      if (h.name == last) return Hover{begin, end, std::string(h.name), std::string(h.signature), std::string(h.doc)};
  } else if (const Function* f = function_named(name) != nullptr ? function_named(name) : function_named(last)) {
    return Hover{begin, end, std::string(f->name), std::string(f->signatures.empty() ? "" : f->signatures[0]),
                 std::string(f->doc)};
  }
  return std::nullopt;
}

}  // namespace baleen::kfl
