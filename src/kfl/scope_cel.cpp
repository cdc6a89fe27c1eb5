#include "kfl/checker_cel.h"
#include "kfl/protocols.h"

namespace baleen::kfl {
namespace {

/// Flags that stand beside a condition in one conjunction.
uint64_t flags_in(const Node* n) {
  if (n->op == Op::kFlag) return n->mask;
  if (n->op == Op::kAnd) return flags_in(n->args[0]) & flags_in(n->args[1]);
  return kAnyProtocol;
}

uint64_t scope_of(const Variable& v, uint64_t beside) {
  if (v.scope == 0) return kAnyProtocol;
  if (beside != kAnyProtocol && (v.scope & beside) == 0)
    for (const Variable::Source& s : v.sources)  // status_code beside dns
      if (s.protocols != kAnyProtocol && (s.protocols & beside) != 0) return s.protocols & beside;
  return v.scope;
}

uint64_t scope_within(const Node* n, uint64_t beside) {
  uint64_t mask = n->op == Op::kVariable ? scope_of(*n->variable, beside) : kAnyProtocol;
  for (const Node* arg : n->args) mask &= scope_within(arg, beside);
  return mask;
}

void scope(Tree& tree, const Type* bool_type, Node*& n, uint64_t beside) {
  switch (n->op) {
    case Op::kAnd: {
      const uint64_t flags = flags_in(n);
      const uint64_t both = flags == kAnyProtocol ? beside : beside == kAnyProtocol ? flags : beside & flags;
      scope(tree, bool_type, n->args[0], both);
      scope(tree, bool_type, n->args[1], both);
      return;
    }
    case Op::kOr:
    case Op::kNot:
    case Op::kConditional:
      for (Node*& arg : n->args) scope(tree, bool_type, arg, beside);
      return;
    case Op::kVariable: {
      const uint64_t mask = scope_of(*n->variable, beside);
      if (mask == kAnyProtocol || n->type->kind == Type::Kind::kBool) return;
      n->op = Op::kFlag;  // a variable alone asks for its protocol
      n->mask = mask;
      n->type = bool_type;
      return;
    }
    case Op::kLiteral:
    case Op::kFlag:
    case Op::kLocal: return;
    default: break;
  }
  const uint64_t mask = scope_within(n, beside);
  if (mask == kAnyProtocol || n->type->kind != Type::Kind::kBool) return;
  if (beside != kAnyProtocol && (beside & ~mask) == 0) return;  // a flag beside it says so already
  Node* guard = tree.make(Op::kInPlace, n->begin, n->end);
  guard->mask = mask;
  guard->args = {n};
  guard->type = bool_type;
  n = guard;
}

}  // namespace

void scope_cel(Tree& tree, const Type* bool_type) { scope(tree, bool_type, tree.root, kAnyProtocol); }

}  // namespace baleen::kfl
