#pragma once

#include <span>
#include <string_view>

#include "dissect/dissector.h"

namespace baleen::dissect {

/// The protocols of protocols.def, in their order. At most 64.
std::span<const ProtocolEntry> registry();

/// The entry that Step::switch_to("name") means; null when there is none.
const ProtocolEntry* find_protocol(std::span<const ProtocolEntry> protocols, std::string_view name);

/// Every card that items may carry, also those of sub-protocols and of the engine's own items: for filters, references
/// and completion.
std::span<const item::Protocol* const> cards();

}  // namespace baleen::dissect
