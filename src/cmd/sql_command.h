#pragma once

namespace CLI {
class App;
}

namespace baleen::cmd {

/// Adds `sql`, as the commands of commands.h.
void add_sql_command(CLI::App& app, int& code);

}  // namespace baleen::cmd
