#include "kfl/unify.h"

namespace baleen::kfl {

using K = Type::Kind;

bool Unifier::equal(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.parameters.size() != b.parameters.size()) return false;
  if (a.kind == K::kParameter) return a.id == b.id && a.name == b.name;
  if (a.kind == K::kAbstract && a.name != b.name) return false;
  for (size_t i = 0; i < a.parameters.size(); ++i)
    if (!equal(*a.parameters[i], *b.parameters[i])) return false;
  return true;
}

const Type* Unifier::resolved(const Type* t) {
  while (t->kind == K::kParameter) {
    const auto found = known_.find(t->id);
    if (found == known_.end()) return t;
    t = found->second;
  }
  return t;
}

bool Unifier::occurs(const Type* parameter, const Type* in) {
  in = resolved(in);
  if (in->kind == K::kParameter) return in->id == parameter->id;
  for (const Type* p : in->parameters)
    if (occurs(parameter, p)) return true;
  return false;
}

bool Unifier::more_general(const Type* a, const Type* b) {
  if (a->kind == K::kDyn || a->kind == K::kParameter) return true;
  if (b->kind == K::kDyn || b->kind == K::kParameter || a->kind != b->kind) return false;
  for (size_t i = 0; i < std::min(a->parameters.size(), b->parameters.size()); ++i)
    if (!more_general(a->parameters[i], b->parameters[i])) return false;
  return true;
}

bool Unifier::bind(const Type* parameter, const Type* type) {
  if (resolved(type) == parameter) return true;
  if (occurs(parameter, type)) return false;
  known_[parameter->id] = type;
  return true;
}

bool Unifier::fits(const Type* from, const Type* to) {
  if (from == to) return true;
  if (to->kind == K::kParameter) {
    const auto found = known_.find(to->id);
    if (found == known_.end()) return bind(to, from);
    const Type* now = found->second;
    if (!fits(from, now)) return false;
    const Type *a = substitute(from, false), *b = substitute(now, false);
    const Type* general = more_general(a, b) ? from : now;
    if (general != now && !occurs(to, general)) known_[to->id] = general;
    return true;
  }
  if (from->kind == K::kParameter) {
    const auto found = known_.find(from->id);
    if (found == known_.end()) return bind(from, to);
    const Type* now = found->second;
    if (!fits(now, to)) return false;
    const Type *a = substitute(to, false), *b = substitute(now, false);
    if (more_general(a, b) && !occurs(from, to)) known_[from->id] = to;
    return true;
  }
  if (from->kind == K::kDyn || to->kind == K::kDyn || from->kind == K::kError || to->kind == K::kError) return true;
  const auto nullable = [](const Type* t) {
    return t->kind == K::kNull || t->kind == K::kTimestamp || t->kind == K::kDuration || t->kind == K::kAbstract ||
           t->kind == K::kOptional;
  };
  if (from->kind == K::kNull) return nullable(to);
  if (to->kind == K::kNull) return nullable(from);
  if (from->kind != to->kind || from->parameters.size() != to->parameters.size()) return false;
  if (from->kind == K::kAbstract && from->name != to->name) return false;
  if (from->kind == K::kType) return true;
  for (size_t i = 0; i < from->parameters.size(); ++i)
    if (!fits(from->parameters[i], to->parameters[i])) return false;
  return true;
}

bool Unifier::assignable(const Type* from, const Type* to) {
  const Known before = known_;
  if (fits(from, to)) return true;
  known_ = before;
  return false;
}

bool Unifier::assignable(const std::vector<const Type*>& from, const std::vector<const Type*>& to) {
  if (from.size() != to.size()) return false;
  const Known before = known_;
  for (size_t i = 0; i < from.size(); ++i) {
    if (fits(from[i], to[i])) continue;
    known_ = before;
    return false;
  }
  return true;
}

const Type* Unifier::join(const Type* a, const Type* b) {
  if (!assignable(a, b)) return pool_.make(K::kDyn);
  const Type *x = substitute(a, false), *y = substitute(b, false);
  if (x->kind == K::kNull) return b;
  if (y->kind == K::kNull) return a;
  return more_general(x, y) ? a : b;
}

const Type* Unifier::substitute(const Type* t, bool unknown_is_dyn) {
  t = resolved(t);
  if (t->kind == K::kParameter) return unknown_is_dyn ? pool_.make(K::kDyn) : t;
  if (t->parameters.empty()) return t;
  std::vector<const Type*> parameters;
  bool same = true;
  for (const Type* p : t->parameters) {
    parameters.push_back(substitute(p, unknown_is_dyn));
    same &= parameters.back() == p;
  }
  return same ? t : pool_.make(t->kind, std::move(parameters), t->name);
}

const Type* Unifier::instantiate(const Type* t, std::map<std::string, const Type*>& fresh) {
  if (t->kind == K::kParameter && t->id == 0) {
    const Type*& made = fresh[t->name];
    if (made == nullptr) made = pool_.fresh();
    return made;
  }
  if (t->parameters.empty()) return t;
  std::vector<const Type*> parameters;
  bool same = true;
  for (const Type* p : t->parameters) {
    parameters.push_back(instantiate(p, fresh));
    same &= parameters.back() == p;
  }
  return same ? t : pool_.make(t->kind, std::move(parameters), t->name);
}

}  // namespace baleen::kfl
