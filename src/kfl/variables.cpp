#include "kfl/variables.h"

#include <charconv>
#include <mutex>

#include "kfl/decode.h"
#include "kfl/functions.h"
#include "kfl/protocols.h"
#include "kfl/time_cel.h"
#include "kfl/values_cel.h"
#include "kfl/variables_table.h"

namespace baleen::kfl {
namespace {

Datum fallback_of(const Type& type) {
  switch (type.kind) {
    case Type::Kind::kBool: return Datum::of(false);
    case Type::Kind::kInt: return Datum::of(int64_t{0});
    case Type::Kind::kUint: return Datum::of(uint64_t{0});
    case Type::Kind::kDouble: return Datum::of(0.0);
    case Type::Kind::kString: return Datum::text("");
    case Type::Kind::kBytes: return Datum::text("", Kind::kBytes);
    case Type::Kind::kList: return Datum::of(std::span<const Datum>());
    case Type::Kind::kMap: return Datum::of(std::span<const Entry>());
    case Type::Kind::kTimestamp: return Datum::timestamp(0, 0);
    default: return {};
  }
}

/// What an item says, as the variable's type; the fallback when it is something else.
inline Datum converted(const Datum& d, const Variable& v, Context& c) {
  if (v.is_int && d.is(Kind::kInt)) return d;
  switch (v.type->kind) {
    case Type::Kind::kBool: return d.is(Kind::kBool) ? d : v.fallback;
    case Type::Kind::kInt: {
      if (d.is(Kind::kInt)) return d;
      if (d.is(Kind::kDouble))
        return d.real > -9e18 && d.real < 9e18 ? Datum::of(static_cast<int64_t>(d.real)) : v.fallback;
      if (!d.is(Kind::kString)) return v.fallback;
      int64_t n = 0;  // ports are texts in an item's JSON
      const auto [end, status] = std::from_chars(d.chars, d.chars + d.size, n);
      return status == std::errc() && end == d.chars + d.size && d.size != 0 ? Datum::of(n) : v.fallback;
    }
    case Type::Kind::kString: {
      if (d.is(Kind::kString)) return d;
      if (d.is(Kind::kBytes)) return Datum::text(encode_base64(d.text(), c.arena));
      if (d.is(Kind::kInt)) {
        char* out = static_cast<char*>(c.arena.allocate(24, 1));
        return Datum::text({out, static_cast<size_t>(std::to_chars(out, out + 24, d.integer).ptr - out)});
      }
      return v.fallback;
    }
    case Type::Kind::kBytes: {
      if (d.is(Kind::kBytes)) return d;
      if (!d.is(Kind::kString)) return v.fallback;
      // JSON shows bytes in base64 and text as it is. What reads as base64 is taken for it, in live items and in JSON
      // alike, so that both give the same answer.
      const std::string_view text = d.text();
      if (text.size() % 4 == 0 && text.find_first_of("\r\n") == std::string_view::npos)
        if (const auto decoded = decode_base64(text, c.arena)) return Datum::text(*decoded, Kind::kBytes);
      return Datum::text(text, Kind::kBytes);
    }
    case Type::Kind::kList: return d.is_list() ? d : v.fallback;
    case Type::Kind::kMap: return d.is_map() ? d : v.fallback;
    default: return d.is(Kind::kNull) ? v.fallback : d;
  }
}

uint64_t scope_of(std::string_view text) {
  uint64_t mask = 0;
  while (!text.empty()) {
    const size_t bar = std::min(text.find('+'), text.size());
    mask |= flag_mask(text.substr(0, bar));
    text.remove_prefix(std::min(bar + 1, text.size()));
  }
  return mask;
}

/// "http:response.status,dns:response.code" or "response.status".
void add_sources(Variable& v, std::string_view paths) {
  while (!paths.empty()) {
    const size_t comma = std::min(paths.find(','), paths.size());
    std::string_view path = paths.substr(0, comma);
    paths.remove_prefix(std::min(comma + 1, paths.size()));
    uint64_t protocols = kAnyProtocol;
    if (const size_t colon = path.find(':'); colon != std::string_view::npos) {
      protocols = scope_of(path.substr(0, colon));
      path.remove_prefix(colon + 1);
    }
    v.sources.push_back({protocols, Path::names(path)});
  }
}

std::string_view type_text(item::FieldType type) {
  using F = item::FieldType;
  switch (type) {
    case F::kBool: return "bool";
    case F::kInt: return "int";
    case F::kDouble: return "double";
    case F::kString: return "string";
    case F::kBytes: return "bytes";
    case F::kList: return "list(dyn)";
    case F::kMap: return "map(string, dyn)";
  }
  return "dyn";
}

/// A protocol's own field: a new variable, or the true place of one of the table.
void add_field(Environment& environment, const item::Protocol& p, const item::Field& f) {
  const uint64_t bits = protocol_bits(p.name, p.version, p.abbreviation, p.macro) & ~kKnown;
  const Variable* known = environment.find(f.cel_name);
  Variable v;
  if (known != nullptr) {
    v = *known;
    if (v.compute != nullptr) return;
    for (const Variable::Source& s : v.sources)
      if ((s.protocols & bits) == bits && s.path.text() == f.path) return;  // the table says so already
    v.sources.insert(v.sources.begin(), {bits, Path::names(f.path)});
    // Its scope stays: `status_code == 0` does not match DNS because DNS answers have a code as well (K2-07).
  } else {
    v.name = f.cel_name;
    v.type_text = type_text(f.type);
    v.type = parse_type(v.type_text);
    v.scope = bits;
    v.fallback = fallback_of(*v.type);
    v.sources.push_back({bits, Path::names(f.path)});
    v.doc = f.doc;
  }
  environment.add(std::move(v));
}

std::shared_ptr<const Environment> make_environment(std::span<const item::Protocol* const> protocols) {
  auto out = std::make_shared<Environment>();
  for (const VariableRow& row : variable_rows()) {
    Variable v;
    v.name = row.name;
    v.type_text = row.type;
    v.type = parse_type(row.type);
    v.scope = scope_of(row.scope);
    v.compute = row.compute;
    v.fallback = fallback_of(*v.type);
    v.is_int = v.type->kind == Type::Kind::kInt;
    v.lenient = row.lenient;
    v.doc = row.doc;
    add_sources(v, row.paths);
    if (row.name == "grpc_status") v.in_protocol = true, v.elsewhere = Datum::of(int64_t{-1});  // D-11
    out->add(std::move(v));
  }
  for (const item::Protocol* p : protocols)
    for (const item::Field& f : p->fields)
      if (!f.cel_name.empty() && flag_mask(f.cel_name) == 0) add_field(*out, *p, f);
  return out;
}

}  // namespace

const Variable* Environment::find(std::string_view name) const {
  const auto found = variables_.find(name);
  return found != variables_.end() ? &found->second : nullptr;
}

std::vector<std::string_view> Environment::names() const {
  std::vector<std::string_view> out;
  for (const auto& [name, v] : variables_) out.push_back(name);
  return out;
}

const Variable* Environment::of_path(std::string_view path) const {
  const Variable* found = nullptr;
  for (const auto& [name, v] : variables_) {
    for (size_t i = 0; i < v.sources.size(); ++i) {
      if (name == path || v.sources[i].path.text() != path) continue;
      if (v.sources.size() == 1 || v.sources[0].protocols != kAnyProtocol) return &v;  // this is where it comes from
      if (found == nullptr) found = &v;                                                // one of several places
    }
  }
  return found;
}

std::shared_ptr<const Environment> environment_for(std::span<const item::Protocol* const> protocols) {
  static std::mutex mutex;
  static std::map<std::vector<const item::Protocol*>, std::shared_ptr<const Environment>> kept;
  const std::vector<const item::Protocol*> key(protocols.begin(), protocols.end());
  const std::lock_guard lock(mutex);
  auto& slot = kept[key];
  if (slot == nullptr) {
    if (kept.size() > 16) {  // tests make many; programs have one
      auto made = make_environment(protocols);
      kept.clear();
      return kept[key] = made;
    }
    slot = make_environment(protocols);
  }
  return slot;
}

Datum value_of(const Variable& v, Context& c) {
  if (v.compute != nullptr) return v.compute(c);
  if (v.in_protocol && (protocol_of(c.record) & v.scope) == 0) return v.elsewhere;
  for (const Variable::Source& s : v.sources) {
    if (s.protocols != kAnyProtocol) {
      if (c.protocols == 0) c.protocols = protocol_of(c.record);
      if ((c.protocols & s.protocols) == 0) continue;
    }
    const Datum d = select_one(s.path, c.record, c.arena);
    if (!d.is(Kind::kMissing) && !d.is(Kind::kNull)) return converted(d, v, c);
  }
  return v.fallback;
}

}  // namespace baleen::kfl
