#pragma once

#include <string>

#include "kfl/datum.h"

namespace baleen::kfl {

/// A scalar as string() shows it: 1.5, true, 2009-02-13T23:31:30Z, 100s.
void append_plain(const Datum& d, std::string& out);

}  // namespace baleen::kfl
