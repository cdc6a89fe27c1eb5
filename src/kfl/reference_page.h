#pragma once

#include <string>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// docs/reference/kfl.md: both dialects' operators, functions, helpers, macros, variables and fields, from the tables
/// that the language itself uses. Markdown.
std::string reference_page(const Options& options = {});

}  // namespace baleen::kfl
