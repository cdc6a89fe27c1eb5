#pragma once

#include <string_view>

#include "kfl/ast.h"
#include "kfl/diagnose.h"

namespace baleen::kfl {

/// Parses KFL v1 (reference rows K1-02..K1-07, K1-67) whose macros are expanded already. `now` gives what the time
/// helpers mean. False when there was an error; `diagnose` says which.
bool parse_v1(std::string_view text, Timestamp now, Tree& tree, Diagnoser& diagnose);

}  // namespace baleen::kfl
