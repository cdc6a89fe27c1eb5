#include <cstring>

#include "item/json.h"
#include "kfl/decode.h"
#include "kfl/limits.h"
#include "kfl/program.h"
#include "kfl/redact.h"
#include "kfl/values_v1.h"

// Evaluates KFL v1 (reference section 2.2). A path that is not there makes kMissing, which goes through every operator
// up to the nearest parentheses, where it becomes false ("collapse", row K1-21); what `and` and `or` do not need is not
// evaluated before that (row K1-22).

namespace baleen::kfl {
namespace {

using item::Value;

bool stops(const Datum& d) { return d.is(Kind::kMissing) || d.is_error(); }

Comparison comparison_of(Op op) {
  switch (op) {
    case Op::kEqual: return Comparison::kEqual;
    case Op::kNotEqual: return Comparison::kNotEqual;
    case Op::kLess: return Comparison::kLess;
    case Op::kLessEqual: return Comparison::kLessEqual;
    case Op::kGreater: return Comparison::kGreater;
    default: return Comparison::kGreaterEqual;
  }
}

Datum compare(const Node& n, Context& c) {
  const Datum a = eval_v1(*n.args[0], c);
  if (stops(a)) return a;
  const Node& right = *n.args[1];
  const bool equality = n.op == Op::kEqual || n.op == Op::kNotEqual;
  if (equality && right.op == Op::kLiteral && !a.is_list() && !a.is(Kind::kRegex)) {  // the text of a literal is known
    char room[40];
    return Datum::of((text_form(a, room, c.arena) == right.form) == (n.op == Op::kEqual));
  }
  const Datum b = eval_v1(right, c);
  if (stops(b)) return b;
  const bool result = compare_v1(comparison_of(n.op), a, b, c.arena, c.work);
  return c.work < 0 ? Datum::error(kOutOfWork) : Datum::of(result);
}

/// datetime(): "M/D/YYYY, h:mm:ss[.000] AM|PM", UTC, to milliseconds (rows K1-41, D-5); false when it is none.
Datum datetime(std::string_view s) {
  size_t at = 0;
  const auto number = [&](size_t least, size_t most, int& out) {
    size_t n = 0;
    out = 0;
    while (n < most && at < s.size() && s[at] >= '0' && s[at] <= '9') out = out * 10 + (s[at++] - '0'), ++n;
    return n >= least;
  };
  const auto sign = [&](char c) { return at < s.size() && s[at] == c && (++at, true); };
  int month, day, year, hour, minute, second, ms = 0;
  if (!number(1, 2, month) || !sign('/') || !number(1, 2, day) || !sign('/') || !number(4, 4, year) || !sign(',') ||
      !sign(' ') || !number(1, 2, hour) || !sign(':') || !number(2, 2, minute) || !sign(':') || !number(2, 2, second))
    return Datum::of(false);
  if (sign('.') && !number(3, 3, ms)) return Datum::of(false);
  if (!sign(' ')) return Datum::of(false);
  const std::string_view half = s.substr(at);
  if (half != "AM" && half != "PM") return Datum::of(false);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 12 || minute > 59 || second > 59) return Datum::of(false);
  hour = hour % 12 + (half == "PM" ? 12 : 0);
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return Datum::of((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms);
}

std::string_view opened(const Datum& subject, Context& c) {
  char room[40];
  std::string_view text = text_form(subject, room, c.arena);
  if (text.data() >= room && text.data() < room + sizeof room) text = c.arena.copy(text);
  const auto decoded = decode_base64(text, c.arena);
  return decoded ? *decoded : text;
}

Datum json(const Node& n, const Datum& subject, Context& c) {
  const std::string_view text = opened(subject, c);
  if (text.size() > kMaxDecoded) return Datum::of(false);
  const auto tree = item::parse_json(text, c.arena);
  if (!tree) return Datum::of(false);
  c.work -= static_cast<int64_t>(text.size() / 64);
  const Datum found = select_from(n.path.steps, *tree, c.arena, c.work, 1);
  return found.is(Kind::kMissing) ? Datum::of(false) : found;
}

/// A step of an XML path; a list is looked through, and one element alone is its own list.
const Value* xml_first(const Value& v, std::span<const Step> steps, int64_t& work) {
  if (--work < 0) return nullptr;
  if (v.is_list() && (steps.empty() || steps[0].kind != Step::Kind::kIndex)) {
    for (const Value& e : v.elements())
      if (const Value* found = xml_first(e, steps, work)) return found;
    return nullptr;
  }
  if (steps.empty()) return &v;
  const auto rest = steps.subspan(1);
  switch (steps[0].kind) {
    case Step::Kind::kIndex: {
      if (!v.is_list()) return steps[0].index == 0 ? xml_first(v, rest, work) : nullptr;
      const auto e = v.elements();
      return static_cast<size_t>(steps[0].index) < e.size()
                 ? xml_first(e[static_cast<size_t>(steps[0].index)], rest, work)
                 : nullptr;
    }
    case Step::Kind::kName: {
      const Value* found = v.find(steps[0].name);
      return found != nullptr ? xml_first(*found, rest, work) : nullptr;
    }
    case Step::Kind::kAny:
      for (const item::Member& m : v.members())
        if (const Value* found = xml_first(m.value, rest, work)) return found;
      return nullptr;
    case Step::Kind::kDescend: {
      if (const Value* here = v.find(steps[0].name))
        if (const Value* found = xml_first(*here, rest, work)) return found;
      for (const item::Member& m : v.members()) {
        if (!m.value.is_map() && !m.value.is_list()) continue;
        if (const Value* found = xml_first(m.value, steps, work)) return found;
      }
      return nullptr;
    }
  }
  return nullptr;
}

Datum xml(const Node& n, const Datum& subject, Context& c) {
  const std::string_view text = opened(subject, c);
  const auto tree = parse_xml(text, c.arena);
  if (!tree) return Datum::of(false);
  c.work -= static_cast<int64_t>(text.size() / 64);
  const Value* found = xml_first(*tree, n.path.steps, c.work);
  if (found != nullptr && found->is_map()) found = found->find("#text");
  return found != nullptr && found->is_string() ? Datum::of(*found) : Datum::of(false);
}

Datum redacted(const Node& n, Context& c) {
  for (const auto& r : n.redactions) {
    Value* now = c.arena.make<Value>(redact(*c.record.root, *r, c.arena, c.work));
    c.record.root = now;
  }
  return c.work < 0 ? Datum::error(kOutOfWork) : Datum::of(true);
}

bool text_test(Helper helper, std::string_view text, std::string_view part) {
  switch (helper) {
    case Helper::kStartsWith: return text.starts_with(part);
    case Helper::kEndsWith: return text.ends_with(part);
    default:
      return part.empty() ||
             (text.size() >= part.size() && memmem(text.data(), text.size(), part.data(), part.size()) != nullptr);
  }
}

/// Whether a list between commas has `name`: a live item may belong to several recordings (K1-47).
bool names_one(std::string_view list, std::string_view name) {
  while (true) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == name) return true;
    if (comma == list.size()) return false;
    list.remove_prefix(comma + 1);
  }
}

Datum call(const Node& n, Context& c) {
  Datum subject = Datum::of(false);  // K1-33
  if (n.has_subject) {
    const Datum d = eval_v1(*n.args[0], c);
    if (d.is_error()) return d;
    if (!d.is(Kind::kMissing)) subject = d;
  }
  const size_t first = n.has_subject ? 1 : 0;
  char room[40], room2[40];
  switch (n.helper) {
    case Helper::kStartsWith:
    case Helper::kEndsWith:
    case Helper::kContains: {
      const Datum part = eval_v1(*n.args[first], c);
      if (stops(part)) return part;
      return Datum::of(text_test(n.helper, text_form(subject, room, c.arena), text_form(part, room2, c.arena)));
    }
    case Helper::kDatetime: {
      const Datum text = eval_v1(*n.args[first], c);
      return stops(text) ? text : datetime(text_form(text, room, c.arena));
    }
    case Helper::kLimit: return Datum::of(true);
    case Helper::kJson: return json(n, subject, c);
    case Helper::kXml: return xml(n, subject, c);
    case Helper::kRedact: return redacted(n, c);
    case Helper::kRecord: {
      static const Path kRecord = Path::names("record");
      const Datum name = eval_v1(*n.args[first], c);
      if (stops(name)) return name;
      const Datum record = select_one(kRecord, c.record, c.arena);
      return Datum::of(record.is(Kind::kString) && names_one(record.text(), text_form(name, room, c.arena)));
    }
    case Helper::kNone:
    case Helper::kUnknown: break;
  }
  return Datum::missing();  // K1-21: an unknown helper
}

}  // namespace

Datum eval_v1(const Node& n, Context& c) {
  switch (n.op) {
    case Op::kLiteral:
    case Op::kTime:
    case Op::kRegex: return n.value;
    case Op::kSelect:
      return n.path.single ? select_one(n.path, c.record, c.arena) : select(n.path, c.record, c.arena, c.work);
    case Op::kGroup: {
      const Datum d = eval_v1(*n.args[0], c);
      return d.is(Kind::kMissing) ? Datum::of(false) : d;
    }
    case Op::kNot: {
      const Datum d = eval_v1(*n.args[0], c);
      return d.is(Kind::kBool) ? Datum::of(!d.boolean) : d;  // K1-30
    }
    case Op::kNegate: {
      const Datum d = eval_v1(*n.args[0], c);
      return d.is(Kind::kDouble) ? Datum::of(-d.real) : d;
    }
    case Op::kAnd:
    case Op::kOr: {
      // The right side is the rest of the chain: a loop, so that a long chain needs no stack.
      const Node* at = &n;
      for (;;) {
        const Datum left = eval_v1(*at->args[0], c);
        if (stops(left)) return left;
        const bool truth = truth_form(left);
        if (at->op == Op::kAnd ? !truth : truth) return Datum::of(truth);
        const Node* right = at->args[1];
        if (right->op != Op::kAnd && right->op != Op::kOr) {
          const Datum last = eval_v1(*right, c);
          return stops(last) ? last : Datum::of(truth_form(last));
        }
        at = right;
      }
    }
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual: return compare(n, c);
    case Op::kCall: return call(n, c);
    default: return Datum::missing();
  }
}

}  // namespace baleen::kfl
