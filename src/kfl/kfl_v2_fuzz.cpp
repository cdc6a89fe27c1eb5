// The CEL parser, checker and evaluator: no report, evaluation ends, and printing what was parsed parses to the same
// text.

#include <cstdint>
#include <cstdlib>

#include "item/json.h"
#include "kfl/ast.h"
#include "kfl/convert.h"
#include "kfl/filter_set.h"
#include "kfl/kfl.h"
#include "kfl/parse_cel.h"
#include "kfl/pushdown.h"
#include "kfl/sample_items.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  kfl::Tree tree, again;
  kfl::Diagnoser diagnose, none;
  if (kfl::parse_cel(text, tree, diagnose) && tree.root != nullptr) {
    bool messages = false;  // they print as "T{...}", which is for people
    for (const kfl::Node& n : tree.nodes) messages |= n.op == kfl::Op::kMessage;
    const std::string printed = kfl::print_cel(tree.root);
    if (!messages && (!kfl::parse_cel(printed, again, none) || kfl::print_cel(again.root) != printed)) std::abort();
  }
  kfl::Options options;
  options.dialect = kfl::Dialect::kV2;
  options.protocols = kfl::sample::kProtocols;
  options.now = timestamp_from_ns(1'700'000'060'000'000'000);
  const kfl::Compiled compiled = kfl::compile(text, options);
  (void)kfl::render(text, compiled.diagnostics);
  if (!compiled.filter) return 0;
  static const auto item = kfl::sample::http(503);
  Arena arena;
  const item::Value root = item::as_value(*item, arena);
  const bool live = compiled.filter->matches(*item);
  if (live != compiled.filter->matches_json(root)) std::abort();
  const kfl::FilterSet set({&*compiled.filter, 1});
  bool together;
  set.match(*item, {&together, 1});
  if (together != live) std::abort();
  (void)kfl::pushdown(*compiled.filter);
  return 0;
}
