#pragma once

#include <string>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// The filter in one way of writing, same dialect. Macros stay as they are. Nothing when it has errors.
std::optional<std::string> format(std::string_view text, Dialect dialect, const Options& options = {});

struct Conversion {
  std::optional<std::string> text;      // nothing when a part has no counterpart
  std::vector<Diagnostic> diagnostics;  // what has none, and where the meaning differs
};

/// A filter of KFL v1 as one of KFL v2.
Conversion convert(std::string_view text, const Options& options = {});

}  // namespace baleen::kfl
