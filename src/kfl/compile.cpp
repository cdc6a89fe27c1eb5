#include <fmt/format.h>

#include "kfl/check_cel.h"
#include "kfl/diagnose.h"
#include "kfl/dialect.h"
#include "kfl/functions_v1.h"
#include "kfl/kfl.h"
#include "kfl/limits.h"
#include "kfl/macros_v1.h"
#include "kfl/parse_cel.h"
#include "kfl/parse_v1.h"
#include "kfl/program.h"
#include "kfl/values_v1.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

/// K1-42: the first limit that is not zero, from left to right.
uint64_t limit_of(const Node* n) {
  if (n->op == Op::kCall && n->helper == Helper::kLimit && n->args.size() > (n->has_subject ? 1u : 0u)) {
    const Node* param = n->args[n->has_subject ? 1 : 0];
    if (param->op == Op::kLiteral && param->number >= 1) return static_cast<uint64_t>(std::min(param->number, 9e18));
  }
  for (const Node* arg : n->args)
    if (const uint64_t limit = limit_of(arg); limit != 0) return limit;
  return 0;
}

bool redacts(const Node* n) {
  if (n->op == Op::kCall && n->helper == Helper::kRedact) return true;
  for (const Node* arg : n->args)
    if (redacts(arg)) return true;
  return false;
}

void compile_v1(std::string_view text, const Options& options, Timestamp now, Compiled& out) {
  auto program = std::make_shared<Filter::Program>();
  program->text = text;
  program->dialect = Dialect::kV1;
  const std::vector<Macro> macros = macros_of(options);
  Expanded expanded = expand(text, macros, true);
  Expanded reference = expand(text, macros, false);
  Diagnoser diagnose;
  if (reference.text != expanded.text && !reference.too_long) {
    Diagnoser trial;
    Tree tree;
    if (parse_v1(reference.text, now, tree, trial)) {
      expanded = std::move(reference);
      diagnose.warning(0, text.size(), "a macro's name stands inside a longer word and is replaced there",
                       "it is read as: " + expanded.text);
    }
  }
  if (expanded.too_long) {
    diagnose.error(0, text.size(),
                   fmt::format("with its macros replaced the filter is longer than {} bytes", kMaxText));
  } else {
    Diagnoser inner;
    parse_v1(expanded.text, now, program->tree, inner);
    for (Diagnostic& d : inner.take()) {
      std::tie(d.begin, d.end) = expanded.original(d.begin, d.end, text.size());
      if (d.severity == Diagnostic::Severity::kError)
        diagnose.error(d.begin, d.end, d.message, d.suggestion);
      else
        diagnose.warning(d.begin, d.end, d.message, d.suggestion);
    }
  }
  const bool failed = diagnose.failed();
  out.diagnostics = diagnose.take();
  if (failed) return;
  if (program->tree.root != nullptr) {
    program->limit = limit_of(program->tree.root);
    program->redacts = redacts(program->tree.root);
    assign_caches(*program);
  }
  out.filter = Filter(std::move(program));
}

void compile_v2(std::string_view text, const Options& options, Timestamp now, Compiled& out) {
  auto program = std::make_shared<Filter::Program>();
  program->text = text;
  program->dialect = Dialect::kV2;
  program->environment = environment_for(options.protocols);
  Diagnoser diagnose;
  CheckOptions check;
  check.environment = program->environment.get();
  check.now = now;
  const bool good =
      parse_cel(text, program->tree, diagnose) && check_cel(program->tree, check, diagnose, program->locals);
  out.diagnostics = diagnose.take();
  if (!good) return;
  assign_caches(*program);
  out.filter = Filter(std::move(program));
}

}  // namespace

Compiled compile(std::string_view text, const Options& options) {
  Compiled out;
  out.dialect = Dialect::kV1;
  if (text.size() > kMaxText) {
    out.diagnostics.push_back({Diagnostic::Severity::kError, kMaxText, text.size(),
                               fmt::format("the filter is longer than {} bytes", kMaxText), ""});
    return out;
  }
  const Timestamp now = options.now == Timestamp{} ? baleen::now() : options.now;
  const auto in = [&](Dialect dialect) {
    Compiled c;
    c.dialect = dialect;
    if (dialect == Dialect::kV2)
      compile_v2(text, options, now, c);
    else
      compile_v1(text, options, now, c);
    return c;
  };
  if (options.dialect != Dialect::kAuto) return in(options.dialect);
  const Recognised found = recognise(text, *environment_for(options.protocols));
  const Dialect first = found.dialect != Dialect::kAuto     ? found.dialect
                        : options.ambiguous == Dialect::kV2 ? Dialect::kV2
                                                            : Dialect::kV1;
  out = in(first);
  out.why = found.dialect != Dialect::kAuto ? found.why : "it could be either";
  if (out.filter || (!found.mixed && found.dialect != Dialect::kAuto)) return out;
  if (Compiled other = in(first == Dialect::kV1 ? Dialect::kV2 : Dialect::kV1); other.filter) {
    other.why = "it is right only in this one";
    return other;
  }
  return out;
}

}  // namespace baleen::kfl
