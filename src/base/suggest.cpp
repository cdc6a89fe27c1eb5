#include "base/suggest.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace baleen {
namespace {

constexpr size_t kLongestWord = 64;  // beyond it nobody mistyped a name

char fold(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

/// Damerau-Levenshtein distance (restricted: no part is edited twice).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = fold(a[i - 1]) == fold(b[j - 1]);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, row);
  }
  return previous[b.size()];
}

}  // namespace

std::string_view suggest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() < 2 || word.size() > kLongestWord) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > kLongestWord) continue;
    const size_t d = distance(word, candidate);
    // Of two that are as near, the one that begins alike: people seldom mistake the first letter.
    const auto begins_alike = [&](std::string_view c) { return !c.empty() && fold(c[0]) == fold(word[0]); };
    if (d < best_distance || (d == best_distance && !best.empty() && begins_alike(candidate) && !begins_alike(best))) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace baleen
