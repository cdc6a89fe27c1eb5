#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/arena.h"
#include "item/value.h"

namespace baleen::kfl {

/// RFC 4648 4 as Go's StdEncoding reads it: padding is required, line ends are skipped. Nothing when it is not base64.
std::optional<std::string_view> decode_base64(std::string_view text, Arena& arena);
/// The same without the need for padding.
std::optional<std::string_view> decode_base64_loose(std::string_view text, Arena& arena);
std::string_view encode_base64(std::string_view bytes, Arena& arena);

/// XML as a tree: an element is a map of its attributes ("-name"), its children by name (a list when they repeat) and
/// its text ("#text"); an element of text alone is that text. Nothing when it is not XML, or nests deeper than 64.
std::optional<item::Value> parse_xml(std::string_view text, Arena& arena);
/// The tree as XML, names in alphabetical order.
void append_xml(const item::Value& tree, std::string& out);

}  // namespace baleen::kfl
