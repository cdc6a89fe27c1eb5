#pragma once

#include <string_view>

#include "kfl/program.h"

namespace baleen::kfl {

inline constexpr std::string_view kNoOverload = "no such overload";
inline constexpr std::string_view kNoKey = "no such key";

/// CEL's equality: numbers by value across types, lists and maps by content; values of different types are unequal.
bool equal_cel(const Datum& a, const Datum& b, int64_t& work);

enum class Order : uint8_t { kLess, kEqual, kGreater, kUnordered, kWrong };  // NaN is unordered; kWrong: no overload
Order order_cel(const Datum& a, const Datum& b);

Datum arithmetic(Op op, const Datum& a, const Datum& b, Context& c);
Datum negate(const Datum& a);

/// The value of a key, null when there is none. Numbers are looked up by value across types.
bool find_key(const Datum& map, const Datum& key, Datum& value, int64_t& work);
Datum contains(const Datum& element, const Datum& container, int64_t& work);
Datum index(const Datum& container, const Datum& key, Context& c);

/// "int", "list", "google.protobuf.Timestamp".
std::string_view type_name(const Datum& d);

/// Whether optional.ofNonZeroValue() makes an empty optional of it.
bool is_zero(const Datum& d);

/// The error that says a range was left.
Datum overflow();
Datum make_timestamp(__int128 nanoseconds);
Datum make_duration(__int128 nanoseconds);
__int128 nanoseconds(const Datum& d);

/// Copies text into the evaluation's arena; an error when it has made too much.
Datum made_text(std::string_view text, Context& c, Kind kind = Kind::kString);

}  // namespace baleen::kfl
