#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// The paths of an item's JSON ("src.name", "response.status") that the filter looks at: it gives the same answer for a
/// record that has only these. What it asks of the protocol is "protocol.name", ".version", ".abbr" and ".macro".
/// Nothing when that cannot be told: it looks for names anywhere, at what is computed, or changes the record.
std::optional<std::vector<std::string>> fields_read(const Filter& filter);

}  // namespace baleen::kfl
