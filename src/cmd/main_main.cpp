// The list of what the program can do.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/kfl_command.h"
#include "cmd/sql_command.h"
#include "cmd/standard_streams.h"
#include "dissect/registry.h"

int main(int argc, char** argv) {
  using namespace baleen::cmd;
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an answer of write(), not an end
  guard_standard_streams();

  CLI::App app(
      "Baleen watches the network of a Kubernetes cluster or of one machine, understands what services say to each "
      "other,\n"
      "keeps what matters in a bucket, and reads it back later.");
  app.name("baleen");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of all commands");
  std::string level = "warning";
  app.add_option("--log-level", level, "debug, info, warning, error or off")->default_str("warning");
  app.parse_complete_callback([&level] {
    if (auto parsed = baleen::log::Level::kWarning; baleen::log::parse_level(level, parsed)) {
      baleen::log::set_level(parsed);
    } else {
      throw CLI::ValidationError("--log-level", "expected debug, info, warning, error or off, found '" + level + "'");
    }
  });

  int code = exit_code::kOk;
  add_tap_command(app, code);
  add_dissect_command(app, code);
  add_query_command(app, code);
  add_sql_command(app, code);
  add_recordings_command(app, code);
  add_pcapdump_command(app, code);
  add_decrypt_command(app, code);
  add_kfl_command(app, baleen::dissect::cards(), code);
  add_store_command(app, code);
  add_config_command(app, code);
  add_version_command(app, code);
  add_completion_command(app, code);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? exit_code::kOk : exit_code::kUsage;
  }
  return finish_output(code);
}
