#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace baleen {

/// Nanoseconds since 1970-01-01 UTC. On the data path time comes from packets, never from the machine's clock.
using Timestamp = std::chrono::sys_time<std::chrono::nanoseconds>;
using Duration = std::chrono::nanoseconds;

inline Timestamp timestamp_from_ns(int64_t ns) { return Timestamp{Duration{ns}}; }
inline int64_t to_ns(Timestamp t) { return t.time_since_epoch().count(); }
inline int64_t to_us(Timestamp t) { return to_ns(t) / 1'000; }
inline int64_t to_ms(Timestamp t) { return to_ns(t) / 1'000'000; }

/// The machine's clock, for what happens outside the data path.
Timestamp now();

/// "2026-11-23T12:00:00.123456789Z" (RFC 3339, UTC). Trailing zeros of the fraction are dropped, as Go does.
std::string to_rfc3339(Timestamp t);

/// Writes the same text to `out`, which has room for 30 bytes; returns its length. Does not allocate.
size_t write_rfc3339(Timestamp t, char* out);

}  // namespace baleen
