#include "kfl/checker_cel.h"

// Two walks. The first (Checker) resolves names and deduces types; the second (scope_cel) gives protocol variables
// their scope. What is said about names stands in check_names.cpp, about operators in check_operators.cpp, about calls
// in check_calls.cpp, about macros in check_comprehensions.cpp.

namespace baleen::kfl {

Checker::Checker(Tree& tree, const CheckOptions& o, Diagnoser& d) : tree_(tree), o_(o), d_(d), unify_(tree.types) {
  for (const auto& [kind, slot] :
       {std::pair(K::kDyn, &dyn_), {K::kBool, &bool_}, {K::kInt, &int_}, {K::kError, &error_}})
    *slot = tree.types.make(kind);
}

bool Checker::run(uint32_t& locals) {
  const Type* type = visit(tree_.root);
  if (o_.filter && !d_.failed()) expect_bool(tree_.root, type, "the filter");
  for (Node& n : tree_.nodes)
    if (n.type != nullptr) n.type = unify_.substitute(n.type, true);
  if (o_.filter && !d_.failed()) scope_cel(tree_, bool_);
  locals = most_locals_;
  return !d_.failed();
}

const Type* Checker::wrong(const Node* n, std::string message, std::string suggestion, Diagnoser::Fix fix) {
  if (!o_.types) return dyn_;
  d_.error(n->begin, n->end, std::move(message), std::move(suggestion), std::move(fix));
  return error_;
}

const Type* Checker::visit(Node* n) {
  n->type = deduce(n);
  return n->type;
}

const Type* Checker::deduce(Node* n) {
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

const Type* Checker::literal(const Datum& d) {
  switch (d.kind) {
    case Kind::kNull: return simple(K::kNull);
    case Kind::kBool: return bool_;
    case Kind::kInt: return int_;
    case Kind::kUint: return simple(K::kUint);
    case Kind::kDouble: return simple(K::kDouble);
    case Kind::kBytes: return simple(K::kBytes);
    case Kind::kTimestamp: return simple(K::kTimestamp);
    case Kind::kDuration: return simple(K::kDuration);
    case Kind::kError: return error_;
    default: return simple(K::kString);
  }
}

bool check_cel(Tree& tree, const CheckOptions& options, Diagnoser& diagnose, uint32_t& locals) {
  return tree.root == nullptr || Checker(tree, options, diagnose).run(locals);
}

}  // namespace baleen::kfl
