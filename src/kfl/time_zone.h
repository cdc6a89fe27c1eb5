#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace baleen::kfl {

/// Seconds east of UTC at `seconds` since 1970 in a zone: "+11:00", "-02:30", "02:00", "UTC", or a name of the system's
/// time zone database ("Asia/Kathmandu"). Nothing when there is no such zone. A name is read from disk once per
/// process.
std::optional<int64_t> zone_offset(std::string_view zone, int64_t seconds);

}  // namespace baleen::kfl
