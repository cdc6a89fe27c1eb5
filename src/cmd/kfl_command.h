#pragma once

#include <span>

#include "item/protocol.h"

namespace CLI {
class App;
}

namespace baleen::cmd {

/// Adds `kfl check|explain|fields|fmt|convert|eval` to the program. When one of them was asked for, `exit_code` is set:
/// 0, 2 when a filter is wrong, 1 when a file cannot be read. `protocols` must outlive the parsing.
void add_kfl_command(CLI::App& app, std::span<const item::Protocol* const> protocols, int& exit_code);

}  // namespace baleen::cmd
