#include "kfl/checker_cel.h"
#include "kfl/functions_v1.h"
#include "kfl/limits.h"
#include "kfl/protocols.h"
#include "kfl/values_cel.h"

namespace baleen::kfl {

const Function* Checker::find_function(std::string_view name) const {
  if (o_.more_functions != nullptr)
    for (const Function& f : *o_.more_functions)
      if (f.name == name) return &f;
  return function_named(name);
}

const Type* Checker::call(Node* n) {
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

/// `minutes(-5)` of KFL v1 in v2; empty when it is none.
std::string Checker::relative_time(const Node* n) {
  if (n->has_subject || n->args.size() != 1) return {};
  const double seconds = unit_seconds(n->text);
  const Node* amount = n->args[0];
  if (seconds == 0 || amount->op != Op::kLiteral || !amount->value.is(Kind::kInt)) return {};
  const int64_t n_of = amount->value.integer;
  if (n_of == 0) return "now()";
  const bool small = seconds < 86400;
  const int64_t count = (n_of < 0 ? -n_of : n_of) * (small ? 1 : static_cast<int64_t>(seconds / 3600));
  return fmt::format("now() {} duration(\"{}{}\")", n_of < 0 ? "-" : "+", count, small ? n->text.substr(0, 1) : "h");
}

const Type* Checker::unknown_function(Node* n) {
  if (!o_.types) {
    n->function = nullptr;
    return dyn_;
  }
  std::string suggestion;
  Diagnoser::Fix fix;
  for (const std::string_view name : {"limit", "redact", "json", "xml", "record"})
    if (name == n->text) suggestion = fmt::format("{}() belongs to KFL v1", name);
  if (n->text == "datetime") suggestion = "write timestamp(\"2026-03-14T22:00:00Z\")";
  if (std::string corrected = relative_time(n); !corrected.empty()) {
    suggestion = fmt::format("write {}; {}() belongs to KFL v1", corrected, n->text);
    d_.error(n->begin, n->end, fmt::format("there is no function {}", shown(n->text)), std::move(suggestion),
             Diagnostic::Fix{std::move(corrected), true});
    return error_;
  }
  if (suggestion.empty()) {
    std::vector<std::string_view> names;
    for (const Function& f : all_functions()) names.push_back(f.name);
    for (const std::string_view macro : {"all", "exists", "exists_one", "map", "filter", "has"}) names.push_back(macro);
    const std::string_view near = suggest(n->text, names);
    if (near == n->text)
      suggestion = fmt::format("{}() is a macro: list.{}(x, condition)", near, near);
    else if (!near.empty())
      suggestion = fmt::format("did you mean \"{}\"?", near), fix = Diagnostic::Fix{std::string(near)};
  }
  for (const std::string_view macro : {"all", "exists", "exists_one", "map", "filter"})
    if (n->text == macro) suggestion = fmt::format("write list.{}(x, condition on x)", macro), fix.reset();
  const uint32_t at = n->slot >= n->begin && n->slot < n->end ? n->slot : n->begin;
  d_.error(at, std::min<size_t>(n->end, at + n->text.size()), fmt::format("there is no function {}", shown(n->text)),
           std::move(suggestion), std::move(fix));
  return error_;
}

void Checker::no_overload(Node* n, const Function& f, const std::vector<const Type*>& types) {
  std::string got;
  for (size_t i = n->has_subject ? 1 : 0; i < types.size(); ++i)
    got += (got.empty() ? "" : ", ") + shown_type(types[i]);
  std::string expected;
  for (const std::string_view s : f.signatures) expected += (expected.empty() ? "" : "; ") + std::string(s);
  d_.error(n->begin, n->end,
           fmt::format("{}{}({}) has no meaning", n->has_subject ? shown_type(types[0]) + "." : "", f.name, got),
           "expected " + expected);
}

const Type* Checker::extreme(Node* n, const std::vector<const Type*>& types) {
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

void Checker::prepare(Node* n) {
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

}  // namespace baleen::kfl
