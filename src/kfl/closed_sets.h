#pragma once

#include <span>
#include <string_view>

#include "kfl/diagnose.h"

namespace baleen::kfl {

/// The values that a field usually has ("method": GET, POST, ...), by its v2 name or its v1 path; empty when it is
/// open.
std::span<const std::string_view> closed_set(std::string_view name);

/// Warns when a field is compared with a text that looks like a slip of one of its values.
void warn_closed_set(std::string_view name, std::string_view value, size_t begin, size_t end, Diagnoser& diagnose);

}  // namespace baleen::kfl
