#pragma once

#include <deque>
#include <string>

#include "kfl/ast.h"
#include "kfl/diagnose.h"
#include "kfl/functions.h"
#include "kfl/variables.h"

namespace baleen::kfl {

struct CheckOptions {
  const Environment* environment = nullptr;
  const std::deque<Function>* more_functions = nullptr;  // declared, without a body: for tests of the specification
  std::string container;                                 // names are looked up in "a.b", then "a", then ""
  bool types = true;                                     // say what does not fit; off: everything is dyn
  bool filter = true;  // the result must be a bool, and protocol variables are scoped (K2-07)
  Timestamp now{};
};

/// Resolves the names of a parsed tree and checks its types. Sets `locals` to the slots that it needs. False when there
/// was an error.
bool check_cel(Tree& tree, const CheckOptions& options, Diagnoser& diagnose, uint32_t& locals);

}  // namespace baleen::kfl
