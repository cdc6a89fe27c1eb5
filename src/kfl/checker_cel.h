#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.h"
#include "kfl/check_cel.h"
#include "kfl/unify.h"

namespace baleen::kfl {

/// Resolves names and deduces types bottom-up. A mistake is said once and its node is kError from then on, so that
/// everything wrong with a filter is said together. One method a kind of node, in a file for each idea.
class Checker {
 public:
  Checker(Tree& tree, const CheckOptions& o, Diagnoser& d);
  /// Resolves and types the whole tree; false when something was wrong.
  bool run(uint32_t& locals);

 private:
  using K = Type::Kind;

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
  const Type* wrong(const Node* n, std::string message, std::string suggestion = {}, Diagnoser::Fix fix = {});
  const Type* visit(Node* n);
  const Type* deduce(Node* n);
  const Type* literal(const Datum& d);

  // ---- names (check_names.cpp) ----
  static std::string dotted(const Node* n);
  static const Node* root_of(const Node* n);
  const Local* local(std::string_view name) const;
  /// Makes the node what the (dotted) name stands for; null when it stands for nothing.
  const Type* resolve(Node* n, std::string_view name);
  const Type* resolve_exact(Node* n, const std::string& name);
  const Type* name_or_field(Node* n);
  bool has_known_front(const Node* n);
  const Type* unknown(Node* n, std::string_view name);
  const Type* select(Node* n);
  const Type* field_of(Node* n, const Type* operand);
  static std::string dotted_variable(const Node* n);
  const Type* optional_field(Node* n);
  const Type* has(Node* n);

  // ---- operators (check_operators.cpp) ----
  const Type* logical(Node* n, std::vector<const Type*> want);
  static bool is_bareword(const Node* n) { return n->op == Op::kVariable && n->variable->scope != 0; }
  void expect_bool(Node* n, const Type* t, std::string_view what);
  const Type* conditional(Node* n);
  std::string shown_type(const Type* t) { return to_string(*unify_.substitute(t, true)); }
  const Type* binary(Node* n);
  /// Numbers of different types have an order among them.
  const Type* ordering(Node* n);
  void mismatch(Node* n, const Type* a, const Type* b);
  const Type* operator_(std::string_view name, Node* n, std::string_view signatures);
  static const std::vector<Overload>& operator_overloads(std::string_view name, std::string_view signatures);
  /// Picks the overloads that fit; null when none does.
  const Type* overload(const std::vector<Overload>& overloads, const std::vector<const Type*>& args, bool receiver);
  const Type* index(Node* n);
  const Type* element(Node* n, bool optional);
  const Type* list(Node* n);
  const Type* map(Node* n);
  const Type* message(Node* n);

  // ---- calls (check_calls.cpp) ----
  const Function* find_function(std::string_view name) const;
  const Type* call(Node* n);
  const Type* unknown_function(Node* n);
  static std::string relative_time(const Node* n);
  void no_overload(Node* n, const Function& f, const std::vector<const Type*>& types);
  const Type* extreme(Node* n, const std::vector<const Type*>& types);
  /// Work that need not be done for each item.
  void prepare(Node* n);

  // ---- comprehensions (check_comprehensions.cpp) ----
  void push(std::string_view name, const Type* type);
  void pop(size_t n) { locals_.resize(locals_.size() - n); }
  const Type* comprehension(Node* n);
  const Type* bind(Node* n);
  const Type* block(Node* n);

  // ---- values of closed sets ----
  void check_value(const Node* n);

  Tree& tree_;
  const CheckOptions& o_;
  Diagnoser& d_;
  Unifier unify_;
  std::vector<Local> locals_;
  uint32_t most_locals_ = 0;
  const Type *dyn_, *bool_, *int_, *error_;
};

/// Gives protocol variables their scope (K2-07): a condition that asks for one holds only for items of its protocol,
/// and a variable alone asks for its protocol.
void scope_cel(Tree& tree, const Type* bool_type);

}  // namespace baleen::kfl
