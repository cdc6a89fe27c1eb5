#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::diameter {

/// Session-Id, Origin-Host and the like, and the list of all AVPs (RFC 6733 4). Of an answer, `status` is the name of
/// its Result-Code or Experimental-Result-Code.
void describe_avps(Bytes avps, bool answer, MapOf& out, Arena& arena);
/// Whether the AVPs fill the bytes exactly.
bool are_avps(Bytes avps);

}  // namespace baleen::dissect::diameter
