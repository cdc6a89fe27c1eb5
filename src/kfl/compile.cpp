#include <fmt/format.h>

#include "kfl/check_cel.h"
#include "kfl/check_v1.h"
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

/// Looks at the text as it was written: a macro's own field is no slip.
void warn_fields(std::string_view text, const Options& options, Timestamp now, Diagnoser& diagnose) {
  Tree tree;
  Diagnoser ignored;
  if (parse_v1(text, now, tree, ignored) && tree.root != nullptr) check_v1(tree, options, diagnose);
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
      const auto [begin, end] = expanded.original(d.begin, d.end, text.size());
      if (end - begin != d.end - d.begin) d.fix.reset();  // it stands within a macro's text
      d.begin = begin, d.end = end;
      diagnose.add(std::move(d));
    }
  }
  const bool failed = diagnose.failed();
  if (!failed) warn_fields(text, options, now, diagnose);
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
  // What could not be parsed is checked as well, so that all mistakes are said at once.
  const bool parsed = parse_cel(text, program->tree, diagnose);
  const bool good = check_cel(program->tree, check, diagnose, program->locals) && parsed;
  out.diagnostics = diagnose.take();
  if (!good) return;
  assign_caches(*program);
  out.filter = Filter(std::move(program));
}

}  // namespace

namespace {

/// The text with everything put right that has a known correction; empty when a mistake has none. `habits`: only what
/// is a habit of the other dialect.
std::string corrected(std::string_view text, const std::vector<Diagnostic>& diagnostics, bool habits) {
  std::string out;
  size_t at = 0;
  for (const Diagnostic& d : diagnostics) {  // in the order of the text
    if (d.severity != Diagnostic::Severity::kError) continue;
    if (!d.fix || (habits && !d.fix->habit) || d.begin < at) return {};
    out += text.substr(at, d.begin - at);
    while (d.fix->text.starts_with('.') && out.ends_with(' ')) out.pop_back();  // `x contains` becomes x.contains
    out += d.fix->text;
    at = d.end;
  }
  return at == 0 ? out : out + std::string(text.substr(at));
}

/// Where there was no doubt what was meant, the error turns into a warning and the corrected text is used; otherwise
/// the corrected text is shown.
Compiled with_corrections(std::string_view text, Compiled c, bool accept, auto in) {
  if (c.filter) return c;
  const std::string habits = accept ? corrected(text, c.diagnostics, true) : std::string();
  if (!habits.empty()) {
    if (Compiled again = in(habits, c.dialect); again.filter) {
      for (Diagnostic& d : c.diagnostics) d.severity = Diagnostic::Severity::kWarning;
      c.diagnostics.push_back({Diagnostic::Severity::kNote,
                               0,
                               text.size(),
                               fmt::format("it mixes both dialects and is read as: {}", habits),
                               "",
                               {}});
      c.filter = std::move(again.filter);
      return c;
    }
  }
  const std::string all = corrected(text, c.diagnostics, false);
  if (!all.empty() && in(all, c.dialect).filter)
    c.diagnostics.push_back({Diagnostic::Severity::kNote, 0, text.size(), fmt::format("corrected: {}", all), "",
                             Diagnostic::Fix{all, false}});
  return c;
}

}  // namespace

Compiled compile(std::string_view text, const Options& options) {
  Compiled out;
  out.dialect = Dialect::kV1;
  if (text.size() > kMaxText) {
    out.diagnostics.push_back({Diagnostic::Severity::kError,
                               kMaxText,
                               text.size(),
                               fmt::format("the filter is longer than {} bytes", kMaxText),
                               "",
                               {}});
    return out;
  }
  const Timestamp now = options.now == Timestamp{} ? baleen::now() : options.now;
  const auto in = [&](std::string_view what, Dialect dialect) {
    Compiled c;
    c.dialect = dialect;
    if (dialect == Dialect::kV2)
      compile_v2(what, options, now, c);
    else
      compile_v1(what, options, now, c);
    return c;
  };
  if (options.dialect != Dialect::kAuto) return with_corrections(text, in(text, options.dialect), false, in);
  // The filter that lets all through needs none of the names.
  const Recognised found = text.empty() ? Recognised{} : recognise(text, *environment_for(options.protocols));
  const Dialect first = found.dialect != Dialect::kAuto     ? found.dialect
                        : options.ambiguous == Dialect::kV2 ? Dialect::kV2
                                                            : Dialect::kV1;
  out = in(text, first);
  out.why = found.dialect != Dialect::kAuto ? found.why : "it could be either";
  if (out.filter) return out;
  if (found.mixed || found.dialect == Dialect::kAuto) {
    if (Compiled other = in(text, first == Dialect::kV1 ? Dialect::kV2 : Dialect::kV1); other.filter) {
      other.why = "it is right only in this one";
      return other;
    }
  }
  return with_corrections(text, std::move(out), true, in);
}

}  // namespace baleen::kfl
