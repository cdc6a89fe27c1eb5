#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace baleen {

/// "10s", "5m", "1h30m", "250ms", "2d"; a plain number is seconds. Nothing for anything else, or beyond 290 years.
std::optional<Duration> parse_duration(std::string_view text);
/// "1h30m", "10s", "250ms", "0s".
std::string to_string(Duration duration);

/// "5Gi", "500MB", "200Mi", "64k", plain bytes: Kubernetes' quantities and the decimal forms with B. Nothing for
/// anything else.
std::optional<uint64_t> parse_size(std::string_view text);
/// "1.5 GiB", for people.
std::string size_to_string(uint64_t bytes);

/// RFC 3339 ("2026-11-23T12:00:00Z", with offset or fraction, or a date alone, UTC), or a time ago ("15m", "2h"),
/// relative to `reference`, or Unix seconds.
std::optional<Timestamp> parse_time(std::string_view text, Timestamp reference);

}  // namespace baleen
