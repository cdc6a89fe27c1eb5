#pragma once

#include <string>
#include <string_view>

#include "kfl/kfl.h"
#include "kfl/variables.h"

namespace baleen::kfl {

/// Which dialect a text is in, and by what it was recognised (decision D-18).
struct Recognised {
  Dialect dialect = Dialect::kAuto;  // kAuto: it could be either
  std::string why;                   // "it has \"and\""
  bool mixed = false;                // it has signs of both
};
Recognised recognise(std::string_view text, const Environment& environment);

}  // namespace baleen::kfl
