#pragma once

#include <string_view>

#include "kfl/datum.h"

namespace baleen::kfl {

// How KFL v1 sees a value as a truth, a text and a number, and compares (reference rows K1-23..K1-27).

/// The text of a value; `room` (at least 40 bytes) is used when it must be made. Bytes are shown in base64, in `arena`.
std::string_view text_form(const Datum& d, char* room, Arena& arena);
bool truth_form(const Datum& d);
double number_form(const Datum& d);

/// Go's strconv.ParseFloat; 0 for what it refuses.
double parse_go_float(std::string_view text);

enum class Comparison : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

/// Lists, regular expressions and all. `work` is lowered by the pairs of elements looked at; when it is used up the
/// answer is false.
bool compare_v1(Comparison how, const Datum& a, const Datum& b, Arena& arena, int64_t& work);

}  // namespace baleen::kfl
