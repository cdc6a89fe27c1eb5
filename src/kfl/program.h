#pragma once

#include <string>

#include "kfl/ast.h"
#include "kfl/kfl.h"

namespace baleen::kfl {

class Environment;

/// A compiled filter: its tree and what was found out about it. Immutable once it is in a Filter.
struct Filter::Program {
  std::string text;
  Dialect dialect = Dialect::kV1;
  Tree tree;
  uint64_t limit = 0;
  bool redacts = false;
  std::shared_ptr<const Environment> environment;  // v2: owns the variables that the tree names
  uint32_t locals = 0;                             // slots that comprehensions need
};

/// What an evaluation may look at and use up.
struct Context {
  Record record;
  Arena& arena;
  int64_t work;
  Datum* locals = nullptr;
  uint64_t protocols = 0;   // the item's, as bits of protocols.h; all ones: not known yet
  uint64_t is_cached = 0;   // which of `cached` are set
  Datum* cached = nullptr;  // fields that the filter asks for more than once
};

/// What the outcome of a v1 filter comes to; missing and errors are false.
bool truth_v1(const Datum& d);

/// Gives fields that are asked for more than once a place in Context::cached.
void assign_caches(Filter::Program& program);
constexpr size_t kMaxCached = 32;

Datum eval_v1(const Node& node, Context& context);
Datum eval_cel(const Node& node, Context& context);

}  // namespace baleen::kfl
