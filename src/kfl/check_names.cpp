#include "kfl/checker_cel.h"
#include "kfl/protocols.h"

namespace baleen::kfl {

std::string Checker::dotted(const Node* n) {
  if (n->op == Op::kName) return n->text;
  if (n->op != Op::kField || n->implied) return {};
  const std::string front = dotted(n->args[0]);
  return front.empty() ? front : front + "." + n->text;
}

const Node* Checker::root_of(const Node* n) {
  while (n->op == Op::kField) n = n->args[0];
  return n;
}

const Checker::Local* Checker::local(std::string_view name) const {
  for (auto l = locals_.rbegin(); l != locals_.rend(); ++l)
    if (l->name == name) return &*l;
  return nullptr;
}

const Type* Checker::resolve(Node* n, std::string_view name) {
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

const Type* Checker::resolve_exact(Node* n, const std::string& name) {
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
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {{"bool", "bool"},
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

const Type* Checker::name_or_field(Node* n) {
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

bool Checker::has_known_front(const Node* n) {
  for (n = n->args[0];; n = n->args[0]) {
    Node copy = *n;
    if (resolve(&copy, dotted(n)) != nullptr) return true;
    if (n->op == Op::kName) return false;
  }
}

const Type* Checker::unknown(Node* n, std::string_view name) {
  if (!o_.types) {  // unchecked: an error when it is evaluated
    n->op = Op::kLiteral;
    n->value = Datum::error("unknown variable");
    n->args.clear();
    return dyn_;
  }
  std::string suggestion;
  Diagnoser::Fix fix;
  const auto meant = [&](std::string_view what, std::string_view why, bool habit) {
    suggestion = fmt::format("did you mean \"{}\"?{}", what, why);
    fix = Diagnostic::Fix{std::string(what), habit};
  };
  static constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"src.ns", "src.namespace"},
                                                                             {"dst.ns", "dst.namespace"},
                                                                             {"src.svc", "src.service.name"},
                                                                             {"dst.svc", "dst.service.name"},
                                                                             {"response.latency", "elapsed_time"},
                                                                             {"latency", "elapsed_time"},
                                                                             {"request.path", "path"},
                                                                             {"src.pod", "src.pod.name"},
                                                                             {"dst.pod", "dst.pod.name"},
                                                                             {"src.service", "src.service.name"},
                                                                             {"dst.service", "dst.service.name"}};
  const auto known = std::find_if(std::begin(kShort), std::end(kShort), [&](const auto& s) { return s.first == name; });
  if (known != std::end(kShort)) {
    meant(known->second, "", false);
  } else if (const Variable* v = o_.environment->of_path(name)) {
    meant(v->name, fmt::format(" {} is its name in KFL v1", shown(name)), true);
  } else if (name == "nil") {
    meant("null", " \"nil\" belongs to KFL v1", true);
  } else if (name == "now") {
    meant("now()", "", true);
  } else {
    std::vector<std::string_view> names = o_.environment->names();
    for (const FlagCard& f : flag_cards()) names.push_back(f.name);
    if (const std::string_view near = suggest(name, names); !near.empty()) meant(near, "", false);
  }
  return wrong(n, fmt::format("there is no variable {}", shown(name)), std::move(suggestion), std::move(fix));
}

const Type* Checker::select(Node* n) {
  const Type* operand = known(visit(n->args[0]));
  return field_of(n, operand);
}

const Type* Checker::field_of(Node* n, const Type* operand) {
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

std::string Checker::dotted_variable(const Node* n) {
  if (n->op == Op::kVariable) return n->text;
  if (n->op != Op::kField) return {};
  const std::string front = dotted_variable(n->args[0]);
  return front.empty() ? front : front + "." + n->text;
}

const Type* Checker::optional_field(Node* n) {
  const Type* operand = known(visit(n->args[0]));
  const bool optional = operand->kind == K::kOptional;
  const Type* field = field_of(n, optional ? known(operand->parameters[0]) : operand);
  return optional_of(field);
}

const Type* Checker::has(Node* n) {
  const Type* operand = known(visit(n->args[0]));
  field_of(n, operand);
  return bool_;
}

}  // namespace baleen::kfl
