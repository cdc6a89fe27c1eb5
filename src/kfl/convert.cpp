#include "kfl/convert.h"

#include <fmt/format.h>

#include <cmath>

#include "kfl/check_cel.h"
#include "kfl/diagnose.h"
#include "kfl/dialect.h"
#include "kfl/lex_cel.h"
#include "kfl/parse_cel.h"
#include "kfl/parse_v1.h"
#include "kfl/program.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

/// Turns a tree of v1 (macros not expanded) into text of v2, saying what has no counterpart.
class Converter {
 public:
  Converter(const Environment& e, Diagnoser& d) : e_(e), d_(d) {}

  std::string condition(const Node* n) {
    switch (n->op) {
      case Op::kLiteral:
        if (n->value.is(Kind::kBool)) return n->text;
        return n->value.is(Kind::kDouble) ? (n->number > 0 ? "true" : "false") : n->form.empty() ? "false" : "true";
      case Op::kGroup: return "(" + condition(n->args[0]) + ")";
      case Op::kNot: return "!" + wrapped(n->args[0]);
      case Op::kAnd:
      case Op::kOr: return chain(n);
      case Op::kSelect: return truth(n);
      case Op::kCall: return call(n);
      case Op::kNegate:
      case Op::kRegex:
      case Op::kTime: return none(n, "is no condition in KFL v2");
      default: return comparison(n);
    }
  }

 private:
  std::string none(const Node* n, std::string_view why) {
    d_.error(n->begin, n->end, fmt::format("{} {}", shown(print_v1(n)), why));
    return "false";
  }
  void differs(const Node* n, std::string why) { d_.warning(n->begin, n->end, "the meaning differs: " + why); }

  std::string wrapped(const Node* n) {
    const std::string s = condition(n);
    const bool simple =
        n->op == Op::kGroup || n->op == Op::kLiteral || n->op == Op::kSelect || n->op == Op::kCall || n->op == Op::kNot;
    return simple && s.find(' ') == std::string::npos  ? s
           : s.starts_with('(') && n->op == Op::kGroup ? s
                                                       : "(" + s + ")";
  }

  /// v1 groups to the right; v2 binds && tighter. Parentheses keep v1's reading.
  std::string chain(const Node* n) {
    const Node* right = n->args[1];
    std::string rest = condition(right);
    if ((right->op == Op::kAnd || right->op == Op::kOr) && right->op != n->op) rest = "(" + rest + ")";
    if (n->op == Op::kOr && asks_for_fields(n->args[0]))
      differs(n->args[0], "in v1 a field that is absent here makes what follows \"or\" false too; in v2 it does not");
    return condition(n->args[0]) + (n->op == Op::kAnd ? " && " : " || ") + rest;
  }
  static bool asks_for_fields(const Node* n) {
    if (n->op == Op::kGroup || n->op == Op::kCall) return false;
    if (n->op == Op::kSelect) return flag_mask(n->path.text()) == 0 && n->path.steps.size() > 1;
    for (const Node* arg : n->args)
      if (asks_for_fields(arg)) return true;
    return false;
  }

  struct Place {
    std::string text;
    const Type* type = nullptr;
  };

  /// The variable (or the entry of a map) that a selector of v1 names.
  std::optional<Place> place(const Node* n) {
    if (n->op != Op::kSelect) return std::nullopt;
    const std::string path = n->path.text();
    if (const Variable* v = e_.find(path); v != nullptr && path != "timestamp") return Place{v->name, v->type};
    if (const Variable* v = e_.of_path(path)) return Place{v->name, v->type};
    if (!n->path.single || n->path.steps.size() < 2 || n->path.steps.back().kind != Step::Kind::kName)
      return std::nullopt;
    std::vector<Step> front(n->path.steps.begin(), n->path.steps.end() - 1);
    const std::string map = Path(std::move(front)).text();
    const Variable* v = e_.find(map);
    if (v == nullptr) v = e_.of_path(map);
    if (v == nullptr || v->type->kind != Type::Kind::kMap) return std::nullopt;
    return Place{fmt::format("map_get({}, {}, \"\")", v->name, quote_cel(n->path.steps.back().name, false)),
                 v->type->parameters[1]};
  }

  std::string truth(const Node* n) {
    const std::string name = n->path.text();
    if (name == "http") {
      differs(n, "\"http\" of v2 is also HTTP/2, gRPC and GraphQL; it is written as v1 means it");
      return "protocol == \"HTTP\"";
    }
    if (name == "http2") return "protocol == \"HTTP/2\"";
    if (name == "error") return none(n, "has no counterpart in KFL v2");
    if (flag_mask(name) != 0 || name == "tls") return name;
    const auto p = place(n);
    if (!p) return none(n, "has no counterpart in KFL v2");
    switch (p->type->kind) {
      case Type::Kind::kBool: return p->text;
      case Type::Kind::kInt: return p->text + " > 0";
      case Type::Kind::kList: return fmt::format("size({}) > 0", p->text);
      default: return p->text + " != \"\"";
    }
  }

  std::string call(const Node* n) {
    switch (n->helper) {
      case Helper::kStartsWith:
      case Helper::kEndsWith:
      case Helper::kContains: {
        const auto p = n->has_subject ? place(n->args[0]) : std::nullopt;
        const Node* arg = n->args.back();
        if (!p || p->type->kind != Type::Kind::kString || arg->op != Op::kLiteral)
          return none(n, "has no counterpart in KFL v2");
        return fmt::format("{}.{}({})", p->text, n->text, quote_cel(arg->form, false));
      }
      case Helper::kUnknown: return none(n, "is no helper");
      default: return none(n, "has no counterpart in KFL v2");
    }
  }

  std::string comparison(const Node* n) {
    const Node *left = n->args[0], *right = n->args[1];
    if (left->op == Op::kLiteral && right->op == Op::kLiteral) return none(n, "compares two constants");
    if (left->op != Op::kSelect) {
      if (right->op != Op::kSelect) return none(n, "has no counterpart in KFL v2");
      std::swap(left, right);
    }
    const bool turned = left != n->args[0];
    if (is_timestamp(left)) return time(n, right, turned);
    const auto p = place(left);
    if (!p) return none(left, "has no counterpart in KFL v2");
    if (right->op == Op::kRegex) return regex(n, *p, right);
    std::string value;
    if (right->op == Op::kSelect) {
      const auto other = place(right);
      if (!other) return none(right, "has no counterpart in KFL v2");
      if (!(other->type->kind == p->type->kind)) return none(n, "compares values of different types");
      value = other->text;
    } else {
      const auto v = constant(right, *p->type);
      if (!v) return none(right, fmt::format("is no {}", to_string(*p->type)));
      value = *v;
    }
    if (n->op == Op::kNotEqual) differs(n, "where the field is absent v1 says false, v2 compares with its default");
    if (p->type->kind == Type::Kind::kList && right->op != Op::kSelect)
      return n->op == Op::kEqual      ? fmt::format("{} in {}", value, p->text)
             : n->op == Op::kNotEqual ? fmt::format("!({} in {})", value, p->text)
                                      : none(n, "has no counterpart in KFL v2");
    return turned ? fmt::format("{} {} {}", value, sign(n->op), p->text)
                  : fmt::format("{} {} {}", p->text, sign(n->op), value);
  }

  static bool is_timestamp(const Node* n) { return n->op == Op::kSelect && n->path.text() == "timestamp"; }

  std::string time(const Node* n, const Node* value, bool turned) {
    std::string text;
    if (value->op == Op::kTime) {
      const double seconds = value->args.empty() ? 0 : amount(value);
      text = seconds == 0 ? "now()"
                          : fmt::format("now() {} duration(\"{}s\")", seconds < 0 ? "-" : "+", std::abs(seconds));
    } else if (value->op == Op::kCall && value->helper == Helper::kDatetime) {
      Arena arena;
      const item::Value nothing;
      Context context{{nullptr, &nothing}, arena, 1000};
      const Datum ms = eval_v1(*value, context);
      if (!ms.is(Kind::kInt)) return none(value, "is no time");
      text = fmt::format("timestamp(\"{}\")", to_rfc3339(timestamp_from_ns(ms.integer * 1'000'000)));
    } else if (value->op == Op::kLiteral && value->value.is(Kind::kDouble) && n->op != Op::kEqual &&
               n->op != Op::kNotEqual) {
      text = fmt::format("timestamp(\"{}\")",
                         to_rfc3339(timestamp_from_ns(static_cast<int64_t>(value->number) * 1'000'000)));
    } else {
      return none(n, "has no counterpart in KFL v2");
    }
    return turned ? fmt::format("{} {} timestamp", text, sign(n->op))
                  : fmt::format("timestamp {} {}", sign(n->op), text);
  }
  static double amount(const Node* time) {
    const Node* n = time->args[0];
    double sign = 1;
    while (n->op == Op::kGroup || n->op == Op::kNegate) sign *= n->op == Op::kNegate ? -1 : 1, n = n->args[0];
    const std::string_view unit = time->text;
    const double seconds = unit == "seconds"   ? 1
                           : unit == "minutes" ? 60
                           : unit == "hours"   ? 3600
                           : unit == "days"    ? 86400
                           : unit == "weeks"   ? 604800
                           : unit == "months"  ? 2592000
                                               : 31536000;
    return std::trunc(sign * n->number) * seconds;
  }

  std::string regex(const Node* n, const Place& p, const Node* r) {
    std::string subject = p.text;
    if (p.type->kind == Type::Kind::kInt)
      subject = fmt::format("string({})", p.text);
    else if (p.type->kind != Type::Kind::kString)
      return none(n, "has no counterpart in KFL v2");
    const std::string test = fmt::format("{}.matches({})", subject,
                                         quote_cel(std::string_view(r->text).substr(1, r->text.size() - 2), false));
    if (n->op == Op::kEqual) return test;
    if (n->op != Op::kNotEqual) return none(n, "has no counterpart in KFL v2");
    differs(n, "where the field is absent v1 says false, v2 looks at its default");
    return "!" + test;
  }

  static std::optional<std::string> constant(const Node* n, const Type& type) {
    const bool negative = n->op == Op::kNegate;
    if (negative) n = n->args[0];
    if (n->op != Op::kLiteral) return std::nullopt;
    switch (type.kind) {
      case Type::Kind::kInt: {
        double d = n->value.is(Kind::kDouble) ? n->number : NAN;
        if (n->value.is(Kind::kString) && !n->form.empty() &&
            n->form.find_first_not_of("0123456789") == std::string::npos)
          d = std::stod(n->form);
        if (std::isnan(d) || d != std::trunc(d) || std::abs(d) > 9e15) return std::nullopt;
        return fmt::format("{}{:.0f}", negative ? "-" : "", d);
      }
      case Type::Kind::kBool: return n->value.is(Kind::kBool) ? std::optional(n->text) : std::nullopt;
      case Type::Kind::kString:
      case Type::Kind::kList:
      case Type::Kind::kDyn: return negative ? std::nullopt : std::optional(quote_cel(n->form, false));
      default: return std::nullopt;
    }
  }

  const Environment& e_;
  Diagnoser& d_;
};

}  // namespace

std::optional<std::string> format(std::string_view text, Dialect dialect, const Options& options) {
  if (dialect == Dialect::kAuto) {
    const Recognised r = recognise(text, *environment_for(options.protocols));
    dialect = r.dialect != Dialect::kAuto ? r.dialect : options.ambiguous;
  }
  Tree tree;
  Diagnoser diagnose;
  if (dialect == Dialect::kV2)
    return parse_cel(text, tree, diagnose) ? std::optional(print_cel(tree.root)) : std::nullopt;
  return parse_v1(text, Timestamp{}, tree, diagnose) ? std::optional(print_v1(tree.root)) : std::nullopt;
}

Conversion convert(std::string_view text, const Options& options) {
  Conversion out;
  Diagnoser diagnose;
  Tree tree;
  if (parse_v1(text, options.now, tree, diagnose)) {
    const auto environment = environment_for(options.protocols);
    diagnose = {};
    std::string converted = tree.root == nullptr ? "" : Converter(*environment, diagnose).condition(tree.root);
    if (!diagnose.failed()) out.text = std::move(converted);
  }
  out.diagnostics = diagnose.take();
  return out;
}

}  // namespace baleen::kfl
