#include "kfl/checker_cel.h"

namespace baleen::kfl {

void Checker::push(std::string_view name, const Type* type) {
  locals_.push_back({std::string(name), static_cast<uint32_t>(locals_.size()), type});
  most_locals_ = std::max<uint32_t>(most_locals_, static_cast<uint32_t>(locals_.size()));
}

const Type* Checker::comprehension(Node* n) {
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

const Type* Checker::bind(Node* n) {
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

const Type* Checker::block(Node* n) {
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

}  // namespace baleen::kfl
