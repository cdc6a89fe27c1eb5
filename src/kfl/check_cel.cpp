#include "kfl/check_cel.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/suggest.h"
#include "kfl/closed_sets.h"
#include "kfl/functions_v1.h"
#include "kfl/limits.h"
#include "kfl/protocols.h"
#include "kfl/unify.h"
#include "kfl/values_cel.h"

// Two walks. The first resolves names and deduces types bottom-up; a mistake is said once and its node is kError from
// then on, so that everything wrong with a filter is said together. The second (scope) gives protocol variables their
// scope: a condition that asks for one holds only for items of its protocol, and a variable alone asks for its
// protocol.

namespace baleen::kfl {
namespace {

using K = Type::Kind;

class Checker {
 public:
  Checker(Tree& tree, const CheckOptions& o, Diagnoser& d) : tree_(tree), o_(o), d_(d), unify_(tree.types) {
    for (const auto& [kind, slot] :
         {std::pair(K::kDyn, &dyn_), {K::kBool, &bool_}, {K::kInt, &int_}, {K::kError, &error_}})
      *slot = tree.types.make(kind);
  }

  bool run(uint32_t& locals) {
    const Type* type = visit(tree_.root);
    if (o_.filter && !d_.failed()) {
      expect_bool(tree_.root, type, "the filter");
      if (!d_.failed()) scope(tree_.root, kAnyProtocol);
    }
    for (Node& n : tree_.nodes)
      if (n.type != nullptr) n.type = unify_.substitute(n.type, true);
    locals = most_locals_;
    return !d_.failed();
  }

 private:
  struct Local {
    std::string name;
    uint32_t slot;
    const Type* type;
  };

  const Type* simple(K kind) { return tree_.types.make(kind); }
  const Type* list_of(const Type* t) { return tree_.types.make(K::kList, {t}); }
  const Type* map_of(const Type* k, const Type* v) { return tree_.types.make(K::kMap, {k, v}); }
  const Type* optional_of(const Type* t) { return tree_.types.make(K::kOptional, {t}); }
  const Type* known(const Type* t) { return unify_.substitute(t, false); }

  const Type* wrong(const Node* n, std::string message, std::string suggestion = {}) {
    if (!o_.types) return dyn_;
    d_.error(n->begin, n->end, std::move(message), std::move(suggestion));
    return error_;
  }

  const Type* visit(Node* n) {
    n->type = deduce(n);
    return n->type;
  }

  const Type* deduce(Node* n) {
    switch (n->op) {
      case Op::kLiteral: return literal(n->value);
      case Op::kName:
      case Op::kField: return name_or_field(n);
      case Op::kOptionalField: return optional_field(n);
      case Op::kHas: return has(n);
      case Op::kNot: return logical(n, {bool_});
      case Op::kAnd:
      case Op::kOr: return logical(n, {bool_, bool_});
      case Op::kConditional: return conditional(n);
      case Op::kNegate: return operator_("-", n, "-(int) -> int; -(double) -> double");
      case Op::kIndex:
      case Op::kOptionalIndex: return index(n);
      case Op::kList: return list(n);
      case Op::kMap: return map(n);
      case Op::kCall: return call(n);
      case Op::kBind: return bind(n);
      case Op::kBlock: return block(n);
      case Op::kMessage: return message(n);
      case Op::kAll:
      case Op::kExists:
      case Op::kExistsOne:
      case Op::kMapMacro:
      case Op::kFilter:
      case Op::kTransformList:
      case Op::kTransformMap:
      case Op::kTransformMapEntry: return comprehension(n);
      default: return binary(n);
    }
  }

  const Type* literal(const Datum& d) {
    switch (d.kind) {
      case Kind::kNull: return simple(K::kNull);
      case Kind::kBool: return bool_;
      case Kind::kInt: return int_;
      case Kind::kUint: return simple(K::kUint);
      case Kind::kDouble: return simple(K::kDouble);
      case Kind::kBytes: return simple(K::kBytes);
      case Kind::kTimestamp: return simple(K::kTimestamp);
      case Kind::kDuration: return simple(K::kDuration);
      default: return simple(K::kString);
    }
  }

  // ---- names ----
  static std::string dotted(const Node* n) {
    if (n->op == Op::kName) return n->text;
    if (n->op != Op::kField || n->implied) return {};
    const std::string front = dotted(n->args[0]);
    return front.empty() ? front : front + "." + n->text;
  }
  static const Node* root_of(const Node* n) {
    while (n->op == Op::kField) n = n->args[0];
    return n;
  }
  const Local* local(std::string_view name) const {
    for (auto l = locals_.rbegin(); l != locals_.rend(); ++l)
      if (l->name == name) return &*l;
    return nullptr;
  }

  /// Makes the node what the (dotted) name stands for; null when it stands for nothing.
  const Type* resolve(Node* n, std::string_view name) {
    std::string_view container = o_.container;
    const bool rooted = name.starts_with('.');
    if (rooted) name.remove_prefix(1), container = {};
    for (;;) {
      const std::string full = container.empty() ? std::string(name) : fmt::format("{}.{}", container, name);
      if (const Type* t = resolve_exact(n, full)) return t;
      if (container.empty()) return nullptr;
      const size_t dot = container.rfind('.');
      container = dot == std::string_view::npos ? std::string_view() : container.substr(0, dot);
    }
  }

  const Type* resolve_exact(Node* n, const std::string& name) {
    if (const Variable* v = o_.environment->find(name)) {
      n->op = Op::kVariable;
      n->variable = v;
      n->text = name;
      n->args.clear();
      std::map<std::string, const Type*> fresh;
      return o_.types ? unify_.instantiate(v->type, fresh) : dyn_;
    }
    if (o_.filter)
      if (const uint64_t mask = flag_mask(name); mask != 0) {
        n->op = Op::kFlag;
        n->mask = mask;
        n->text = name;
        n->args.clear();
        return bool_;
      }
    static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
        {"bool", "bool"},
        {"int", "int"},
        {"uint", "uint"},
        {"double", "double"},
        {"string", "string"},
        {"bytes", "bytes"},
        {"list", "list(dyn)"},
        {"map", "map(dyn, dyn)"},
        {"null_type", "null"},
        {"type", "type(dyn)"},
        {"optional_type", "optional(dyn)"},
        {"google.protobuf.Timestamp", "timestamp"},
        {"google.protobuf.Duration", "duration"}};
    for (const auto& [type, text] : kTypes) {
      if (type != name) continue;
      n->op = Op::kTypeName;
      n->value = Datum::text(type, Kind::kType);
      n->text = name;
      n->args.clear();
      return tree_.types.make(K::kType, {parse_type(text)});
    }
    return nullptr;
  }

  const Type* name_or_field(Node* n) {
    const std::string name = dotted(n);
    if (!name.empty()) {
      if (const Local* l = local(root_of(n)->text)) {
        if (n->op == Op::kField) return select(n);
        n->op = Op::kLocal;
        n->slot = l->slot;
        return l->type;
      }
      if (const Type* t = resolve(n, name)) return t;
      if (n->op == Op::kName || !has_known_front(n)) return unknown(n, name);
    }
    return select(n);
  }

  bool has_known_front(const Node* n) {
    for (n = n->args[0];; n = n->args[0]) {
      Node copy = *n;
      if (resolve(&copy, dotted(n)) != nullptr) return true;
      if (n->op == Op::kName) return false;
    }
  }

  const Type* unknown(Node* n, std::string_view name) {
    if (!o_.types) {  // unchecked: an error when it is evaluated
      n->op = Op::kLiteral;
      n->value = Datum::error("unknown variable");
      n->args.clear();
      return dyn_;
    }
    std::string suggestion;
    if (const Variable* v = o_.environment->of_path(name)) {
      suggestion = fmt::format("did you mean \"{}\"? \"{}\" is its name in KFL v1", v->name, name);
    } else if (name == "nil") {
      suggestion = "did you mean \"null\"? \"nil\" belongs to KFL v1";
    } else if (name == "now") {
      suggestion = "did you mean \"now()\"?";
    } else {
      std::vector<std::string_view> names = o_.environment->names();
      for (const FlagCard& f : flag_cards()) names.push_back(f.name);
      if (const std::string_view near = suggest(name, names); !near.empty())
        suggestion = fmt::format("did you mean \"{}\"?", near);
    }
    return wrong(n, fmt::format("there is no variable {}", shown(name)), std::move(suggestion));
  }

  const Type* select(Node* n) {
    const Type* operand = known(visit(n->args[0]));
    return field_of(n, operand);
  }

  const Type* field_of(Node* n, const Type* operand) {
    switch (operand->kind) {
      case K::kDyn:
      case K::kError: return operand->kind == K::kError ? error_ : dyn_;
      case K::kParameter: unify_.assignable(operand, dyn_); return dyn_;
      case K::kMap: return operand->parameters[1];
      case K::kOptional: return optional_of(field_of(n, known(operand->parameters[0])));
      default: {
        std::string suggestion;
        if (const std::string name = dotted_variable(n); !name.empty())
          if (const Variable* v = o_.environment->of_path(name))
            suggestion = fmt::format("did you mean \"{}\"?", v->name);
        return wrong(n,
                     fmt::format("{} is a {} and has no fields (asked for {})", shown(print_cel(n->args[0])),
                                 to_string(*operand), shown(n->text)),
                     std::move(suggestion));
      }
    }
  }
  static std::string dotted_variable(const Node* n) {
    if (n->op == Op::kVariable) return n->text;
    if (n->op != Op::kField) return {};
    const std::string front = dotted_variable(n->args[0]);
    return front.empty() ? front : front + "." + n->text;
  }

  const Type* optional_field(Node* n) {
    const Type* operand = known(visit(n->args[0]));
    const bool optional = operand->kind == K::kOptional;
    const Type* field = field_of(n, optional ? known(operand->parameters[0]) : operand);
    return optional_of(field);
  }

  const Type* has(Node* n) {
    const Type* operand = known(visit(n->args[0]));
    field_of(n, operand);
    return bool_;
  }

  // ---- operators ----
  const Type* logical(Node* n, std::vector<const Type*> want) {
    for (size_t i = 0; i < want.size(); ++i)
      expect_bool(n->args[i], visit(n->args[i]), fmt::format("\"{}\"", n->op == Op::kNot ? "!" : sign(n->op)));
    return bool_;
  }

  static bool is_bareword(const Node* n) { return n->op == Op::kVariable && n->variable->scope != 0; }

  void expect_bool(Node* n, const Type* t, std::string_view what) {
    if (o_.filter && is_bareword(n)) return;  // K2-07
    if (unify_.assignable(t, bool_)) return;
    std::string suggestion;
    if (n->op == Op::kLiteral && n->value.is(Kind::kString)) suggestion = "a text is no condition: compare it with ==";
    wrong(n,
          fmt::format("{} needs a bool, {} is a {}", what, shown(print_cel(n)), to_string(*unify_.substitute(t, true))),
          std::move(suggestion));
  }

  const Type* conditional(Node* n) {
    expect_bool(n->args[0], visit(n->args[0]), "\"?\"");
    const Type *a = visit(n->args[1]), *b = visit(n->args[2]);
    if (unify_.assignable(a, b)) return unify_.join(a, b);
    if (o_.types && a->kind != K::kError && b->kind != K::kError)
      wrong(n, fmt::format("both sides of \":\" must have one type: {} and {}", shown_type(a), shown_type(b)),
            "dyn(x) takes a value's type away");
    return dyn_;
  }
  std::string shown_type(const Type* t) { return to_string(*unify_.substitute(t, true)); }

  const Type* binary(Node* n) {
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

  /// Numbers of different types have an order among them.
  const Type* ordering(Node* n) {
    const Type *a = visit(n->args[0]), *b = visit(n->args[1]);
    if (a->kind == K::kError || b->kind == K::kError) return bool_;
    const Type *x = known(a), *y = known(b);
    const auto number = [](const Type* t) {
      return t->kind == K::kInt || t->kind == K::kUint || t->kind == K::kDouble;
    };
    const auto ordered = [&](const Type* t) {
      return number(t) || t->kind == K::kBool || t->kind == K::kString || t->kind == K::kBytes ||
             t->kind == K::kTimestamp || t->kind == K::kDuration || t->kind == K::kDyn || t->kind == K::kParameter;
    };
    if ((number(x) && number(y)) || (ordered(x) && ordered(y) && unify_.assignable(x, y))) return bool_;
    mismatch(n, a, b);
    return bool_;
  }

  void mismatch(Node* n, const Type* a, const Type* b) {
    std::string suggestion;
    const auto literal_of = [](const Node* x) { return x->op == Op::kLiteral; };
    const size_t which = literal_of(n->args[1]) ? 1 : literal_of(n->args[0]) ? 0 : 2;
    const Type* other = which == 1 ? known(a) : known(b);
    if (which != 2) {
      const Datum& d = n->args[which]->value;
      if (d.is(Kind::kString) && (other->kind == K::kInt || other->kind == K::kDouble) && !d.text().empty() &&
          d.text().find_first_not_of("0123456789.-") == std::string_view::npos)
        suggestion = fmt::format("write the number without quotes: {}", d.text());
      if (d.is_number() && other->kind == K::kString)
        suggestion = fmt::format("write it as a text: \"{}\"", print_cel(n->args[which]));
      if (d.is(Kind::kString) && other->kind == K::kTimestamp)
        suggestion = fmt::format("write timestamp({})", print_cel(n->args[which]));
      if (d.is(Kind::kInt) && other->kind == K::kTimestamp)
        suggestion = "compare with timestamp(\"...\") or now() - duration(\"5m\")";
      if (d.is(Kind::kInt) && other->kind == K::kUint) suggestion = fmt::format("write it as a uint: {}u", d.integer);
      if (d.is(Kind::kString) && other->kind == K::kList)
        suggestion = fmt::format("write {} in {}", print_cel(n->args[which]), print_cel(n->args[1 - which]));
    }
    wrong(n, fmt::format("\"{}\" has no meaning between {} and {}", sign(n->op), shown_type(a), shown_type(b)),
          std::move(suggestion));
  }

  const Type* operator_(std::string_view name, Node* n, std::string_view signatures) {
    std::vector<const Type*> types;
    for (Node* arg : n->args) types.push_back(visit(arg));
    for (const Type* t : types)
      if (t->kind == K::kError)
        return n->op == Op::kEqual || n->op == Op::kNotEqual || n->op == Op::kIn ? bool_ : error_;
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

  static const std::vector<Overload>& operator_overloads(std::string_view name, std::string_view signatures);

  /// Picks the overloads that fit; null when none does.
  const Type* overload(const std::vector<Overload>& overloads, const std::vector<const Type*>& args, bool receiver) {
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

  const Type* index(Node* n) {
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
        return wrong(
            n, fmt::format("{} is a {} and cannot be indexed", shown(print_cel(n->args[0])), shown_type(operand)));
    }
    return from_optional || n->op == Op::kOptionalIndex ? optional_of(result) : result;
  }

  const Type* element(Node* n, bool optional) {
    const Type* t = visit(n);
    if (!optional) return t;
    const Type* k = known(t);
    if (k->kind == K::kOptional) return k->parameters[0];
    if (k->kind == K::kDyn || k->kind == K::kError) return k;
    wrong(n, fmt::format("\"?\" needs an optional, this is a {}", shown_type(t)));
    return dyn_;
  }

  const Type* list(Node* n) {
    const Type* all = nullptr;
    for (size_t i = 0; i < n->args.size(); ++i) {
      const Type* t = element(n->args[i], n->optional_flags[i]);
      all = all == nullptr ? t : unify_.join(all, t);
    }
    return list_of(all != nullptr ? all : tree_.types.fresh());
  }

  const Type* map(Node* n) {
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

  const Type* message(Node* n) {
    return wrong(n, "messages of protobuf are not part of KFL", "a map is written {\"key\": value}");
  }

  // ---- calls ----
  const Function* find_function(std::string_view name) const {
    if (o_.more_functions != nullptr)
      for (const Function& f : *o_.more_functions)
        if (f.name == name) return &f;
    return function_named(name);
  }

  const Type* call(Node* n) {
    if (n->text.starts_with('.')) n->text.erase(0, 1);
    if (n->text == "now" && n->args.empty()) {
      n->op = Op::kLiteral;
      n->value = make_timestamp(to_ns(o_.now));
      return simple(K::kTimestamp);
    }
    if (n->has_subject) {
      const std::string front = dotted(n->args[0]);
      if (!front.empty() && local(root_of(n->args[0])->text) == nullptr) {
        const std::string full = (front[0] == '.' ? front.substr(1) : front) + "." + n->text;
        if (find_function(full) != nullptr) {
          n->text = full;
          n->has_subject = false;
          n->args.erase(n->args.begin());
        }
      }
    }
    std::vector<const Type*> types;
    for (Node* arg : n->args) types.push_back(visit(arg));
    const Function* f = find_function(n->text);
    if (f == nullptr) return unknown_function(n);
    n->function = f;
    for (const Type* t : types)
      if (t->kind == K::kError) return error_;
    if (f->name == "math.greatest" || f->name == "math.least") return extreme(n, types);
    const Type* result = overload(f->overloads, types, n->has_subject);
    if (result == nullptr) {
      if (o_.types) no_overload(n, *f, types);
      return o_.types ? error_ : dyn_;
    }
    prepare(n);
    return result;
  }

  const Type* unknown_function(Node* n) {
    if (!o_.types) {
      n->function = nullptr;
      return dyn_;
    }
    std::string suggestion;
    static constexpr std::pair<std::string_view, std::string_view> kOfV1[] = {
        {"limit", "limit() belongs to KFL v1"},        {"redact", "redact() belongs to KFL v1"},
        {"json", "json() belongs to KFL v1"},          {"xml", "xml() belongs to KFL v1"},
        {"record", "record() belongs to KFL v1"},      {"datetime", "write timestamp(\"2026-03-14T22:00:00Z\")"},
        {"seconds", "write now() - duration(\"5s\")"}, {"minutes", "write now() - duration(\"5m\")"},
        {"hours", "write now() - duration(\"5h\")"},   {"days", "write now() - duration(\"24h\")"}};
    for (const auto& [name, text] : kOfV1)
      if (name == n->text) suggestion = text;
    if (suggestion.empty()) {
      std::vector<std::string_view> names;
      for (const Function& f : all_functions()) names.push_back(f.name);
      for (const std::string_view macro : {"all", "exists", "exists_one", "map", "filter", "has"})
        names.push_back(macro);
      const std::string_view near = suggest(n->text, names);
      if (near == n->text)
        suggestion = fmt::format("{}() is a macro: list.{}(x, condition)", near, near);
      else if (!near.empty())
        suggestion = fmt::format("did you mean \"{}\"?", near);
    }
    for (const std::string_view macro : {"all", "exists", "exists_one", "map", "filter"})
      if (n->text == macro) suggestion = fmt::format("write list.{}(x, condition on x)", macro);
    const uint32_t at = n->slot >= n->begin && n->slot < n->end ? n->slot : n->begin;
    d_.error(at, std::min<size_t>(n->end, at + n->text.size()), fmt::format("there is no function {}", shown(n->text)),
             std::move(suggestion));
    return error_;
  }

  void no_overload(Node* n, const Function& f, const std::vector<const Type*>& types) {
    std::string got;
    for (size_t i = n->has_subject ? 1 : 0; i < types.size(); ++i)
      got += (got.empty() ? "" : ", ") + shown_type(types[i]);
    std::string expected;
    for (const std::string_view s : f.signatures) expected += (expected.empty() ? "" : "; ") + std::string(s);
    d_.error(n->begin, n->end,
             fmt::format("{}{}({}) has no meaning", n->has_subject ? shown_type(types[0]) + "." : "", f.name, got),
             "expected " + expected);
  }

  const Type* extreme(Node* n, const std::vector<const Type*>& types) {
    if (types.empty() || n->has_subject) {
      wrong(n, fmt::format("{}() takes numbers or a list of numbers", n->text));
      return dyn_;
    }
    const Type* result = nullptr;
    for (const Type* t : types) {
      t = known(t);
      if (types.size() == 1 && t->kind == K::kList) t = known(t->parameters[0]);
      const bool number = t->kind == K::kInt || t->kind == K::kUint || t->kind == K::kDouble || t->kind == K::kDyn ||
                          t->kind == K::kParameter;
      if (!number) {
        wrong(n, fmt::format("{}() takes numbers or a list of numbers, this is a {}", n->text, shown_type(t)));
        return dyn_;
      }
      if (result == nullptr)
        result = t;
      else if (!Unifier::equal(*result, *t))
        result = dyn_;
    }
    return result;
  }

  /// Work that need not be done for each item.
  void prepare(Node* n) {
    if (n->text == "matches" && n->args.size() == 2 && n->args[1]->op == Op::kLiteral &&
        n->args[1]->value.is(Kind::kString)) {
      re2::RE2::Options options;
      options.set_log_errors(false);
      options.set_max_mem(kMaxRegexMemory);
      const Datum& p = n->args[1]->value;
      auto regex = std::make_shared<re2::RE2>(re2::StringPiece(p.chars, p.size), options);
      if (regex->ok())
        n->regex = std::move(regex);
      else
        wrong(n->args[1], fmt::format("the regular expression is wrong: {}", regex->error()));
    }
    if ((n->text == "timestamp" || n->text == "duration") && n->args.size() == 1 && n->args[0]->op == Op::kLiteral) {
      Arena arena;
      Context context{{}, arena, kMaxWork};
      const Datum value = n->function->run(std::span(&n->args[0]->value, 1), context);
      if (value.is_error()) {
        if (o_.filter)
          wrong(n->args[0], std::string(value.text()),
                n->text == "duration" ? "for example: duration(\"5m\")"
                                      : "for example: timestamp(\"2026-03-14T22:00:00Z\")");
        return;
      }
      n->form = print_cel(n);
      n->op = Op::kLiteral;
      n->value = value;
      n->args.clear();
    }
  }

  // ---- comprehensions ----
  void push(std::string_view name, const Type* type) {
    locals_.push_back({std::string(name), static_cast<uint32_t>(locals_.size()), type});
    most_locals_ = std::max<uint32_t>(most_locals_, static_cast<uint32_t>(locals_.size()));
  }
  void pop(size_t n) { locals_.resize(locals_.size() - n); }

  const Type* comprehension(Node* n) {
    const Type* range = known(visit(n->args[0]));
    const Type *first = dyn_, *second = dyn_;
    switch (range->kind) {
      case K::kList:
        first = n->variables == 2 ? int_ : range->parameters[0];
        second = range->parameters[0];
        break;
      case K::kMap: first = range->parameters[0], second = range->parameters[1]; break;
      case K::kDyn:
      case K::kError: break;
      case K::kParameter: unify_.assignable(range, dyn_); break;
      default:
        wrong(n->args[0], fmt::format("{}() goes through a list or a map, this is a {}", n->text, shown_type(range)));
    }
    n->slot = static_cast<uint32_t>(locals_.size());
    push(n->form, first);
    if (n->variables == 2) push(n->second, second);
    const size_t bodies = n->args.size() - 1;
    const bool condition_first = bodies == 2;
    if (condition_first) expect_bool(n->args[1], visit(n->args[1]), n->text + "()");
    Node* body = n->args.back();
    const Type* result = visit(body);
    pop(n->variables);
    switch (n->op) {
      case Op::kAll:
      case Op::kExists:
      case Op::kExistsOne: expect_bool(body, result, n->text + "()"); return bool_;
      case Op::kFilter: expect_bool(body, result, n->text + "()"); return list_of(first);
      case Op::kMapMacro:
      case Op::kTransformList: return list_of(result);
      case Op::kTransformMap: return map_of(range->kind == K::kList ? int_ : first, result);
      default: {
        const Type* entry = known(result);
        if (entry->kind == K::kMap || entry->kind == K::kDyn || entry->kind == K::kError) return entry;
        wrong(body, fmt::format("transformMapEntry() needs a map with one entry, this is a {}", shown_type(entry)));
        return dyn_;
      }
    }
  }

  const Type* bind(Node* n) {
    const Type* value = known(visit(n->args[0]));
    if (n->optional) {
      if (value->kind == K::kOptional)
        value = value->parameters[0];
      else if (value->kind != K::kDyn && value->kind != K::kError)
        wrong(n->args[0], fmt::format("{}() needs an optional, this is a {}", n->text, shown_type(value)));
    }
    n->slot = static_cast<uint32_t>(locals_.size());
    push(n->form, value);
    const Type* body = visit(n->args[1]);
    pop(1);
    return n->optional && !n->flat ? optional_of(body) : body;
  }

  const Type* block(Node* n) {
    n->slot = static_cast<uint32_t>(locals_.size());
    const size_t bindings = n->args.size() - 1;
    for (size_t i = 0; i < bindings; ++i) {
      const Type* t = visit(n->args[i]);
      push(fmt::format("@index{}", i), t);
    }
    const Type* body = visit(n->args.back());
    pop(bindings);
    return body;
  }

  // ---- values of closed sets ----
  void check_value(const Node* n) {
    for (size_t i = 0; i < 2; ++i) {
      const Node *v = n->args[i], *l = n->args[1 - i];
      if (v->op != Op::kVariable || l->op != Op::kLiteral || !l->value.is(Kind::kString)) continue;
      warn_closed_set(v->text, l->value.text(), l->begin, l->end, d_);
    }
  }

  // ---- scopes ----
  /// Flags that stand beside a condition in one conjunction.
  static uint64_t flags_in(const Node* n) {
    if (n->op == Op::kFlag) return n->mask;
    if (n->op == Op::kAnd) return flags_in(n->args[0]) & flags_in(n->args[1]);
    return kAnyProtocol;
  }

  static uint64_t scope_of(const Variable& v, uint64_t beside) {
    if (v.scope == 0) return kAnyProtocol;
    if (beside != kAnyProtocol && (v.scope & beside) == 0)
      for (const Variable::Source& s : v.sources)  // status_code beside dns
        if (s.protocols != kAnyProtocol && (s.protocols & beside) != 0) return s.protocols & beside;
    return v.scope;
  }

  static uint64_t scope_within(const Node* n, uint64_t beside) {
    uint64_t mask = n->op == Op::kVariable ? scope_of(*n->variable, beside) : kAnyProtocol;
    for (const Node* arg : n->args) mask &= scope_within(arg, beside);
    return mask;
  }

  void scope(Node*& n, uint64_t beside) {
    switch (n->op) {
      case Op::kAnd: {
        const uint64_t flags = flags_in(n);
        const uint64_t both = flags == kAnyProtocol ? beside : beside == kAnyProtocol ? flags : beside & flags;
        scope(n->args[0], both);
        scope(n->args[1], both);
        return;
      }
      case Op::kOr:
      case Op::kNot:
      case Op::kConditional:
        for (Node*& arg : n->args) scope(arg, beside);
        return;
      case Op::kVariable: {
        const uint64_t mask = scope_of(*n->variable, beside);
        if (mask == kAnyProtocol || known(n->type)->kind == K::kBool) return;
        n->op = Op::kFlag;  // a variable alone asks for its protocol
        n->mask = mask;
        n->type = bool_;
        return;
      }
      case Op::kLiteral:
      case Op::kFlag:
      case Op::kLocal: return;
      default: break;
    }
    const uint64_t mask = scope_within(n, beside);
    if (mask == kAnyProtocol || known(n->type)->kind != K::kBool) return;
    if (beside != kAnyProtocol && (beside & ~mask) == 0) return;  // a flag beside it says so already
    Node* guard = tree_.make(Op::kInPlace, n->begin, n->end);
    guard->mask = mask;
    guard->args = {n};
    guard->type = bool_;
    n = guard;
  }

  Tree& tree_;
  const CheckOptions& o_;
  Diagnoser& d_;
  Unifier unify_;
  std::vector<Local> locals_;
  uint32_t most_locals_ = 0;
  const Type *dyn_, *bool_, *int_, *error_;
};

/// "+(int, int) -> int; ...": made once for each operator.
const std::vector<Overload>& Checker::operator_overloads(std::string_view name, std::string_view signatures) {
  static std::mutex mutex;
  static std::map<std::string_view, std::vector<Overload>> made;
  const std::lock_guard lock(mutex);
  auto& overloads = made[signatures];
  if (overloads.empty()) overloads = parse_signatures(name, signatures);
  return overloads;
}

}  // namespace

bool check_cel(Tree& tree, const CheckOptions& options, Diagnoser& diagnose, uint32_t& locals) {
  return tree.root == nullptr || Checker(tree, options, diagnose).run(locals);
}

}  // namespace baleen::kfl
