#include "kfl/pushdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kfl/program.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

// Only what stands in the outermost conjunction is looked at, and of that only "column sign constant". A conjunct is
// pushed down when no item without it can match: in both dialects a conjunction is true only when each part is, an
// absent column (v1: collapse, v2: the default) never makes a pushed comparison true, and where v1 compares as texts of
// six digits the numbers are widened. `!=` is pushed only on columns that every item has.

namespace baleen::kfl {
namespace {

constexpr std::string_view kColumns[] = {"timestamp",
                                         "protocol.abbr",
                                         "protocol.name",
                                         "src.namespace",
                                         "dst.namespace",
                                         "src.name",
                                         "dst.name",
                                         "src.ip",
                                         "dst.ip",
                                         "src.pod.metadata.name",
                                         "dst.pod.metadata.name",
                                         "src.service.metadata.name",
                                         "dst.service.metadata.name",
                                         "request.method",
                                         "request.path",
                                         "response.status",
                                         "elapsedTime",
                                         "requestSize",
                                         "responseSize",
                                         "node.name",
                                         "record"};
constexpr std::string_view kNumbers[] = {"timestamp", "response.status", "elapsedTime", "requestSize", "responseSize"};

bool is_in(std::string_view name, auto& set) {
  return std::find(std::begin(set), std::end(set), name) != std::end(set);
}

std::optional<Conjunct::Op> op_of(Op op, bool turned) {
  switch (op) {
    case Op::kEqual: return Conjunct::Op::kEqual;
    case Op::kLess: return turned ? Conjunct::Op::kGreater : Conjunct::Op::kLess;
    case Op::kLessEqual: return turned ? Conjunct::Op::kGreaterEqual : Conjunct::Op::kLessEqual;
    case Op::kGreater: return turned ? Conjunct::Op::kLess : Conjunct::Op::kGreater;
    case Op::kGreaterEqual: return turned ? Conjunct::Op::kLessEqual : Conjunct::Op::kGreaterEqual;
    default: return std::nullopt;
  }
}

/// The column that a part names; empty when it is none.
std::string column_of(const Node* n, uint64_t protocols) {
  if (n->op == Op::kSelect && n->path.single) return n->path.text();
  if (n->op != Op::kVariable) return {};
  const std::string& name = n->variable->name;
  if (name == "timestamp" || name == "src.namespace" || name == "dst.namespace") return name;
  // A variable with several places, or a default that could match, is no column.
  if (n->variable->compute != nullptr || n->variable->sources.empty()) return {};
  std::string column;
  for (const Variable::Source& s : n->variable->sources) {
    if ((s.protocols & protocols) == 0) continue;
    if (!column.empty() && s.path.text() != column) return {};
    column = s.path.text();
  }
  return column;
}

class Collector {
 public:
  Collector(bool v1, const Node* root) : v1_(v1), flags_(v1 ? kAnyProtocol : flags_in(root)), protocols_(flags_) {}
  std::vector<Conjunct> out;

  void visit(const Node* n) {
    switch (n->op) {
      case Op::kAnd: visit(n->args[0]); return visit(n->args[1]);
      case Op::kGroup: return visit(n->args[0]);
      case Op::kInPlace:
        protocols_ &= n->mask;
        visit(n->args[0]);
        protocols_ = flags_;
        return;
      case Op::kFlag: return flag(*n);
      case Op::kEqual:
      case Op::kLess:
      case Op::kLessEqual:
      case Op::kGreater:
      case Op::kGreaterEqual:
        if (!comparison(*n, 0, 1, false)) comparison(*n, 1, 0, true);
        return;
      case Op::kCall: return call(*n);
      default: return;
    }
  }

 private:
  void flag(const Node& n) {
    if (n.mask == kDns) text("protocol.abbr", Conjunct::Op::kEqual, "DNS");
    if (n.mask == kHttpFamily) {
      Conjunct c{"protocol.abbr", Conjunct::Op::kIn};
      c.any_of = {"HTTP", "HTTP/2", "gRPC", "GQL"};
      out.push_back(std::move(c));
    }
  }

  void text(std::string column, Conjunct::Op op, std::string_view value) {
    Conjunct c{std::move(column), op};
    c.text = value;
    out.push_back(std::move(c));
  }
  void number(std::string column, Conjunct::Op op, double value) {
    out.push_back({std::move(column), op, item::Value::Type::kDouble, "", value});
  }

  bool comparison(const Node& n, size_t column_at, size_t value_at, bool turned) {
    const Node *left = n.args[column_at], *right = n.args[value_at];
    const std::string column = column_of(left, protocols_);
    const auto op = op_of(n.op, turned);
    if (!op || !is_in(column, kColumns)) return false;
    return v1_ ? comparison_v1(column, *op, *right) : comparison_v2(*left, column, *op, *right);
  }

  bool comparison_v1(const std::string& column, Conjunct::Op op, const Node& value) {
    double n = 0;
    bool is_number = false;
    const Node* v = &value;
    bool negative = false;
    if (v->op == Op::kNegate) negative = true, v = v->args[0];
    if (v->op == Op::kLiteral && v->value.is(Kind::kDouble)) n = negative ? -v->number : v->number, is_number = true;
    if (value.op == Op::kTime) n = static_cast<double>(value.value.integer), is_number = true;
    if (value.op == Op::kCall && value.helper == Helper::kDatetime && value.args[0]->op == Op::kLiteral) {
      Arena arena;
      Context context{{}, arena, 1000};
      const item::Value none;
      context.record.root = &none;
      if (const Datum d = eval_v1(value, context); d.is(Kind::kInt))
        n = static_cast<double>(d.integer), is_number = true;
    }
    if (is_in(column, kNumbers)) {
      if (!is_number) return false;
      if (op == Conjunct::Op::kEqual) {  // six digits of text: a range that holds every number with that text
        const double wide = std::abs(n) < 100000 ? 0 : std::abs(n) * 1e-5;
        number(column, Conjunct::Op::kGreaterEqual, n - wide);
        number(column, Conjunct::Op::kLessEqual, n + wide);
      } else {
        number(column, op, n);
      }
      return true;
    }
    if (op != Conjunct::Op::kEqual || value.op != Op::kLiteral || !value.value.is(Kind::kString)) return false;
    text(column, op, value.value.text());
    return true;
  }

  bool comparison_v2(const Node& variable, const std::string& column, Conjunct::Op op, const Node& value) {
    if (!is_constant(value)) return false;
    Arena arena;
    Context context{{}, arena, 1000};
    const Datum d = eval_cel(value, context);
    if (d.is_error()) return false;
    if (column == "timestamp") {
      if (!d.is(Kind::kTimestamp)) return false;
      // Columns have milliseconds: widen by one so that what lies within it is not lost.
      const double ms = static_cast<double>(d.integer) * 1000 + d.nanos() / 1e6;
      if (op == Conjunct::Op::kEqual || op == Conjunct::Op::kGreater || op == Conjunct::Op::kGreaterEqual)
        number(column, Conjunct::Op::kGreaterEqual, std::floor(ms) - 1);
      if (op == Conjunct::Op::kEqual || op == Conjunct::Op::kLess || op == Conjunct::Op::kLessEqual)
        number(column, Conjunct::Op::kLessEqual, std::ceil(ms) + 1);
      return true;
    }
    if (is_in(column, kNumbers)) {
      if (!d.is_number()) return false;
      const double n = d.is(Kind::kInt)    ? static_cast<double>(d.integer)
                       : d.is(Kind::kUint) ? static_cast<double>(d.natural)
                                           : d.real;
      // The default 0 of an absent column must not match: then the store's absence would lose it.
      const bool zero = op == Conjunct::Op::kEqual       ? n == 0
                        : op == Conjunct::Op::kLess      ? 0 < n
                        : op == Conjunct::Op::kLessEqual ? 0 <= n
                        : op == Conjunct::Op::kGreater   ? 0 > n
                                                         : 0 >= n;
      if (zero && variable.variable->scope != 0) return false;
      number(column, op, n);
      return true;
    }
    if (op != Conjunct::Op::kEqual || !d.is(Kind::kString) || d.text().empty()) return false;
    if (is_label(column, d.text())) return false;
    text(column, op, d.text());
    return true;
  }

  /// What stands for the namespace of an end that has none (K2-08) is in no column.
  static bool is_label(std::string_view column, std::string_view value, bool anywhere = false) {
    return column.ends_with(".namespace") &&
           std::any_of(std::begin(kLabels), std::end(kLabels), [&](std::string_view label) {
             return anywhere ? label.find(value) != std::string_view::npos : label.starts_with(value);
           });
  }
  static constexpr std::string_view kLabels[] = {"internal", "public"};

  /// `now() - duration("5m")`.
  static bool is_constant(const Node& n) {
    if (n.op == Op::kLiteral) return true;
    if (n.op != Op::kAdd && n.op != Op::kSubtract) return false;
    return is_constant(*n.args[0]) && is_constant(*n.args[1]);
  }

  void call(const Node& n) {
    const bool starts = v1_ ? n.helper == Helper::kStartsWith : n.text == "startsWith";
    const bool contains = v1_ ? n.helper == Helper::kContains : n.text == "contains";
    if ((!starts && !contains) || n.args.size() != 2 || n.args[1]->op != Op::kLiteral ||
        !n.args[1]->value.is(Kind::kString))
      return;
    const std::string column = column_of(n.args[0], protocols_);
    const std::string_view value = n.args[1]->value.text();
    // In v1 the text of a missing field is "false" (row K1-33).
    if (column.empty() || !is_in(column, kColumns) || is_in(column, kNumbers) || value.empty()) return;
    if (v1_ && std::string_view("false").find(value) != std::string_view::npos) return;
    if (!v1_ && is_label(column, value, contains)) return;
    text(column, starts ? Conjunct::Op::kPrefix : Conjunct::Op::kContains, value);
  }

  static uint64_t flags_in(const Node* n) {
    if (n->op == Op::kFlag) return n->mask;
    return n->op == Op::kAnd ? flags_in(n->args[0]) & flags_in(n->args[1]) : kAnyProtocol;
  }

  bool v1_;
  uint64_t flags_;      // protocols that the outermost conjunction asks for
  uint64_t protocols_;  // of which the condition in hand holds
};

}  // namespace

std::vector<Conjunct> pushdown(const Filter& filter) {
  const Filter::Program* p = filter.program();
  if (p == nullptr || p->tree.root == nullptr || p->redacts) return {};
  Collector c(p->dialect == Dialect::kV1, p->tree.root);
  c.visit(p->tree.root);
  return std::move(c.out);
}

std::string to_string(const Conjunct& c) {
  static constexpr std::string_view kSigns[] = {"==", "!=",          "<",         "<=",      ">",
                                                ">=", "starts with", "is one of", "contains"};
  std::string value =
      c.type == item::Value::Type::kDouble ? fmt::format("{}", c.number) : fmt::format("\"{}\"", c.text);
  if (c.op == Conjunct::Op::kIn) value = fmt::format("\"{}\"", fmt::join(c.any_of, "\", \""));
  return fmt::format("{} {} {}", c.column, kSigns[static_cast<size_t>(c.op)], value);
}

}  // namespace baleen::kfl
