#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::radius {

bool is_request(uint8_t code);
/// What User-Name, Calling-Station-Id and the like say, beside the list of all.
void describe_attributes(Bytes attributes, MapOf& out, Arena& arena);
/// Where the attributes that fit end, the last perhaps behind the bytes (RFC 2865 5).
size_t attributes_end(Bytes bytes);
/// Whether the attributes fill the bytes exactly.
bool are_attributes(Bytes attributes);
/// Whether none of the attributes is of the reserved type 0; with `sizes` whether those that are there whole have the
/// sizes that their types must have.
bool are_plausible(Bytes attributes, bool sizes);

}  // namespace baleen::dissect::radius
