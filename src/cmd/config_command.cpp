#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cmd/commands.h"
#include "worker/config.h"
#include "worker/recording_config.h"

namespace baleen::cmd {
namespace {

/// What `tap` would refuse of the recordings; says all of it.
bool check_recordings(const worker::LoadedConfig& loaded) {
  bool ok = true;
  const auto wrong = [&](const std::string& name, const std::string& message) {
    const std::string place = fmt::format("recording '{}': ", name);
    fmt::print(stderr, "{}{}error: {}{}\n", loaded.file, loaded.file.empty() ? "" : ": ",
               message.starts_with(place) ? "" : place, message);
    ok = false;
  };
  const auto compile_redaction = worker::redaction_of(loaded.config);
  for (const record::Definition& d : worker::definitions_of(loaded.config)) {
    if (const auto checked = d.check(); !checked) wrong(d.name, checked.error().message);
    if (const auto filter = worker::compile_pattern(d.pattern, loaded.config); !filter)
      wrong(d.name, filter.error().message);
    if (const auto redaction = compile_redaction(d.redact); !redaction) wrong(d.name, redaction.error().message);
  }
  return ok;
}

}  // namespace

void add_config_command(CLI::App& app, int& code) {
  struct Options {
    worker::ConfigRequest request;
    bool reference = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* config = app.add_subcommand("config", "Show the configuration in force, and what is wrong with it");
  config->footer(
      "Prints the merged configuration as YAML: defaults, then one file (--config, else ./baleen.yaml, else "
      "~/.baleen/config.yaml), then\n--set. "
      "Values that look like secrets are masked. Exits with 2 when something is wrong, after naming all of it.");
  config->add_option("--config,--config-path", options->request.path, "configuration file")->option_text("FILE");
  config->add_option("--set", options->request.sets, "set a key, as in --set tap.storageLimit=5Gi")
      ->option_text("KEY=VALUE")
      ->allow_extra_args(false);
  config->add_flag("--reference", options->reference, "print all keys with their meaning, as Markdown");
  config->callback([options, &code] {
    if (options->reference) {
      fmt::print("{}", worker::config_reference());
      return;
    }
    const worker::LoadedConfig loaded = worker::load_config(options->request);
    for (const worker::ConfigProblem& problem : loaded.problems)
      fmt::print(stderr, "{}\n", worker::render(problem, loaded.file));
    const bool recordings = loaded.ok() && check_recordings(loaded);
    if (!recordings) {
      code = exit_code::kUsage;
      return;
    }
    if (!loaded.file.empty()) fmt::print("# from {}\n", loaded.file);
    fmt::print("{}", loaded.yaml);
  });
}

}  // namespace baleen::cmd
