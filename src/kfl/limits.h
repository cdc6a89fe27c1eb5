#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace baleen::kfl {

// What bounds a filter. Each limit is named in the error that it causes.
constexpr size_t kMaxText = 64 << 10;        // bytes of a filter, and of it with its macros expanded
constexpr int kMaxDepth = 128;               // nesting of parentheses, operators, lists, calls
constexpr size_t kMaxNodes = 10'000;         // parts of an expression
constexpr size_t kMaxMacros = 256;           // user-defined macros
constexpr int64_t kMaxWork = 1'000'000;      // values looked at in one evaluation
constexpr size_t kMaxRegexMemory = 1 << 20;  // bytes of one compiled regular expression, its automaton included
constexpr size_t kMaxDecoded = 16 << 20;     // bytes of a text that json(), xml() or base64 opens
constexpr size_t kMaxMade = 16 << 20;        // bytes of text, lists and maps that one evaluation makes

constexpr std::string_view kOutOfWork = "the filter looks at more than 1000000 values of one item";
constexpr std::string_view kOutOfMemory = "the filter makes more than 16 MiB of text, lists and maps for one item";

}  // namespace baleen::kfl
