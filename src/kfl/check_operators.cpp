#include <map>
#include <mutex>

#include "kfl/checker_cel.h"
#include "kfl/closed_sets.h"

namespace baleen::kfl {

/// "+(int, int) -> int; ...": made once for each operator.
const std::vector<Overload>& Checker::operator_overloads(std::string_view name, std::string_view signatures) {
  static std::mutex mutex;
  static std::map<std::string_view, std::vector<Overload>> made;
  const std::lock_guard lock(mutex);
  auto& overloads = made[signatures];
  if (overloads.empty()) overloads = parse_signatures(name, signatures);
  return overloads;
}

const Type* Checker::logical(Node* n, std::vector<const Type*> want) {
  for (size_t i = 0; i < want.size(); ++i)
    expect_bool(n->args[i], visit(n->args[i]), fmt::format("\"{}\"", n->op == Op::kNot ? "!" : sign(n->op)));
  return bool_;
}

void Checker::expect_bool(Node* n, const Type* t, std::string_view what) {
  if (o_.filter && is_bareword(n)) return;  // K2-07
  if (unify_.assignable(t, bool_)) return;
  std::string suggestion;
  if (n->op == Op::kLiteral && n->value.is(Kind::kString)) suggestion = "a text is no condition: compare it with ==";
  wrong(n,
        fmt::format("{} needs a bool, {} is a {}", what, shown(print_cel(n)), to_string(*unify_.substitute(t, true))),
        std::move(suggestion));
}

const Type* Checker::conditional(Node* n) {
  expect_bool(n->args[0], visit(n->args[0]), "\"?\"");
  const Type *a = visit(n->args[1]), *b = visit(n->args[2]);
  if (unify_.assignable(a, b)) return unify_.join(a, b);
  if (o_.types && a->kind != K::kError && b->kind != K::kError)
    wrong(n, fmt::format("both sides of \":\" must have one type: {} and {}", shown_type(a), shown_type(b)),
          "dyn(x) takes a value's type away");
  return dyn_;
}

const Type* Checker::binary(Node* n) {
  const std::string_view op = sign(n->op);
  static constexpr std::pair<Op, std::string_view> kSignatures[] = {
      {Op::kAdd,
       "+(int, int) -> int; +(uint, uint) -> uint; +(double, double) -> double; +(string, string) -> string; "
       "+(bytes, bytes) -> bytes; +(list(A), list(A)) -> list(A); +(timestamp, duration) -> timestamp; "
       "+(duration, timestamp) -> timestamp; +(duration, duration) -> duration"},
      {Op::kSubtract,
       "-(int, int) -> int; -(uint, uint) -> uint; -(double, double) -> double; -(timestamp, timestamp) -> duration; "
       "-(timestamp, duration) -> timestamp; -(duration, duration) -> duration"},
      {Op::kMultiply, "*(int, int) -> int; *(uint, uint) -> uint; *(double, double) -> double"},
      {Op::kDivide, "/(int, int) -> int; /(uint, uint) -> uint; /(double, double) -> double"},
      {Op::kModulo, "%(int, int) -> int; %(uint, uint) -> uint"},
      {Op::kIn, "in(A, list(A)) -> bool; in(A, map(A, B)) -> bool"},
      {Op::kEqual, "==(A, A) -> bool"},
      {Op::kNotEqual, "!=(A, A) -> bool"},
  };
  for (const auto& [o, signatures] : kSignatures)
    if (o == n->op) return operator_(op, n, signatures);
  return ordering(n);
}

const Type* Checker::ordering(Node* n) {
  const Type *a = visit(n->args[0]), *b = visit(n->args[1]);
  if (a->kind == K::kError || b->kind == K::kError) return bool_;
  const Type *x = known(a), *y = known(b);
  const auto number = [](const Type* t) { return t->kind == K::kInt || t->kind == K::kUint || t->kind == K::kDouble; };
  const auto ordered = [&](const Type* t) {
    return number(t) || t->kind == K::kBool || t->kind == K::kString || t->kind == K::kBytes ||
           t->kind == K::kTimestamp || t->kind == K::kDuration || t->kind == K::kDyn || t->kind == K::kParameter;
  };
  if ((number(x) && number(y)) || (ordered(x) && ordered(y) && unify_.assignable(x, y))) return bool_;
  mismatch(n, a, b);
  return bool_;
}

void Checker::mismatch(Node* n, const Type* a, const Type* b) {
  std::string suggestion;
  Diagnoser::Fix fix;
  const auto literal_of = [](const Node* x) { return x->op == Op::kLiteral; };
  const size_t which = literal_of(n->args[1]) ? 1 : literal_of(n->args[0]) ? 0 : 2;
  const Type* other = which == 1 ? known(a) : known(b);
  if (which != 2) {
    const Datum& d = n->args[which]->value;
    const std::string written = print_cel(n->args[which]);
    const auto meant = [&](std::string_view how, std::string value) {
      suggestion = fmt::format("{} {}", how, value);
      std::string left = print_cel(n->args[0]), right = print_cel(n->args[1]);
      (which == 0 ? left : right) = std::move(value);
      fix = Diagnostic::Fix{fmt::format("{} {} {}", left, sign(n->op), right)};
    };
    if (d.is(Kind::kString) && (other->kind == K::kInt || other->kind == K::kDouble) && !d.text().empty() &&
        d.text().find_first_not_of("0123456789.-") == std::string_view::npos)
      meant("write the number without quotes:", std::string(d.text()));
    if (d.is_number() && other->kind == K::kString) meant("write it as a text:", fmt::format("\"{}\"", written));
    if (d.is(Kind::kString) && other->kind == K::kTimestamp) meant("write", fmt::format("timestamp({})", written));
    if (d.is(Kind::kInt) && other->kind == K::kTimestamp)
      suggestion = "compare with timestamp(\"...\") or now() - duration(\"5m\")";
    if (d.is(Kind::kInt) && other->kind == K::kUint) meant("write it as a uint:", fmt::format("{}u", d.integer));
    if (d.is(Kind::kString) && other->kind == K::kList && (n->op == Op::kEqual || n->op == Op::kNotEqual)) {
      std::string in = fmt::format("{} in {}", written, print_cel(n->args[1 - which]));
      if (n->op == Op::kNotEqual) in = "!(" + in + ")";
      suggestion = fmt::format("write {}", in);
      fix = Diagnostic::Fix{std::move(in), true};
    }
  }
  wrong(n, fmt::format("\"{}\" has no meaning between {} and {}", sign(n->op), shown_type(a), shown_type(b)),
        std::move(suggestion), std::move(fix));
}

const Type* Checker::operator_(std::string_view name, Node* n, std::string_view signatures) {
  std::vector<const Type*> types;
  for (Node* arg : n->args) types.push_back(visit(arg));
  for (const Type* t : types)
    if (t->kind == K::kError) return n->op == Op::kEqual || n->op == Op::kNotEqual || n->op == Op::kIn ? bool_ : error_;
  if (const Type* t = overload(operator_overloads(name, signatures), types, false)) {
    if (n->op == Op::kEqual || n->op == Op::kNotEqual) check_value(n);
    return t;
  }
  if (types.size() == 2)
    mismatch(n, types[0], types[1]);
  else
    wrong(n, fmt::format("\"{}\" has no meaning for a {}", name, shown_type(types[0])));
  return n->op == Op::kEqual || n->op == Op::kNotEqual || n->op == Op::kIn ? bool_ : o_.types ? error_ : dyn_;
}

const Type* Checker::overload(const std::vector<Overload>& overloads, const std::vector<const Type*>& args,
                              bool receiver) {
  const Type* result = nullptr;
  for (const Overload& o : overloads) {
    if (o.receiver != receiver) continue;
    std::map<std::string, const Type*> fresh;
    std::vector<const Type*> parameters;
    for (const Type* p : o.parameters) parameters.push_back(unify_.instantiate(p, fresh));
    if (!unify_.assignable(args, parameters)) continue;
    const Type* r = unify_.substitute(unify_.instantiate(o.result, fresh), false);
    if (result == nullptr)
      result = r;
    else if (!Unifier::equal(*result, *r))
      result = dyn_;
  }
  return result;
}

const Type* Checker::index(Node* n) {
  const Type* operand = known(visit(n->args[0]));
  const Type* key = visit(n->args[1]);
  const bool from_optional = operand->kind == K::kOptional;
  if (from_optional) operand = known(operand->parameters[0]);
  const Type* result;
  switch (operand->kind) {
    case K::kError: return error_;
    case K::kDyn: result = dyn_; break;
    case K::kParameter: unify_.assignable(operand, dyn_), result = dyn_; break;
    case K::kList:
      if (!unify_.assignable(key, int_))
        return wrong(n->args[1], fmt::format("the index of a list is an int, this is a {}", shown_type(key)));
      result = operand->parameters[0];
      break;
    case K::kMap:
      if (!unify_.assignable(key, operand->parameters[0]))
        return wrong(n->args[1], fmt::format("the keys are of type {}, this is a {}",
                                             shown_type(operand->parameters[0]), shown_type(key)));
      result = operand->parameters[1];
      break;
    default:
      return wrong(n,
                   fmt::format("{} is a {} and cannot be indexed", shown(print_cel(n->args[0])), shown_type(operand)));
  }
  return from_optional || n->op == Op::kOptionalIndex ? optional_of(result) : result;
}

const Type* Checker::element(Node* n, bool optional) {
  const Type* t = visit(n);
  if (!optional) return t;
  const Type* k = known(t);
  if (k->kind == K::kOptional) return k->parameters[0];
  if (k->kind == K::kDyn || k->kind == K::kError) return k;
  wrong(n, fmt::format("\"?\" needs an optional, this is a {}", shown_type(t)));
  return dyn_;
}

const Type* Checker::list(Node* n) {
  const Type* all = nullptr;
  for (size_t i = 0; i < n->args.size(); ++i) {
    const Type* t = element(n->args[i], n->optional_flags[i]);
    all = all == nullptr ? t : unify_.join(all, t);
  }
  return list_of(all != nullptr ? all : tree_.types.fresh());
}

const Type* Checker::map(Node* n) {
  const Type *keys = nullptr, *values = nullptr;
  for (size_t i = 0; i + 1 < n->args.size(); i += 2) {
    const Type* k = visit(n->args[i]);
    const Type* v = element(n->args[i + 1], n->optional_flags[i / 2]);
    keys = keys == nullptr ? k : unify_.join(keys, k);
    values = values == nullptr ? v : unify_.join(values, v);
  }
  if (keys == nullptr) keys = tree_.types.fresh(), values = tree_.types.fresh();
  return map_of(keys, values);
}

const Type* Checker::message(Node* n) {
  return wrong(n, "messages of protobuf are not part of KFL", "a map is written {\"key\": value}");
}

void Checker::check_value(const Node* n) {
  for (size_t i = 0; i < 2; ++i) {
    const Node *v = n->args[i], *l = n->args[1 - i];
    if (l->op != Op::kLiteral || !l->value.is(Kind::kString)) continue;
    if (v->op == Op::kVariable) warn_closed_set(v->text, l->value.text(), l->begin, l->end, d_);
    if (o_.filter && v->op != Op::kLiteral && (l->text.starts_with('r') || l->text.starts_with('R'))) {
      std::string corrected = fmt::format("{}{}.matches({})", n->op == Op::kNotEqual ? "!" : "", print_cel(v), l->text);
      std::string suggestion = fmt::format("write {}; == r\"...\" belongs to KFL v1", corrected);
      d_.warning(n->begin, n->end, "it is compared with the text, not with a regular expression", std::move(suggestion),
                 Diagnostic::Fix{std::move(corrected), true});
    }
  }
}

}  // namespace baleen::kfl
