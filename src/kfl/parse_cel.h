#pragma once

#include <string_view>

#include "kfl/ast.h"
#include "kfl/diagnose.h"

namespace baleen::kfl {

/// Parses CEL; names are not resolved yet. `macros`: expand has(), all(), map(), ...; off only for tests of the
/// specification. False when there was an error.
bool parse_cel(std::string_view text, Tree& tree, Diagnoser& diagnose, bool macros = true);

}  // namespace baleen::kfl
