#pragma once

#include <span>
#include <string>
#include <vector>

#include "dissect/dissector.h"

namespace baleen::dissect {

/// Items that the engine makes by itself, of packets and flows: which ones are wanted.
struct L4Items {
  bool icmp = false;
};

/// What an engine is to look for.
struct Selection {
  std::vector<ProtocolEntry> protocols;  // in the registry's order
  L4Items l4{};
  std::vector<std::string> unknown;  // names that nobody has
};

/// The dissectors of these names: of protocols ("http"), of their variants by macro ("tlsx", "grpc": the dissector that
/// makes them), or of L4 items ("icmp"; '-' and '_' are alike). None at all: the default.
Selection select_dissectors(std::span<const std::string> names);
/// What can be asked for, for suggestions.
std::vector<std::string_view> dissector_names();

}  // namespace baleen::dissect
