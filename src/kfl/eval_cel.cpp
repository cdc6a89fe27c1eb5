#include <array>

#include "kfl/functions.h"
#include "kfl/limits.h"
#include "kfl/program.h"
#include "kfl/protocols.h"
#include "kfl/values_cel.h"
#include "kfl/variables.h"

// Evaluates CEL. An error is a value that every operator hands on, but && and || (and all(), exists()) swallow it when
// the other side decides alone.

namespace baleen::kfl {
namespace {

uint64_t protocols(Context& c) {
  if (c.protocols == 0) c.protocols = protocol_of(c.record);
  return c.protocols;
}

Datum wrong() { return Datum::error(kNoOverload); }

Datum logical(const Node& n, Context& c) {
  const bool decides = n.op == Op::kOr;  // true decides ||, false decides &&
  const Datum left = eval_cel(*n.args[0], c);
  if (left.is(Kind::kBool) && left.boolean == decides) return left;
  const Datum right = eval_cel(*n.args[1], c);
  if (right.is(Kind::kBool) && right.boolean == decides) return right;
  if (left.is(Kind::kBool) && right.is(Kind::kBool)) return right;
  if (left.is_error()) return left;
  return right.is_error() ? right : wrong();
}

Datum ordered(Op op, Order order) {
  switch (order) {
    case Order::kWrong: return wrong();
    case Order::kUnordered: return Datum::of(false);
    case Order::kLess: return Datum::of(op == Op::kLess || op == Op::kLessEqual);
    case Order::kEqual: return Datum::of(op == Op::kLessEqual || op == Op::kGreaterEqual);
    case Order::kGreater: return Datum::of(op == Op::kGreater || op == Op::kGreaterEqual);
  }
  return wrong();
}

/// A variable's value; looked up once when the filter asks for it more than once.
inline Datum variable(const Node& n, Context& c) {
  if (n.cache == 0 || c.cached == nullptr) return value_of(*n.variable, c);
  const uint64_t bit = uint64_t{1} << n.cache;
  Datum& kept = c.cached[n.cache - 1];
  if ((c.is_cached & bit) == 0) {
    kept = value_of(*n.variable, c);
    c.is_cached |= bit;
  }
  return kept;
}

Datum comparison(const Node& n, Context& c) {
  const Node &left = *n.args[0], &right = *n.args[1];
  const Datum a = left.op == Op::kVariable ? variable(left, c) : eval_cel(left, c);
  if (a.is_error()) return a;
  const Datum b = right.op == Op::kLiteral ? right.value : eval_cel(right, c);
  if (a.is(Kind::kInt) && b.is(Kind::kInt)) {  // most comparisons of filters
    switch (n.op) {
      case Op::kEqual: return Datum::of(a.integer == b.integer);
      case Op::kNotEqual: return Datum::of(a.integer != b.integer);
      case Op::kLess: return Datum::of(a.integer < b.integer);
      case Op::kLessEqual: return Datum::of(a.integer <= b.integer);
      case Op::kGreater: return Datum::of(a.integer > b.integer);
      case Op::kGreaterEqual: return Datum::of(a.integer >= b.integer);
      default: break;
    }
  }
  if (b.is_error()) return b;
  switch (n.op) {
    case Op::kEqual:
    case Op::kNotEqual: {
      if (a.is(Kind::kString) && b.is(Kind::kString)) return Datum::of((a.text() == b.text()) == (n.op == Op::kEqual));
      const bool equal = equal_cel(a, b, c.work);
      return c.work < 0 ? Datum::error(kOutOfWork) : Datum::of(equal == (n.op == Op::kEqual));
    }
    case Op::kIn: return contains(a, b, c.work);
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual: return ordered(n.op, order_cel(a, b));
    default: return arithmetic(n.op, a, b, c);
  }
}

Datum full(const Datum& d, Context& c) { return Datum::optional(c.arena.make<Datum>(d)); }

/// A field of a map; within an optional, an optional.
Datum field(const Datum& operand, std::string_view name, Context& c) {
  if (operand.is_error()) return operand;
  if (operand.is(Kind::kOptional)) {
    if (operand.inner == nullptr) return operand;
    if (!operand.inner->is_map()) return wrong();
    Datum value;
    return find_key(*operand.inner, Datum::text(name), value, c.work) ? full(value, c) : Datum::optional(nullptr);
  }
  if (!operand.is_map()) return wrong();
  Datum value;
  return find_key(operand, Datum::text(name), value, c.work) ? value : Datum::error(kNoKey);
}

Datum optional_field(const Datum& operand, std::string_view name, Context& c) {
  if (operand.is_error() || operand.is(Kind::kOptional)) return field(operand, name, c);
  const Datum value = field(operand, name, c);
  if (!value.is_error()) return full(value, c);
  return operand.is_map() ? Datum::optional(nullptr) : Datum::error(kNoKey);
}

Datum has(const Node& n, Context& c) {
  const Datum operand = eval_cel(*n.args[0], c);
  if (operand.is_error()) return operand;
  if (operand.is(Kind::kOptional) || n.optional) {
    const Datum value = optional_field(operand, n.text, c);
    return value.is_error() ? value : Datum::of(value.inner != nullptr);
  }
  if (!operand.is_map()) return wrong();
  Datum ignored;
  return Datum::of(find_key(operand, Datum::text(n.text), ignored, c.work));
}

Datum indexed(const Node& n, Context& c) {
  Datum container = eval_cel(*n.args[0], c);
  if (container.is_error()) return container;
  const Datum key = eval_cel(*n.args[1], c);
  if (key.is_error()) return key;
  const bool optional = container.is(Kind::kOptional) || n.op == Op::kOptionalIndex;
  if (container.is(Kind::kOptional)) {
    if (container.inner == nullptr) return container;
    container = *container.inner;
  }
  const Datum value = index(container, key, c);
  if (!optional) {
    const Node& from = *n.args[0];  // K2-06, D-8: a label that is not there is ""
    if (value.is_error() && from.op == Op::kVariable && from.variable->lenient && container.is_map())
      return Datum::text("");
    return value;
  }
  if (!value.is_error()) return full(value, c);
  return container.is_map() || container.is_list() ? Datum::optional(nullptr) : value;
}

/// The elements of a list literal; empty optionals are left out.
Datum list(const Node& n, Context& c) {
  const auto out = c.arena.array<Datum>(n.args.size());
  size_t used = 0;
  for (size_t i = 0; i < n.args.size(); ++i) {
    Datum d = eval_cel(*n.args[i], c);
    if (d.is_error()) return d;
    if (n.optional_flags[i]) {
      if (!d.is(Kind::kOptional)) return wrong();
      if (d.inner == nullptr) continue;
      d = *d.inner;
    }
    out[used++] = d;
  }
  return Datum::of(std::span<const Datum>(out.first(used)));
}

bool is_key(const Datum& d) {
  return d.is(Kind::kBool) || d.is(Kind::kInt) || d.is(Kind::kUint) || d.is(Kind::kString);
}

Datum add_entry(std::span<Entry> out, size_t& used, const Datum& key, const Datum& value, Context& c) {
  if (!is_key(key)) return Datum::error("a key must be a bool, an int, a uint or a string");
  Datum ignored;
  if (find_key(Datum::of(std::span<const Entry>(out.first(used))), key, ignored, c.work))
    return Datum::error("a key is there twice");
  if (c.work < 0) return Datum::error(kOutOfWork);
  out[used++] = {key, value};
  return {};
}

Datum map(const Node& n, Context& c) {
  const auto out = c.arena.array<Entry>(n.args.size() / 2);
  size_t used = 0;
  for (size_t i = 0; i + 1 < n.args.size(); i += 2) {
    const Datum key = eval_cel(*n.args[i], c);
    if (key.is_error()) return key;
    Datum value = eval_cel(*n.args[i + 1], c);
    if (value.is_error()) return value;
    if (n.optional_flags[i / 2]) {
      if (!value.is(Kind::kOptional)) return wrong();
      if (value.inner == nullptr) continue;
      value = *value.inner;
    }
    if (const Datum d = add_entry(out, used, key, value, c); d.is_error()) return d;
  }
  return Datum::of(std::span<const Entry>(out.first(used)));
}

Datum call(const Node& n, Context& c) {
  std::array<Datum, 8> few;
  std::span<Datum> args = few;
  if (n.args.size() > few.size()) args = c.arena.array<Datum>(n.args.size());
  args = args.first(n.args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    args[i] = eval_cel(*n.args[i], c);
    // or(), orValue(): the argument is needed only when the optional is empty
    if (args[i].is_error()) return args[i];
    if (i == 0 && args.size() == 2 && args[0].is(Kind::kOptional) && args[0].inner != nullptr) {
      if (n.text == "orValue") return *args[0].inner;
      if (n.text == "or") return args[0];
    }
  }
  if (n.regex != nullptr) {
    if (!args[0].is(Kind::kString)) return wrong();
    return Datum::of(re2::RE2::PartialMatch(re2::StringPiece(args[0].chars, args[0].size), *n.regex));
  }
  if (n.function == nullptr || n.function->run == nullptr) return Datum::error("there is no such function");
  c.work -= 1;
  return n.function->run(args, c);
}

// ---- comprehensions ----

/// Sets the variables for one step: element, index and element, key, key and value.
void set_step(const Node& n, const Datum& range, size_t i, Context& c) {
  Datum* locals = c.locals + n.slot;
  const bool is_list = range.is_list();
  if (n.variables == 1) {
    locals[0] = is_list ? range.element(i) : range.key(i);
  } else {
    locals[0] = is_list ? Datum::of(static_cast<int64_t>(i)) : range.key(i);
    locals[1] = is_list ? range.element(i) : range.value(i);
  }
}

Datum quantified(const Node& n, const Datum& range, Context& c) {
  Datum error;
  size_t count = 0;
  const Node& body = *n.args[1];
  for (size_t i = 0; i < range.size; ++i) {
    if (--c.work < 0) return Datum::error(kOutOfWork);
    set_step(n, range, i, c);
    const Datum d = eval_cel(body, c);
    if (n.op == Op::kExistsOne) {
      if (!d.is(Kind::kBool)) return d.is_error() ? d : wrong();
      count += d.boolean;
      continue;
    }
    if (d.is(Kind::kBool)) {
      if (d.boolean == (n.op == Op::kExists)) return d;
    } else if (!error.is_error()) {
      error = d.is_error() ? d : wrong();
    }
  }
  if (c.work < 0) return Datum::error(kOutOfWork);
  if (n.op == Op::kExistsOne) return Datum::of(count == 1);
  return error.is_error() ? error : Datum::of(n.op == Op::kAll);
}

Datum collected(const Node& n, const Datum& range, Context& c) {
  const auto out = c.arena.array<Datum>(range.size);
  size_t used = 0;
  const bool conditional = n.args.size() == 3 || n.op == Op::kFilter;
  for (size_t i = 0; i < range.size; ++i) {
    if (--c.work < 0) return Datum::error(kOutOfWork);
    if (c.arena.footprint() > kMaxMade) return Datum::error(kOutOfMemory);
    set_step(n, range, i, c);
    const Datum element = c.locals[n.slot];
    if (conditional) {
      const Datum condition = eval_cel(*n.args[1], c);
      if (condition.is_error()) return condition;
      if (!condition.is(Kind::kBool)) return wrong();
      if (!condition.boolean) continue;
    }
    const Datum value = n.op == Op::kFilter ? element : eval_cel(*n.args.back(), c);
    if (value.is_error()) return value;
    out[used++] = value;
  }
  return Datum::of(std::span<const Datum>(out.first(used)));
}

Datum mapped(const Node& n, const Datum& range, Context& c) {
  const auto out = c.arena.array<Entry>(range.size);
  size_t used = 0;
  for (size_t i = 0; i < range.size; ++i) {
    if (--c.work < 0) return Datum::error(kOutOfWork);
    if (c.arena.footprint() > kMaxMade) return Datum::error(kOutOfMemory);
    set_step(n, range, i, c);
    Datum key = c.locals[n.slot];
    if (n.args.size() == 3) {
      const Datum condition = eval_cel(*n.args[1], c);
      if (condition.is_error()) return condition;
      if (!condition.is(Kind::kBool)) return wrong();
      if (!condition.boolean) continue;
    }
    Datum value = eval_cel(*n.args.back(), c);
    if (value.is_error()) return value;
    if (n.op == Op::kTransformMapEntry) {
      if (!value.is_map() || value.size != 1) return Datum::error("transformMapEntry() needs a map with one entry");
      key = value.key(0);
      value = value.value(0);
    }
    if (const Datum d = add_entry(out, used, key, value, c); d.is_error()) return d;
  }
  return Datum::of(std::span<const Entry>(out.first(used)));
}

Datum comprehension(const Node& n, Context& c) {
  const Datum range = eval_cel(*n.args[0], c);
  if (range.is_error()) return range;
  if (!range.is_list() && !range.is_map()) return wrong();
  if (range.size > static_cast<uint64_t>(std::max<int64_t>(c.work, 0))) return Datum::error(kOutOfWork);
  switch (n.op) {
    case Op::kAll:
    case Op::kExists:
    case Op::kExistsOne: return quantified(n, range, c);
    case Op::kTransformMap:
    case Op::kTransformMapEntry: return mapped(n, range, c);
    default: return collected(n, range, c);
  }
}

Datum bind(const Node& n, Context& c) {
  Datum value = eval_cel(*n.args[0], c);
  if (n.optional) {
    if (value.is_error()) return value;
    if (!value.is(Kind::kOptional)) return wrong();
    if (value.inner == nullptr) return value;
    value = *value.inner;
  }
  c.locals[n.slot] = value;  // an error stays one until it is used
  const Datum result = eval_cel(*n.args[1], c);
  return n.optional && !n.flat && !result.is_error() ? full(result, c) : result;
}

Datum block(const Node& n, Context& c) {
  for (size_t i = 0; i + 1 < n.args.size(); ++i) c.locals[n.slot + i] = eval_cel(*n.args[i], c);
  return eval_cel(*n.args.back(), c);
}

}  // namespace

Datum eval_cel(const Node& n, Context& c) {
  switch (n.op) {
    case Op::kLiteral:
    case Op::kTypeName: return n.value;
    case Op::kVariable: return variable(n, c);
    case Op::kFlag: return Datum::of((protocols(c) & n.mask) != 0);
    case Op::kInPlace: return (protocols(c) & n.mask) != 0 ? eval_cel(*n.args[0], c) : Datum::of(false);
    case Op::kLocal: return c.locals[n.slot];
    case Op::kAnd:
    case Op::kOr: return logical(n, c);
    case Op::kNot: {
      const Datum d = eval_cel(*n.args[0], c);
      return d.is(Kind::kBool) ? Datum::of(!d.boolean) : d.is_error() ? d : wrong();
    }
    case Op::kNegate: {
      const Datum d = eval_cel(*n.args[0], c);
      return d.is_error() ? d : negate(d);
    }
    case Op::kConditional: {
      const Datum d = eval_cel(*n.args[0], c);
      if (!d.is(Kind::kBool)) return d.is_error() ? d : wrong();
      return eval_cel(*n.args[d.boolean ? 1 : 2], c);
    }
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
    case Op::kIn:
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kModulo: return comparison(n, c);
    case Op::kField: return field(eval_cel(*n.args[0], c), n.text, c);
    case Op::kOptionalField: return optional_field(eval_cel(*n.args[0], c), n.text, c);
    case Op::kHas: return has(n, c);
    case Op::kIndex:
    case Op::kOptionalIndex: return indexed(n, c);
    case Op::kList: return list(n, c);
    case Op::kMap: return map(n, c);
    case Op::kCall: return call(n, c);
    case Op::kAll:
    case Op::kExists:
    case Op::kExistsOne:
    case Op::kMapMacro:
    case Op::kFilter:
    case Op::kTransformList:
    case Op::kTransformMap:
    case Op::kTransformMapEntry: return comprehension(n, c);
    case Op::kBind: return bind(n, c);
    case Op::kBlock: return block(n, c);
    default: return Datum::error("this cannot be evaluated");
  }
}

}  // namespace baleen::kfl
