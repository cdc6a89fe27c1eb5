#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// A filter's text with its macros replaced, and where each character of it came from.
struct Expanded {
  std::string text;
  std::vector<uint32_t> begins, ends;  // of the original, for each character
  bool inside_word = false;            // a macro was replaced within a longer word (reference row K1-60)
  bool too_long = false;

  /// The place in the original of a place in the expanded text.
  std::pair<size_t, size_t> original(size_t begin, size_t end, size_t original_size) const;
};

struct Macro {
  std::string name, text;
  bool bounded = false;  // only as a whole word that is no part of a path
  bool field = false;    // also a field of items: replaced only where it stands alone, as a condition
};

/// The built-in macros (rows K1-61, K1-62), those of the protocols and the user's, longest name first.
std::vector<Macro> macros_of(const Options& options);

/// Replaces macros outside strings and comments. `words`: only whole words; otherwise as the reference does, which
/// looks for a macro's name anywhere.
Expanded expand(std::string_view text, std::span<const Macro> macros, bool words);

}  // namespace baleen::kfl
