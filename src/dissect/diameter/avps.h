#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::diameter {

/// "Capabilities-Exchange"; empty for a code that is not known.
std::string_view command_name(uint32_t code);
std::string_view application_name(uint32_t id);
std::string_view result_name(uint32_t code);
/// Session-Id, Origin-Host and the like, and the list of all AVPs (RFC 6733 4).
void describe_avps(Bytes avps, MapOf& out, Arena& arena);
/// Whether the AVPs fill the bytes exactly.
bool are_avps(Bytes avps);

}  // namespace baleen::dissect::diameter
