#pragma once

#include <string_view>

namespace baleen::script {

/// The helpers that are written in JavaScript; run once for each global object, after the host's functions are there.
extern const std::string_view kPrelude;

}  // namespace baleen::script
