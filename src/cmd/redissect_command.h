#pragma once

namespace CLI {
class App;
}

namespace baleen::cmd {

/// `baleen recordings redissect`.
void add_redissect(CLI::App& recordings, int& code);

}  // namespace baleen::cmd
