#pragma once

#include "kfl/ast.h"
#include "kfl/diagnose.h"
#include "kfl/kfl.h"

namespace baleen::kfl {

/// Warns about what a v1 filter most likely does not mean: fields that no item has but whose name is near one that some
/// have, names of KFL v2, values that a field never has. Never an error: any JSON may be asked (reference row K1-09).
void check_v1(const Tree& tree, const Options& options, Diagnoser& diagnose);

}  // namespace baleen::kfl
