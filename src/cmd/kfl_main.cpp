// A small program with nothing but `kfl check|explain|fields|fmt|convert|eval`, for tests of the language without the
// rest.

#include <CLI/CLI.hpp>

#include "cmd/kfl_command.h"

int main(int argc, char** argv) {
  CLI::App app("baleen");
  int exit_code = 0;
  baleen::cmd::add_kfl_command(app, {}, exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
