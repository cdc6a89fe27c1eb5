#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kfl/datum.h"

namespace baleen::kfl {

/// RFC 3339, years 1 to 9999.
Datum parse_timestamp(std::string_view text);
/// Go's form: "1h30m", "-1.5s", "300ms".
Datum parse_duration_text(std::string_view text);
void append_timestamp(const Datum& d, std::string& out);
void append_duration(const Datum& d, std::string& out);

}  // namespace baleen::kfl
