#pragma once

#include <map>

#include "kfl/types.h"

namespace baleen::kfl {

/// Finds out what the parameters of types stand for, as the CEL checker does: dyn fits everything, null fits what can
/// be absent, and a parameter that got two types takes the more general one.
class Unifier {
 public:
  explicit Unifier(TypePool& pool) : pool_(pool) {}

  /// Whether a value of type `from` can stand where `to` is asked for. What was learnt stays only when it can.
  bool assignable(const Type* from, const Type* to);
  bool assignable(const std::vector<const Type*>& from, const std::vector<const Type*>& to);
  /// The type of both, dyn when they have none.
  const Type* join(const Type* a, const Type* b);
  /// With everything that is known put in; what is not known stays, or becomes dyn.
  const Type* substitute(const Type* t, bool unknown_is_dyn);
  /// A generic signature's types with parameters of their own.
  const Type* instantiate(const Type* t, std::map<std::string, const Type*>& fresh);

  static bool equal(const Type& a, const Type& b);

 private:
  using Known = std::map<uint32_t, const Type*>;
  bool fits(const Type* from, const Type* to);
  bool bind(const Type* parameter, const Type* type);
  bool occurs(const Type* parameter, const Type* in);
  const Type* resolved(const Type* t);
  static bool more_general(const Type* a, const Type* b);

  TypePool& pool_;
  Known known_;
};

}  // namespace baleen::kfl
