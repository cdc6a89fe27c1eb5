#include "record/redaction_findings.h"

#include <algorithm>
#include <charconv>

#include "codec/base64.h"
#include "item/json.h"

namespace baleen::record {
namespace {

using item::Member;
using item::Value;

constexpr size_t kMostSecrets = 4096;       // of one item
constexpr size_t kLongestOpened = 4 << 20;  // texts on a JSON path

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

}  // namespace

void Redaction::Findings::mark(const Value& v, uint16_t rule) {
  if (whole.insert(&v).second) rules[&v] = rule;
}

void Redaction::Findings::add(std::string_view text, uint16_t rule, bool verbatim) {
  if (text.empty()) return;
  if (secrets.size() == kMostSecrets) {
    too_many = true;
    return;
  }
  secrets.push_back({std::string(text), side, verbatim, rule});
}

void Redaction::Findings::add_parts(std::string_view text, uint16_t rule) {
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

void Redaction::Findings::add_all(const Value& v, uint16_t rule) {
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

void Redaction::Findings::add_number(int64_t n, uint16_t rule) {
  if (n > -1000 && n < 1000) return;
  add(std::to_string(n), rule, false);
  const auto u = static_cast<uint64_t>(n);
  std::string big, little;
  const size_t size = u <= UINT32_MAX ? 4 : 8;
  for (size_t i = 0; i < size; ++i) little += static_cast<char>(u >> (8 * i));
  big.assign(little.rbegin(), little.rend());
  add(big, rule, true);
}

void Redaction::Findings::add_url(std::string_view url, uint16_t rule) {
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

void Redaction::Findings::add_head(std::string_view head, const std::function<int(std::string_view name)>& rule_of) {
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

void Redaction::Findings::add_opened(const Value& v, uint16_t rule) {
  Findings opened;
  opened.add_all(v, rule);
  // Numbers in a text are texts.
  walk(v, [&](const Value& leaf, std::string_view, const Value*) {
    if (!leaf.is_number()) return;
    std::string text;
    item::append_json(leaf, text);
    add(text, rule, true);
  });
  for (const Secret& s : opened.secrets) add(s.text, rule, s.verbatim);
  too_many |= opened.too_many;
}

void Redaction::Findings::add_path(const Value& v, std::span<const std::string> steps, uint16_t rule, Arena& arena,
                                   bool live) {
  if (steps.empty()) {
    if (live) return add_all(v, rule);
    add_opened(v, rule);
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

void Redaction::Findings::add_fields(const item::Protocol& protocol, std::string_view side_name, const Value& message,
                                     Arena& arena) {
  for (const item::Field& field : protocol.fields) {
    if (!field.secret || !field.path.starts_with(side_name) || field.path.size() <= side_name.size() + 1 ||
        is_url_field(field.path) || is_head_field(field.path))
      continue;
    add_path(message, split(field.path.substr(side_name.size() + 1), '.'), 0, arena);
  }
}

void Redaction::Findings::add_named(const Value& message, bool secrets_too,
                                    const std::function<int(std::string_view name)>& rule_of) {
  walk(message, [&](const Value& v, std::string_view key, const Value* in) {
    if (in == nullptr) return;
    const bool text = is_text(v);
    if (text && in == &message && (key == "url" || key == "targetUri" || key == "redirectURL" || key == "uri") &&
        secrets_too)
      add_url(v.text(), 0);
    if (text && key == "rawHead") {
      mark(v, 0);
      add_head(v.text(), rule_of);
    }
    if (key.empty() || in->is_list()) return;
    if (const int rule = rule_of(key); rule >= 0) add_all(v, static_cast<uint16_t>(rule));
    // {"name": "token", "value": "…"}: of forms, of properties, of attributes.
    if (key == "name" && text && secrets_too && sounds_secret(v.text()))
      if (const Value* value = in->find("value")) add_all(*value, 0);
  });
}

void Redaction::Findings::add_matches(const Value& message, const re2::RE2& expression, uint16_t rule, Arena& arena) {
  const auto add_each = [&](std::string_view t) {
    each_match(expression, t, [&](size_t begin, size_t end) { add(t.substr(begin, end - begin), rule, true); });
  };
  walk(message, [&](const Value& v, std::string_view, const Value*) {
    if (!is_text(v)) return;
    add_each(v.text());
    if (v.size() < kLeastBase64) return;
    if (const auto bytes = codec::from_base64(v.text(), arena)) add_each(as_text(*bytes));
  });
}

void Redaction::Findings::add_derived(const Value& message) {
  const auto rule_of = [&](std::string_view name) -> std::optional<uint16_t> {
    const Value* const v = message.find(name);
    const auto rule = v != nullptr ? rules.find(v) : rules.end();
    return rule != rules.end() ? std::optional(rule->second) : std::nullopt;
  };
  for (const std::string_view url : {"url", "targetUri"})
    if (const auto rule = rule_of(url))
      for (const std::string_view part : {"url", "targetUri", "path", "queryString"})
        if (const Value* const v = message.find(part)) add_all(*v, *rule);
  const Value* const segments = message.find("pathSegments");
  if (const auto rule = rule_of("path"); rule && segments != nullptr)  // words that stand elsewhere, too
    walk(*segments, [&](const Value& leaf, std::string_view, const Value*) {
      if (is_text(leaf)) mark(leaf, *rule);
    });
}

void Redaction::Findings::add_differences(const Value& root, const Value& redacted, uint16_t rule, Arena& arena) {
  differences(root, redacted, [&](const Value& before, const Value& after) {
    const auto a = is_text(before) ? item::parse_json(before.text(), arena) : std::nullopt;
    const auto b = is_text(after) ? item::parse_json(after.text(), arena) : std::nullopt;
    if (!a || !b || !(a->is_map() || a->is_list()) || after.text() == kRedacted) return add_all(before, rule);
    // A text that was opened: what is secret in it, and not all of it.
    differences(*a, *b, [&](const Value& x, const Value&) { add_opened(x, rule); });
  });
}

void Redaction::collect(const item::Item& item, const Value& root, Findings& out, Arena& arena) const {
  const Compiled& c = *compiled_;
  const auto rule_of = [&](std::string_view name) {
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
    if (rules_.secrets && item.protocol != nullptr) out.add_fields(*item.protocol, name, *message, arena);
    out.add_named(*message, rules_.secrets, rule_of);
    for (const Compiled::Path& p : c.paths)
      if (p.steps.front() == name) out.add_path(*message, std::span(p.steps).subspan(1), p.rule, arena);
    for (const Compiled::Pattern& p : c.patterns) out.add_matches(*message, *p.expression, p.rule, arena);
  }
  out.side = Secret::Side::kAny;
  if (!rules_.kfl.empty()) out.add_differences(root, c.filter.apply_json(root, arena).record, c.filter_rule, arena);
  for (const auto& [name, side] : kSides) {
    out.side = side;
    if (const Value* message = root.find(name); message != nullptr && message->is_map()) out.add_derived(*message);
  }
}

}  // namespace baleen::record
