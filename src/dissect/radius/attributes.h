#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::radius {

/// "Access-Request"; empty for a code that is not known.
std::string_view code_name(uint8_t code);
bool is_request(uint8_t code);
/// What User-Name, Calling-Station-Id and the like say, beside the list of all.
void describe_attributes(Bytes attributes, MapOf& out, Arena& arena);
/// Whether the attributes fill the bytes exactly (RFC 2865 5).
bool are_attributes(Bytes attributes);

}  // namespace baleen::dissect::radius
