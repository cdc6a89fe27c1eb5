#pragma once

#include <string>
#include <string_view>

#include "item/item.h"

namespace baleen::item {

/// The value at a path such as "request.path" or "request.questions[0].name" of the item's messages; null when there is
/// none. Only what begins with request, response or data: what the cards of protocols name. Does not allocate.
Value at_path(const Item& item, std::string_view path);

/// The same in an item's tree (see as_value()), for any path of names and indices.
Value at_path(const Value& root, std::string_view path);

/// What a list shows of an item, from its protocol's card. Views into the item.
struct Row {
  Value method, summary, status;
};
Row row_of(const Item& item);

/// A scalar as a person reads it: text as it is, numbers in decimal, nothing for null.
std::string display(const Value& value);

/// "error: no response was seen", or nothing: what a list says where the status would stand.
std::string_view error_of(const Item& item);

/// How a protocol is called in counts, columns and filters: its macro, else its name.
inline std::string_view short_name(const Protocol& protocol) {
  return protocol.macro.empty() ? protocol.name : protocol.macro;
}

}  // namespace baleen::item
