#pragma once

#include <optional>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"

namespace baleen::codec {

/// Base64 with padding (RFC 4648 section 4), in the arena.
std::string_view to_base64(Bytes bytes, Arena& arena);

/// The bytes of base64 text, in the arena; both alphabets (RFC 4648 sections 4 and 5), padding optional. Nothing when
/// it holds any other character or cannot be a whole number of bytes.
std::optional<Bytes> from_base64(std::string_view text, Arena& arena);

}  // namespace baleen::codec
