#pragma once

namespace CLI {
class App;
}

namespace baleen::cmd {

/// What a command leaves behind. docs/reference/cli.md lists them.
namespace exit_code {
constexpr int kOk = 0;
constexpr int kFailed = 1;      // the environment: a file, an interface, a bucket
constexpr int kUsage = 2;       // the command line, the configuration or a filter is wrong
constexpr int kIncomplete = 3;  // done as far as it went: damaged input, or something that matched could not be kept
}  // namespace exit_code

// Each adds its subcommand; when that was asked for, it has run when parsing returns, and has set `code`.
void add_dissect_command(CLI::App& app, int& code);
void add_tap_command(CLI::App& app, int& code);
void add_query_command(CLI::App& app, int& code);
void add_recordings_command(CLI::App& app, int& code);
void add_pcapdump_command(CLI::App& app, int& code);
void add_decrypt_command(CLI::App& app, int& code);
void add_store_command(CLI::App& app, int& code);
void add_config_command(CLI::App& app, int& code);
void add_version_command(CLI::App& app, int& code);
void add_completion_command(CLI::App& app, int& code);

}  // namespace baleen::cmd
