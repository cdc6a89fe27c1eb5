#pragma once

#include <string>
#include <string_view>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// Answers one line of `baleen kfl eval --batch`: {"filter": "...", "item": {...}, "dialect": "v1"} becomes
/// {"match": true, "limit": 0, "item": {...}} or {"error": {"message": "...", "begin": 3, "end": 5}}. Any line has an
/// answer. `options` gives what the line does not say.
std::string answer_line(std::string_view line, const Options& options);

/// "auto", "v1", "v2".
std::optional<Dialect> dialect_named(std::string_view name);
std::string_view dialect_name(Dialect dialect);

}  // namespace baleen::kfl
