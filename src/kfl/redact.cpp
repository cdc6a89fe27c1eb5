#include "kfl/redact.h"

#include <charconv>
#include <optional>

#include "item/json.h"
#include "kfl/decode.h"

namespace baleen::kfl {
namespace {

using item::Member;
using item::Value;

/// Reads "a.b[0][\"c\"].*..d"; nothing when it is no path.
std::optional<std::vector<Step>> parse_steps(std::string_view text, std::string& why) {
  std::vector<Step> steps;
  while (!text.empty()) {
    if (text[0] == '[') {
      const size_t end = text.find(']');
      if (end == std::string_view::npos) return why = "\"[\" without \"]\"", std::nullopt;
      std::string_view inside = text.substr(1, end - 1);
      text.remove_prefix(end + 1);
      Step step;
      if (inside == "*") {
        step.kind = Step::Kind::kAny;
      } else if (inside.size() >= 2 && (inside[0] == '"' || inside[0] == '\'')) {
        step.name = inside.substr(1, inside.size() - 2);
      } else if (inside.size() >= 4 && inside.starts_with("\\\"")) {  // escapes are not processed in KFL v1 (K1-03)
        step.name = inside.substr(2, inside.size() - 4);
      } else {
        step.kind = Step::Kind::kIndex;
        const auto [at, status] = std::from_chars(inside.data(), inside.data() + inside.size(), step.index);
        if (status != std::errc() || at != inside.data() + inside.size() || step.index < 0)
          return why = "an index is a number, a key stands in quotes", std::nullopt;
      }
      steps.push_back(std::move(step));
      continue;
    }
    size_t dots = 0;
    while (dots < text.size() && text[dots] == '.') ++dots;
    text.remove_prefix(dots);
    const size_t end = std::min(text.find_first_of(".["), text.size());
    std::string_view name = text.substr(0, end);
    text.remove_prefix(end);
    if (name == "$" && steps.empty()) continue;
    if (name.empty() && text.starts_with('[') && dots < 2) continue;
    if (name.empty()) return why = "a name is missing", std::nullopt;
    Step step;
    step.name = name;
    if (name == "*")
      step = {Step::Kind::kAny};
    else if (dots >= 2)
      step.kind = Step::Kind::kDescend;
    steps.push_back(std::move(step));
  }
  return steps;
}

class Redactor {
 public:
  Redactor(Arena& arena, int64_t& work) : arena_(arena), work_(work) {}

  /// The value with what `steps` (and the parts behind them) name replaced; nothing when that changes nothing.
  std::optional<Value> apply(const Value& v, std::span<const Step> steps, std::span<const Redaction::Part> parts) {
    if (--work_ < 0) return std::nullopt;
    if (steps.empty()) return replace(v, parts);
    const Step& step = steps[0];
    const auto rest = steps.subspan(1);
    switch (step.kind) {
      case Step::Kind::kName: {
        const Value* found = v.find(step.name);
        if (found == nullptr && v.is_list() && in_xml_)
          return each(v, [&](const Value& e) { return apply(e, steps, parts); });
        if (found == nullptr) return std::nullopt;
        return with_member(v, found, apply(*found, rest, parts));
      }
      case Step::Kind::kIndex: {
        const auto e = v.elements();
        if (static_cast<size_t>(step.index) >= e.size()) {
          if (in_xml_ && step.index == 0 && !v.is_list())
            return apply(v, rest, parts);  // a single element is its own list
          return std::nullopt;
        }
        size_t i = 0;
        return each(v, [&](const Value& x) {
          return i++ == static_cast<size_t>(step.index) ? apply(x, rest, parts) : std::nullopt;
        });
      }
      case Step::Kind::kAny: return each(v, [&](const Value& e) { return apply(e, rest, parts); });
      case Step::Kind::kDescend: return descend(v, step, rest, parts);
    }
    return std::nullopt;
  }

 private:
  std::optional<Value> replace(const Value& v, std::span<const Redaction::Part> parts) {
    const Redaction::Part& part = parts[0];
    if (part.then == Redaction::Opens::kNothing) return Value(kRedacted);
    if (!v.is_string()) return std::nullopt;
    std::string_view text = v.text();
    const auto decoded = decode_base64(text, arena_);
    if (decoded) text = *decoded;
    std::string out;
    if (part.then == Redaction::Opens::kJson) {
      const auto tree = item::parse_json(text, arena_);
      if (!tree) return std::nullopt;
      const auto changed = apply(*tree, parts[1].steps, parts.subspan(1));
      if (!changed) return std::nullopt;
      item::append_json(*changed, out);
    } else {
      if (!redact_xml(text, parts.subspan(1), out)) return std::nullopt;
    }
    return Value(decoded ? encode_base64(out, arena_) : arena_.copy(std::string_view(out)));
  }

  bool redact_xml(std::string_view text, std::span<const Redaction::Part> parts, std::string& out) {
    const auto tree = parse_xml(text, arena_);
    if (!tree) return false;
    const bool was = std::exchange(in_xml_, true);
    const auto changed = apply(*tree, parts[0].steps, parts);
    in_xml_ = was;
    if (!changed) return false;
    if (text.starts_with("<?")) {  // the declaration's line stays as it was
      std::string_view first = text.substr(0, text.find('\n'));
      if (first.ends_with('\r')) first.remove_suffix(1);
      if (const size_t end = first.find("?>"); end != std::string_view::npos) first = first.substr(0, end + 2);
      out.append(first).append("\n");
    }
    append_xml(*changed, out);
    return true;
  }

  std::optional<Value> with_member(const Value& map, const Value* which, std::optional<Value> changed) {
    if (!changed) return std::nullopt;
    const auto members = map.members();
    const auto copy = arena_.array<Member>(members.size());
    for (size_t i = 0; i < copy.size(); ++i)
      copy[i] = {members[i].name, &members[i].value == which ? *changed : members[i].value};
    return Value::map(copy, map.folds_case());
  }

  template <class F>
  std::optional<Value> each(const Value& v, F f) {
    bool any = false;
    if (v.is_list()) {
      const auto from = v.elements();
      std::span<Value> copy;
      for (size_t i = 0; i < from.size(); ++i) {
        const auto changed = f(from[i]);
        if (!changed) continue;
        if (!any) copy = arena_.array<Value>(from.size()), std::copy(from.begin(), from.end(), copy.begin());
        any = true;
        copy[i] = *changed;
      }
      return any ? std::optional(Value::list(copy)) : std::nullopt;
    }
    const auto from = v.members();
    std::span<Member> copy;
    for (size_t i = 0; i < from.size(); ++i) {
      const auto changed = f(from[i].value);
      if (!changed) continue;
      if (!any) copy = arena_.array<Member>(from.size()), std::copy(from.begin(), from.end(), copy.begin());
      any = true;
      copy[i].value = *changed;
    }
    return any ? std::optional(Value::map(copy, v.folds_case())) : std::nullopt;
  }

  std::optional<Value> descend(const Value& v, const Step& step, std::span<const Step> rest,
                               std::span<const Redaction::Part> parts) {
    if (--work_ < 0) return std::nullopt;
    Value now = v;
    bool any = false;
    if (const Value* found = v.find(step.name)) {
      if (const auto changed = with_member(v, found, apply(*found, rest, parts))) now = *changed, any = true;
    }
    if (const auto deeper = each(now, [&](const Value& e) {
          return e.is_list() || e.is_map() ? descend(e, step, rest, parts) : std::nullopt;
        }))
      now = *deeper, any = true;
    return any ? std::optional(now) : std::nullopt;
  }

  Arena& arena_;
  int64_t& work_;
  bool in_xml_ = false;
};

}  // namespace

std::shared_ptr<const Redaction> parse_redaction(std::string_view text, std::string& why) {
  auto out = std::make_shared<Redaction>();
  for (;;) {
    const size_t json = text.find(".json()"), xml = text.find(".xml()");
    const size_t cut = std::min(json, xml);
    auto steps = parse_steps(text.substr(0, cut), why);
    if (!steps) return nullptr;
    if (steps->empty()) return why = "a name is missing", nullptr;
    Redaction::Part part{std::move(*steps)};
    if (cut == std::string_view::npos) {
      out->parts.push_back(std::move(part));
      return out;
    }
    part.then = json < xml ? Redaction::Opens::kJson : Redaction::Opens::kXml;
    text.remove_prefix(cut + (json < xml ? 7 : 6));
    out->parts.push_back(std::move(part));
    if (out->parts.size() > 8) return why = "more than 8 texts inside each other", nullptr;
  }
}

Value redact(const Value& root, const Redaction& redaction, Arena& arena, int64_t& work) {
  const auto changed = Redactor(arena, work).apply(root, redaction.parts[0].steps, redaction.parts);
  return changed ? *changed : root;
}

}  // namespace baleen::kfl
