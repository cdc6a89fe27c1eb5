#include "kfl/path.h"

#include <charconv>
#include <cstring>

#include "item/flow_id.h"
#include "item/json.h"
#include "kfl/lex_v1.h"
#include "kfl/limits.h"

// A live item is not a tree: its ends, times and sizes are plain members, and only the payloads are Values. So a path
// is matched, when it is compiled, against the parts that can be taken out directly (kLive); whatever is not in that
// table is taken from item::member(), which makes one top-level member of the tree. Both give what item::as_value()
// shows, and live_json_test.cpp holds them to it.

namespace baleen::kfl {
namespace {

using item::Item;
using item::ResolvedEndpoint;
using item::Value;

Datum port_text(uint16_t port, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(8, 1));
  const auto end = std::to_chars(out, out + 8, port).ptr;
  return Datum::text({out, static_cast<size_t>(end - out)});
}

Datum address_text(const net::IpAddress& ip, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(46, 1));
  return Datum::text({out, net::write_address(ip, out)});
}

Datum size_of(uint64_t n) { return Datum::of(Value(n)); }
Datum payload(const item::Message& m) { return m.present ? Datum::of(m.payload) : Datum(); }

struct Live {
  std::string_view path;
  LiveGetter get;
};

#define END(side, member)                                                                                   \
  {side ".ip", [](const Item& i, Arena& a) { return address_text(i.member.address.ip, a); }},               \
      {side ".port", [](const Item& i, Arena& a) { return port_text(i.member.address.port, a); }},          \
      {side ".name", [](const Item& i, Arena&) { return Datum::text(i.member.name); }},                     \
      {side ".namespace", [](const Item& i, Arena&) { return Datum::text(i.member.name_space); }},          \
      {side ".pod", [](const Item& i, Arena&) { return Datum::of(i.member.pod_object); }},                  \
      {side ".service", [](const Item& i, Arena&) { return Datum::of(i.member.service_object); }},          \
      {side ".endpointSlice", [](const Item& i, Arena&) { return Datum::of(i.member.endpoint_slice); }},    \
      {side ".node", [](const Item& i, Arena&) { return Datum::text(i.member.node); }},                     \
      {side ".processName", [](const Item& i, Arena&) { return Datum::text(i.member.process); }},           \
      {side ".containerId", [](const Item& i, Arena&) { return Datum::text(i.member.container_id); }},      \
      {side ".processId", [](const Item& i, Arena&) { return Datum::of(int64_t{i.member.process_id}); }}, { \
    side ".cgroupId", [](const Item& i, Arena&) { return size_of(i.member.cgroup_id); }                     \
  }

#define PROTOCOL(name, member) \
  {"protocol." name,           \
   [](const Item& i, Arena&) { return i.protocol != nullptr ? Datum::text(i.protocol->member) : Datum::missing(); }}

constexpr Live kLive[] = {
    END("src", client),
    END("dst", server),
    PROTOCOL("name", name),
    PROTOCOL("abbr", abbreviation),
    PROTOCOL("version", version),
    PROTOCOL("macro", macro),
    PROTOCOL("layer4", layer4),
    PROTOCOL("layer3", layer3),
    PROTOCOL("longName", long_name),
    {"request", [](const Item& i, Arena&) { return payload(i.request); }},
    {"response", [](const Item& i, Arena&) { return payload(i.response); }},
    {"data", [](const Item& i, Arena&) { return payload(i.data); }},
    {"timestamp", [](const Item& i, Arena&) { return Datum::of(to_ms(i.time())); }},
    {"elapsedTime", [](const Item& i, Arena&) { return Datum::of(int64_t{i.elapsed().count() / 1000}); }},
    {"requestSize", [](const Item& i, Arena&) { return size_of(i.request.size); }},
    {"responseSize", [](const Item& i, Arena&) { return size_of(i.response.size); }},
    {"size", [](const Item& i, Arena&) { return size_of(i.request.size + i.response.size + i.data.size); }},
    {"index", [](const Item& i, Arena&) { return size_of(i.index); }},
    {"conn_id", [](const Item& i, Arena&) { return size_of(i.stream); }},
    {"flow_id", [](const Item& i, Arena&) { return size_of(item::flow_id(i)); }},
    {"tls", [](const Item& i, Arena&) { return Datum::of(i.tls); }},
    {"captureSource", [](const Item& i, Arena&) { return Datum::of(int64_t{static_cast<int>(i.source)}); }},
    {"node.name", [](const Item& i, Arena&) { return Datum::text(i.origin != nullptr ? i.origin->node_name : ""); }},
    {"node.ip", [](const Item& i, Arena&) { return Datum::text(i.origin != nullptr ? i.origin->node_ip : ""); }},
};
#undef END
#undef PROTOCOL

/// The names at the front of `steps` with dots between them, at most two.
std::string front(const std::vector<Step>& steps, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) {
    if (i != 0) out += '.';
    out += steps[i].name;
  }
  return out;
}

/// Values made by a path that may have several results.
class Collector {
 public:
  Collector(Arena& arena, int64_t& work, size_t at_most) : arena_(arena), work_(work), at_most_(at_most) {}

  void walk(std::span<const Step> steps, const Value& from) {
    if (--work_ < 0 || used_ >= at_most_) return;
    if (steps.empty()) return add(from);
    const Step& step = steps[0];
    const auto rest = steps.subspan(1);
    switch (step.kind) {
      case Step::Kind::kName:
        if (const Value* v = from.find(step.name)) walk(rest, *v);
        return;
      case Step::Kind::kIndex:
        if (const auto e = from.elements(); static_cast<size_t>(step.index) < e.size())
          walk(rest, e[static_cast<size_t>(step.index)]);
        return;
      case Step::Kind::kAny: return each(from, [&](const Value& v) { walk(rest, v); });
      case Step::Kind::kDescend: return descend(step, rest, from);
    }
  }

  Datum result() const {
    if (work_ < 0) return Datum::error(kOutOfWork);
    if (used_ == 0) return Datum::missing();
    if (used_ == 1) return Datum::of(found_[0]);
    return Datum::of(Value::list(found_.first(used_)));
  }

 private:
  template <class F>
  void each(const Value& from, F f) {
    for (const Value& v : from.elements()) f(v);
    for (const item::Member& m : from.members()) f(m.value);
  }

  void descend(const Step& step, std::span<const Step> rest, const Value& from) {
    if (--work_ < 0) return;
    if (const Value* v = from.find(step.name)) walk(rest, *v);
    each(from, [&](const Value& v) {
      if (v.is_list() || v.is_map()) descend(step, rest, v);
    });
  }

  void add(const Value& v) {
    if (used_ == found_.size()) {
      const auto more = arena_.array<Value>(found_.empty() ? 8 : found_.size() * 2);
      std::copy(found_.begin(), found_.end(), more.begin());
      found_ = more;
    }
    found_[used_++] = v;
  }

  Arena& arena_;
  int64_t& work_;
  size_t at_most_;
  std::span<Value> found_;
  size_t used_ = 0;
};

Value as_item_value(const Datum& d, Arena& arena) { return to_value(d, arena); }

Datum walk_one(std::span<const Step> steps, Datum at) {
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::kName) {
      if (!at.is(Kind::kItemMap)) return Datum::missing();
      const Value map = Value::map({at.members, at.size}, at.fold_case);
      const Value* v = map.find(step.name);
      if (v == nullptr) return Datum::missing();
      at = Datum::of(*v);
    } else {
      if (!at.is(Kind::kItemList) || static_cast<size_t>(step.index) >= at.size) return Datum::missing();
      at = Datum::of(at.items[step.index]);
    }
  }
  return at;
}

/// The part of the record that the first steps name, and how many steps that were.
Datum start(const Path& path, const Record& record, Arena& arena, size_t& used) {
  used = 0;
  if (record.root != nullptr) return Datum::of(*record.root);
  if (path.live != nullptr) {
    used = path.live_steps;
    return path.live(*record.item, arena);
  }
  if (path.steps.empty() || path.steps[0].kind != Step::Kind::kName)
    return Datum::of(item::as_value(*record.item, arena));
  used = 1;
  if (path.live_steps == SIZE_MAX) return Datum::missing();
  return Datum::of(item::member(*record.item, path.steps[0].name, arena));
}

/// Whether an item's tree has a top-level member of that name, whatever the item.
bool is_top_level(std::string_view name) {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    Arena arena;
    const Item empty(nullptr);
    for (const item::Member& m : item::as_value(empty, arena).members()) names.emplace_back(m.name);
    return names;
  }();
  for (const std::string& n : kNames)
    if (n == name) return true;
  return false;
}

}  // namespace

Path::Path(std::vector<Step> s) : steps(std::move(s)) {
  size_t named = 0;
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::kAny || step.kind == Step::Kind::kDescend) single = false;
    if (step.kind == Step::Kind::kName && named == static_cast<size_t>(&step - steps.data())) ++named;
  }
  for (size_t n = 1; n <= 2 && n <= named; ++n)
    for (const Live& l : kLive)
      if (l.path == front(steps, n)) live = l.get, live_steps = n;
  if (live == nullptr && named > 0 && !is_top_level(steps[0].name)) live_steps = SIZE_MAX;  // never there
}

Path Path::names(std::string_view dotted) {
  std::vector<Step> steps;
  while (!dotted.empty()) {
    const size_t dot = std::min(dotted.find('.'), dotted.size());
    steps.push_back({Step::Kind::kName, std::string(dotted.substr(0, dot))});
    dotted.remove_prefix(std::min(dot + 1, dotted.size()));
  }
  return Path(std::move(steps));
}

namespace {

/// A key in such quotes that it is read as it is: KFL v1 has no escapes.
std::string bracketed(std::string_view key) {
  for (const char quote : {'"', '`', '\''}) {
    const std::string text = quote + std::string(key) + quote;
    Diagnoser diagnose;
    const std::vector<TokenV1> tokens = lex_v1(text, diagnose);
    const bool trims = quote == '"' && (key.starts_with('"') || key.ends_with('"'));
    if (!diagnose.failed() && !trims && tokens.size() == 2 && tokens[0].text.size() == text.size()) return text;
  }
  return '"' + std::string(key) + '"';
}

}  // namespace

std::string Path::text() const {
  std::string out;
  for (const Step& step : steps) {
    switch (step.kind) {
      case Step::Kind::kName:
        if (step.quoted) {
          out += "[" + bracketed(step.name) + "]";
        } else {
          if (!out.empty()) out += '.';
          out += step.name;
          if (step.called) out += "()";
        }
        break;
      case Step::Kind::kIndex: out += '[' + std::to_string(step.index) + ']'; break;
      case Step::Kind::kAny: out += step.quoted ? "[\"*\"]" : out.empty() ? "*" : ".*"; break;
      case Step::Kind::kDescend: out += ".." + step.name; break;
    }
  }
  return out;
}

Datum select_one(const Path& path, const Record& record, Arena& arena) {
  size_t used;
  const Datum at = start(path, record, arena, used);
  return used == path.steps.size() ? at : walk_one(std::span(path.steps).subspan(used), at);
}

Datum select(const Path& path, const Record& record, Arena& arena, int64_t& work) {
  if (path.single) return select_one(path, record, arena);
  size_t used;
  const Datum at = start(path, record, arena, used);
  if (at.is(Kind::kMissing)) return at;
  return select_from(std::span(path.steps).subspan(used), as_item_value(at, arena), arena, work);
}

Datum select_from(std::span<const Step> steps, const Value& from, Arena& arena, int64_t& work, size_t at_most) {
  Collector collector(arena, work, at_most);
  collector.walk(steps, from);
  return collector.result();
}

}  // namespace baleen::kfl
