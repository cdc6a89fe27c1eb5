#include "record/redaction.h"

#include <fmt/core.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <unordered_set>

#include "codec/base64.h"
#include "item/json.h"

// Two steps. First the rules say which values of an item are secrets; then every text of the item in which one of these
// stands, in whatever field or column and in whatever encoding, loses it. So a password that a card marks as
// request.password is also cut out of a query, an error message, a raw head, a summary.

namespace baleen::record {
namespace {

using item::Member;
using item::Value;

constexpr std::string_view kRedacted = "[REDACTED]";
constexpr size_t kMostSecrets = 4096;       // of one item
constexpr size_t kLongestOpened = 4 << 20;  // texts on a JSON path
constexpr size_t kLeastBase64 = 12;

std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != '-' && c != '_' && c != '.') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Names that say what they hold, wherever they come: parameters of a query, of a form, properties, attributes.
bool sounds_secret(std::string_view name) {
  if (name.size() > 64) return false;
  const std::string f = folded(name);
  for (const std::string_view word :
       {"password", "passwd", "passphrase", "secret", "accesstoken", "refreshtoken", "idtoken", "authtoken", "apikey",
        "authorization", "credential", "privatekey", "csrftoken", "xsrftoken", "securitytoken", "bearer"})
    if (f.find(word) != std::string::npos) return true;
  for (const std::string_view whole :
       {"token", "pwd", "pass", "jwt", "cookie", "setcookie", "sig", "xamzsignature", "xgoogsignature", "authtokens"})
    if (f == whole) return true;
  return false;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
         });
}

bool is_text(const Value& v) { return v.type() == Value::Type::kString || v.type() == Value::Type::kBytes; }

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    out.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::string_view trimmed(std::string_view t) {
  while (!t.empty() && (t.front() == ' ' || t.front() == '\t')) t.remove_prefix(1);
  while (!t.empty() && (t.back() == ' ' || t.back() == '\t' || t.back() == '\r')) t.remove_suffix(1);
  return t;
}

bool is_url_field(std::string_view path) { return path.ends_with(".url") || path.ends_with(".targetUri"); }
bool is_head_field(std::string_view path) { return path.ends_with(".rawHead"); }

void walk(const Value& v, const std::function<void(const Value&, std::string_view name, const Value* in)>& each,
          std::string_view name = {}, const Value* in = nullptr) {
  each(v, name, in);
  for (const Value& e : v.elements()) walk(e, each, name, &v);
  for (const Member& m : v.members()) walk(m.value, each, m.name, &v);
}

}  // namespace

struct Redaction::Compiled {
  struct Header {
    std::string name;
    uint16_t rule;
  };
  struct Path {
    std::vector<std::string> steps;
    uint16_t rule;
  };
  struct Pattern {
    std::unique_ptr<re2::RE2> expression;
    uint16_t rule;
  };
  std::vector<Header> headers;
  std::vector<Path> paths;
  std::vector<Pattern> patterns;
  kfl::Filter filter;
  uint16_t filter_rule = 0;
};

/// What the rules have to say about one item.
struct Redaction::Findings {
  std::vector<Secret> secrets;
  std::unordered_set<const Value*> whole;  // values that are replaced as they stand
  std::map<const Value*, uint16_t> rules;  // of those
  Secret::Side side = Secret::Side::kAny;
  bool too_many = false;

  void mark(const Value& v, uint16_t rule) {
    if (whole.insert(&v).second) rules[&v] = rule;
  }
  void add(std::string_view text, uint16_t rule, bool verbatim) {
    if (text.empty()) return;
    if (secrets.size() == kMostSecrets) {
      too_many = true;
      return;
    }
    secrets.push_back({std::string(text), side, verbatim, rule});
  }

  /// Credentials within credentials: "Basic dTpw", "a=b; c=d", SASL's PLAIN.
  void add_parts(std::string_view text, uint16_t rule) {
    const auto decoded = [&](std::string_view t) {
      Arena arena;
      const auto bytes = t.size() >= 4 ? codec::from_base64(t, arena) : std::nullopt;
      if (!bytes) return;
      const std::string_view plain = as_text(*bytes);
      const size_t colon = plain.find(':'), zero = plain.rfind('\0');
      const size_t cut = zero != std::string_view::npos ? zero : colon;
      if (cut != std::string_view::npos && cut + 1 < plain.size()) add(plain.substr(cut + 1), rule, false);
    };
    if (text.size() > 64 << 10) return;
    const size_t space = text.find(' ');
    const std::string_view scheme = text.substr(0, std::min(space, text.size()));
    if (space != std::string_view::npos && scheme.size() <= 16 &&
        scheme.find_first_of("=;:,") == std::string_view::npos) {
      const std::string_view rest = trimmed(text.substr(space));
      add(rest, rule, false);
      decoded(rest);
    } else {
      decoded(text);
    }
    if (text.find('=') == std::string_view::npos) return;
    for (const std::string& pair : split(text, ';')) {
      const size_t equals = pair.find('=');
      if (equals == std::string::npos) continue;
      const std::string name = folded(trimmed(std::string_view(pair).substr(0, equals)));
      static const std::unordered_set<std::string> kAttributes = {"path",   "domain",   "expires",
                                                                  "maxage", "samesite", "priority"};
      if (!kAttributes.contains(name)) add(trimmed(std::string_view(pair).substr(equals + 1)), rule, false);
    }
  }

  /// Everything below `v` is secret.
  void add_all(const Value& v, uint16_t rule) {
    walk(v, [&](const Value& leaf, std::string_view name, const Value* in) {
      if (leaf.is_list() || leaf.is_map() || leaf.is_null()) return;
      // Of a form's fields the name is none: its value is.
      if ((name == "name" || name == "contentType") && in != nullptr && in->find("value") != nullptr) return;
      mark(leaf, rule);
      if (!is_text(leaf)) {
        if (leaf.type() == Value::Type::kInt) add_number(leaf.as_int(), rule);
        return;
      }
      for (const std::string& line : split(leaf.text(), '\n')) {
        const bool lines = leaf.type() == Value::Type::kString;
        add(lines ? std::string_view(line) : leaf.text(), rule, true);
        add_parts(lines ? std::string_view(line) : leaf.text(), rule);
        if (!lines) break;
      }
    });
  }

  /// Small ones are everywhere; a key of 32 bits or more is found as text and as binary numbers write it.
  void add_number(int64_t n, uint16_t rule) {
    if (n > -1000 && n < 1000) return;
    add(std::to_string(n), rule, false);
    const auto u = static_cast<uint64_t>(n);
    std::string big, little;
    const size_t size = u <= UINT32_MAX ? 4 : 8;
    for (size_t i = 0; i < size; ++i) little += static_cast<char>(u >> (8 * i));
    big.assign(little.rbegin(), little.rend());
    add(big, rule, true);
  }

  /// A user's password and the parameters that sound like secrets.
  void add_url(std::string_view url, uint16_t rule) {
    const size_t authority = url.find("://");
    if (authority != std::string_view::npos) {
      const size_t begin = authority + 3, end = std::min(url.find_first_of("/?#", begin), url.size());
      const std::string_view host = url.substr(begin, end - begin);
      if (const size_t at = host.rfind('@'); at != std::string_view::npos) {
        const std::string_view user = host.substr(0, at);
        const size_t colon = user.find(':');
        add(colon == std::string_view::npos ? user : user.substr(colon + 1), rule, false);
      }
    }
    const size_t query = url.find('?');
    if (query == std::string_view::npos) return;
    for (const std::string& pair : split(url.substr(query + 1), '&')) {
      const size_t equals = pair.find('=');
      if (equals == std::string::npos) continue;
      const Reading name = percent_decoded(std::string_view(pair).substr(0, equals));
      if (!sounds_secret(name.at.empty() ? std::string_view(pair).substr(0, equals) : std::string_view(name.text)))
        continue;
      const Reading value = percent_decoded(std::string_view(pair).substr(equals + 1));
      add(std::string_view(pair).substr(equals + 1), rule, false);
      if (!value.at.empty()) add(value.text, rule, false);
    }
  }

  void add_head(std::string_view head, const std::function<int(std::string_view name)>& rule_of) {
    for (const std::string& line : split(head, '\n')) {
      const size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      const int rule = rule_of(trimmed(std::string_view(line).substr(0, colon)));
      if (rule < 0) continue;
      const std::string_view value = trimmed(std::string_view(line).substr(colon + 1));
      add(value, static_cast<uint16_t>(rule), true);
      add_parts(value, static_cast<uint16_t>(rule));
    }
  }

  /// The values at a path. A text on the way is opened as JSON; then what is found is no value of the item's.
  void add_path(const Value& v, std::span<const std::string> steps, uint16_t rule, Arena& arena, bool live = true) {
    if (steps.empty()) {
      if (live) return add_all(v, rule);
      Findings opened;
      opened.side = side;
      opened.add_all(v, rule);
      // Numbers in a text are texts.
      walk(v, [&](const Value& leaf, std::string_view, const Value*) {
        if (!leaf.is_number()) return;
        std::string text;
        item::append_json(leaf, text);
        add(text, rule, true);
      });
      for (Secret& s : opened.secrets) add(s.text, rule, s.verbatim);
      return;
    }
    if (v.is_list()) {
      int64_t index = -1;
      const std::string& step = steps.front();
      std::from_chars(step.data(), step.data() + step.size(), index);
      if (index >= 0 && static_cast<size_t>(index) < v.size())
        return add_path(v.elements()[static_cast<size_t>(index)], steps.subspan(1), rule, arena, live);
      for (const Value& e : v.elements()) add_path(e, step == "*" ? steps.subspan(1) : steps, rule, arena, live);
      return;
    }
    if (v.is_map()) {
      if (steps.front() == "*") {
        for (const Member& m : v.members()) add_path(m.value, steps.subspan(1), rule, arena, live);
        return;
      }
      bool any = false;
      for (const Member& m : v.members()) {
        if (m.name != steps.front() && !(v.folds_case() && same_name(m.name, steps.front()))) continue;
        any = true;
        add_path(m.value, steps.subspan(1), rule, arena, live);
      }
      if (any || steps.front() != "body") return;
      for (const std::string_view name : {"postData", "content"})
        if (const Value* inner = v.find(name)) {
          static const std::string kText = "text";
          if (const Value* text = inner->find(kText)) add_path(*text, steps.subspan(1), rule, arena, live);
        }
      return;
    }
    if (!is_text(v) || v.size() > kLongestOpened) return;
    auto opened = item::parse_json(v.text(), arena);
    if (!opened) {
      if (const auto bytes = codec::from_base64(v.text(), arena)) opened = item::parse_json(as_text(*bytes), arena);
    }
    if (opened && !is_text(*opened)) {
      const Value* kept = arena.make<Value>(*opened);
      return add_path(*kept, steps, rule, arena, false);
    }
  }
};

Redaction::Redaction() : compiled_(std::make_unique<Compiled>()) {}
Redaction::~Redaction() = default;

Result<std::shared_ptr<const Redaction>> Redaction::compile(const RedactionRules& rules, const kfl::Options& options) {
  std::shared_ptr<Redaction> out(new Redaction);
  out->rules_ = rules;
  const auto named = [&](std::string name) {
    out->names_.push_back(std::move(name));
    return static_cast<uint16_t>(out->names_.size() - 1);
  };
  named("secrets");
  for (const std::string& h : rules.headers) out->compiled_->headers.push_back({h, named("headers: " + h)});
  for (const std::string& path : rules.json) {
    std::string flat = path;
    for (const std::string_view cut : {".json()"})
      for (size_t at; (at = flat.find(cut)) != std::string::npos;) flat.erase(at, cut.size());
    std::replace(flat.begin(), flat.end(), '[', '.');
    std::erase(flat, ']');
    auto steps = split(flat, '.');
    if (std::find(steps.begin(), steps.end(), "") != steps.end())
      return Error{Code::kInvalid, fmt::format("redact.json: '{}' is no path, as request.body.user.password", path)};
    if (steps.front() != "request" && steps.front() != "response" && steps.front() != "data")
      return Error{Code::kInvalid,
                   fmt::format("redact.json: '{}': a path begins with request, response or data", path)};
    out->compiled_->paths.push_back({std::move(steps), named("json: " + path)});
  }
  for (const std::string& pattern : rules.patterns) {
    re2::RE2::Options how(re2::RE2::Latin1);
    how.set_log_errors(false);
    auto expression = std::make_unique<re2::RE2>(pattern, how);
    if (!expression->ok())
      return Error{Code::kInvalid, fmt::format("redact.patterns: '{}': {}", pattern, expression->error())};
    out->compiled_->patterns.push_back({std::move(expression), named("pattern: " + pattern)});
  }
  if (!rules.kfl.empty()) {
    kfl::Options how = options;
    how.dialect = kfl::Dialect::kV1;
    auto compiled = kfl::compile(rules.kfl, how);
    if (!compiled.filter) return Error{Code::kInvalid, "redact.kfl:\n" + kfl::render(rules.kfl, compiled.diagnostics)};
    if (!compiled.filter->redacts())
      return Error{Code::kInvalid,
                   fmt::format("redact.kfl: '{}' redacts nothing: redact(\"request.path\") does", rules.kfl)};
    out->compiled_->filter = *std::move(compiled.filter);
    out->compiled_->filter_rule = named("kfl");
  }
  return std::shared_ptr<const Redaction>(std::move(out));
}

namespace {

/// Calls `each` with the leaves of `before` that are another text in `after`.
void differences(const Value& before, const Value& after, const std::function<void(const Value&, const Value&)>& each) {
  if (before.type() != after.type() || (!before.is_list() && !before.is_map())) {
    if (!(before == after)) each(before, after);
    return;
  }
  const auto a = before.elements(), b = after.elements();
  const auto m = before.members(), n = after.members();
  if (a.size() != b.size() || m.size() != n.size()) return each(before, after);
  for (size_t i = 0; i < a.size(); ++i) differences(a[i], b[i], each);
  for (size_t i = 0; i < m.size(); ++i) differences(m[i].value, n[i].value, each);
}

/// What the expression's first group, or all of it, matches.
void each_match(const re2::RE2& expression, std::string_view text, const std::function<void(size_t, size_t)>& each) {
  re2::StringPiece groups[2];
  const int wanted = expression.NumberOfCapturingGroups() > 0 ? 2 : 1;
  for (size_t at = 0; at <= text.size();) {
    if (!expression.Match(re2::StringPiece(text.data(), text.size()), at, text.size(), re2::RE2::UNANCHORED, groups,
                          wanted))
      return;
    const re2::StringPiece& hit = wanted == 2 && groups[1].data() != nullptr ? groups[1] : groups[0];
    const auto begin = static_cast<size_t>(hit.data() - text.data());
    if (!hit.empty()) each(begin, begin + hit.size());
    const auto next = static_cast<size_t>(groups[0].data() - text.data()) + groups[0].size();
    at = std::max(next, at + 1);
  }
}

}  // namespace

void Redaction::collect(const item::Item& item, const Value& root, Findings& out, Arena& arena) const {
  const Compiled& c = *compiled_;
  const auto rule_of_header = [&](std::string_view name) {
    for (const Compiled::Header& h : c.headers)
      if (same_name(h.name, name)) return static_cast<int>(h.rule);
    return rules_.secrets && sounds_secret(name) ? 0 : -1;
  };
  constexpr std::pair<std::string_view, Secret::Side> kSides[] = {
      {"request", Secret::Side::kRequest}, {"response", Secret::Side::kResponse}, {"data", Secret::Side::kAny}};
  for (const auto& [name, side] : kSides) {
    const Value* message = root.find(name);
    if (message == nullptr || !message->is_map()) continue;
    out.side = side;
    if (rules_.secrets && item.protocol != nullptr) {
      for (const item::Field& field : item.protocol->fields) {
        if (!field.secret || !field.path.starts_with(name) || field.path.size() <= name.size() + 1 ||
            is_url_field(field.path) || is_head_field(field.path))
          continue;
        const auto steps = split(field.path.substr(name.size() + 1), '.');
        out.add_path(*message, steps, 0, arena);
      }
    }
    walk(*message, [&](const Value& v, std::string_view key, const Value* in) {
      if (in == nullptr) return;
      const bool text = is_text(v);
      if (text && in == message && (key == "url" || key == "targetUri" || key == "redirectURL" || key == "uri") &&
          rules_.secrets)
        out.add_url(v.text(), 0);
      if (text && key == "rawHead") {
        out.mark(v, 0);
        out.add_head(v.text(), rule_of_header);
      }
      // The name decides; text of a list or map of that name is secret as a whole.
      if (key.empty() || in->is_list()) return;
      const int rule = rule_of_header(key);
      const bool is_header = rule > 0;
      if (rule == 0 || is_header) out.add_all(v, static_cast<uint16_t>(rule));
      // {"name": "token", "value": "…"}: of forms, of properties, of attributes.
      if (key == "name" && text && rules_.secrets && sounds_secret(v.text()))
        if (const Value* value = in->find("value")) out.add_all(*value, 0);
    });
    for (const Compiled::Path& p : c.paths)
      if (p.steps.front() == name) out.add_path(*message, std::span(p.steps).subspan(1), p.rule, arena);
    for (const Compiled::Pattern& p : c.patterns) {
      walk(*message, [&](const Value& v, std::string_view, const Value*) {
        if (!is_text(v)) return;
        const auto add = [&](std::string_view t, bool verbatim) {
          each_match(*p.expression, t,
                     [&](size_t begin, size_t end) { out.add(t.substr(begin, end - begin), p.rule, verbatim); });
        };
        add(v.text(), true);
        if (v.size() < kLeastBase64) return;
        if (const auto bytes = codec::from_base64(v.text(), arena)) add(as_text(*bytes), true);
      });
    }
  }
  out.side = Secret::Side::kAny;
  if (rules_.kfl.empty()) return;
  const Value redacted = c.filter.apply_json(root, arena).record;
  differences(root, redacted, [&](const Value& before, const Value& after) {
    const auto a = is_text(before) ? item::parse_json(before.text(), arena) : std::nullopt;
    const auto b = is_text(after) ? item::parse_json(after.text(), arena) : std::nullopt;
    if (!a || !b || !(a->is_map() || a->is_list()) || after.text() == kRedacted)
      return out.add_all(before, c.filter_rule);
    // A text that was opened: what is secret in it, and not all of it.
    differences(*a, *b, [&](const Value& x, const Value&) {
      Findings opened;
      opened.add_all(x, c.filter_rule);
      for (const Secret& s : opened.secrets) out.add(s.text, s.rule, s.verbatim);
      if (x.is_number()) {
        std::string text;
        item::append_json(x, text);
        out.add(text, c.filter_rule, true);
      }
    });
  });
}

void Redaction::find(const item::Item& item, std::vector<Secret>& out) const {
  Arena arena;
  const Value root = item::as_value(item, arena);
  Findings findings;
  collect(item, root, findings, arena);
  // One that cannot be found says that not all is known.
  if (findings.too_many) out.push_back({std::string(4096, '\x01'), Secret::Side::kAny, true, 0});
  out.insert(out.end(), std::make_move_iterator(findings.secrets.begin()),
             std::make_move_iterator(findings.secrets.end()));
}

void Redaction::match(std::string_view bytes, std::vector<Range>& out) const {
  for (const Compiled::Pattern& p : compiled_->patterns)
    each_match(*p.expression, bytes, [&](size_t begin, size_t end) { out.push_back({begin, end, p.rule}); });
}

namespace {

/// Writes an item's tree anew, without its secrets.
class Rewriter {
 public:
  Rewriter(const SecretFinder& finder, const Redaction& redaction, RuleCounts& counts, Arena& arena)
      : finder_(finder), redaction_(redaction), counts_(counts), arena_(arena) {}

  std::string text(std::string_view t) {
    std::vector<Range> ranges = finder_.find(t);
    redaction_.match(t, ranges);
    merge(ranges);
    if (ranges.empty() && t.size() >= kLeastBase64) {
      Arena scratch;
      if (const auto bytes = codec::from_base64(t, scratch); bytes && finder_.stands_in(as_text(*bytes)))
        ranges.push_back({0, t.size(), 0});
    }
    std::string out;
    size_t at = 0;
    for (const Range& r : ranges) {
      out += t.substr(at, r.begin - at);
      out += kRedacted;
      at = r.end;
      count(r.rule);
    }
    if (at == 0) return std::string(t);
    out += t.substr(at);
    return out;
  }
  void count(uint16_t rule) {
    ++counts_[redaction_.name_of(rule)];
    changed_ = true;
  }
  bool changed() const { return changed_; }

  Value value(const Value& v, const std::unordered_set<const Value*>& whole,
              const std::map<const Value*, uint16_t>& rules) {
    if (whole.contains(&v)) {
      count(rules.at(&v));
      return kRedacted;
    }
    if (v.is_list()) {
      const auto elements = arena_.array<Value>(v.size());
      for (size_t i = 0; i < elements.size(); ++i) elements[i] = value(v.elements()[i], whole, rules);
      return Value::list(elements);
    }
    if (v.is_map()) {
      const auto members = arena_.array<Member>(v.size());
      for (size_t i = 0; i < members.size(); ++i)
        members[i] = {arena_.copy(text(v.members()[i].name)), value(v.members()[i].value, whole, rules)};
      return Value::map(members, v.folds_case());
    }
    if (!is_text(v)) return v;
    const std::string_view kept = arena_.copy(text(v.text()));
    return v.is_string() ? Value(kept) : Value::bytes(as_bytes(kept));
  }

 private:
  const SecretFinder& finder_;
  const Redaction& redaction_;
  RuleCounts& counts_;
  Arena& arena_;
  bool changed_ = false;
};

}  // namespace

bool Redaction::redact(const item::Item& item, index::ItemRow& out, RuleCounts& counts,
                       std::string_view recording) const {
  Arena arena;
  Value root = item::as_value(item, arena);
  if (!recording.empty()) {
    const auto members = arena.array<Member>(root.size() + 1);
    size_t n = 0;
    for (const Member& m : root.members())
      if (m.name != "record") members[n++] = m;
    members[n++] = {"record", Value(recording)};
    root = Value::map(members.first(n));
  }
  Findings findings;
  collect(item, root, findings, arena);
  std::stable_sort(findings.secrets.begin(), findings.secrets.end(),
                   [](const Secret& a, const Secret& b) { return a.text.size() > b.text.size(); });
  const SecretFinder finder(findings.secrets);
  Rewriter rewriter(finder, *this, counts, arena);
  Value kept = rewriter.value(root, findings.whole, findings.rules);
  if (findings.too_many) {  // what is not known is not kept
    const auto members = arena.array<Member>(kept.size());
    for (size_t i = 0; i < members.size(); ++i) {
      members[i] = kept.members()[i];
      if (members[i].name == "request" || members[i].name == "response" || members[i].name == "data")
        members[i].value = kRedacted;
    }
    kept = Value::map(members);
    rewriter.count(0);
  }
  out = index::row_from(item, recording);
  out.json.clear();
  item::append_json(kept, out.json);
  RuleCounts columns;  // the same secrets once more
  Rewriter again(finder, *this, columns, arena);
  for (std::string* column : {&out.method, &out.path, &out.host, &out.status_text, &out.error})
    *column = findings.too_many ? std::string() : again.text(*column);
  // A column may show a value that is no text elsewhere.
  for (const Value* v : findings.whole) {
    const std::string shown = v->is_number() ? std::to_string(v->as_int()) : std::string();
    for (std::string* column : {&out.method, &out.path, &out.status_text})
      if (!shown.empty() && *column == shown) *column = kRedacted;
  }
  return rewriter.changed() || !columns.empty();
}

RedactionRules operator+(RedactionRules a, const RedactionRules& b) {
  const auto join = [](std::vector<std::string>& to, const std::vector<std::string>& more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  a.secrets |= b.secrets;
  join(a.headers, b.headers);
  join(a.json, b.json);
  join(a.patterns, b.patterns);
  a.kfl = a.kfl.empty() || b.kfl.empty() ? a.kfl + b.kfl : "(" + a.kfl + ") and (" + b.kfl + ")";
  return a;
}

}  // namespace baleen::record
