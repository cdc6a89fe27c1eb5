#include "dissect/registry.h"

#include <vector>

#include "dissect/l4/cards.h"
#include "protocols_includes.h"  // made by CMake from protocols.def: the header of each folder

namespace baleen::dissect {

std::span<const ProtocolEntry> registry() {
  static const std::vector<ProtocolEntry> entries = {
#define BALEEN_PROTOCOL(folder, type) entry<folder::type>(#folder),
#include "dissect/protocols.def"
#undef BALEEN_PROTOCOL
  };
  return entries;
}

const ProtocolEntry* find_protocol(std::span<const ProtocolEntry> protocols, std::string_view name) {
  for (const ProtocolEntry& entry : protocols)
    if (entry.name == name) return &entry;
  return nullptr;
}

std::span<const item::Protocol* const> cards() {
  static const std::vector<const item::Protocol*> all = [] {
    std::vector<const item::Protocol*> cards;
    for (const ProtocolEntry& entry : registry()) cards.insert(cards.end(), entry.cards.begin(), entry.cards.end());
    cards.insert(cards.end(), l4::cards().begin(), l4::cards().end());
    return cards;
  }();
  return all;
}

}  // namespace baleen::dissect
