#pragma once

#include <span>
#include <string_view>

namespace baleen {

/// The candidate that a person who wrote `word` most likely meant (edit distance with transpositions, without regard to
/// case), or nothing when none is near enough to be worth saying.
std::string_view suggest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace baleen
