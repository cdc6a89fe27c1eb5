#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cmd/commands.h"
#include "dissect/registry.h"
#include "item/row.h"

namespace baleen::cmd {
namespace {

void print_version() {
  std::string protocols;
  for (const dissect::ProtocolEntry& entry : dissect::registry()) {
    if (!protocols.empty()) protocols += ' ';
    protocols += entry.name;
  }
  fmt::print("baleen {}\nprotocols: {}\n", BALEEN_VERSION, protocols);
}

/// One script for each shell: the words come from the program itself, so that they are never out of date.
constexpr const char* kBash = R"text(_baleen() {
  local words
  words=$(baleen completion --words "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _baleen baleen
)text";
constexpr const char* kZsh = R"text(#compdef baleen
_baleen() {
  local -a found
  found=(${(f)"$(baleen completion --words "${(@)words[2,CURRENT-1]}" 2>/dev/null)"})
  compadd -a found
  _files
}
compdef _baleen baleen
)text";
constexpr const char* kFish =
    R"text(complete -c baleen -a '(baleen completion --words (commandline -opc)[2..-1] 2>/dev/null)'
)text";

/// The subcommands and options that may follow these words, one a line.
void print_words(const CLI::App& root, const std::vector<std::string>& before) {
  const CLI::App* at = &root;
  for (const std::string& word : before)
    for (const CLI::App* sub : at->get_subcommands({}))
      if (sub->get_name() == word) at = sub;
  for (const CLI::App* sub : at->get_subcommands({}))
    if (!sub->get_name().empty()) fmt::print("{}\n", sub->get_name());
  for (const CLI::Option* option : at->get_options())
    for (const std::string& name : option->get_lnames()) fmt::print("--{}\n", name);
}

}  // namespace

void add_version_command(CLI::App& app, int&) {
  app.add_subcommand("version", "Print the version and the protocols that are understood")->callback(print_version);
}

void add_completion_command(CLI::App& app, int& code) {
  struct Options {
    std::string shell;
    bool words = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* completion = app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  completion->description("Prints a completion script. For bash: source <(baleen completion bash)");
  completion->add_option("SHELL", options->shell, "bash, zsh or fish");
  completion->add_flag("--words", options->words, "print what may follow the words given")->group("");
  completion->prefix_command();
  completion->callback([options, completion, &app, &code] {
    if (options->words) {
      std::vector<std::string> before = completion->remaining();
      if (!options->shell.empty()) before.insert(before.begin(), options->shell);
      return print_words(app, before);
    }
    if (options->shell == "bash") {
      fmt::print("{}", kBash);
    } else if (options->shell == "zsh") {
      fmt::print("{}", kZsh);
    } else if (options->shell == "fish") {
      fmt::print("{}", kFish);
    } else {
      fmt::print(stderr, "baleen completion: expected bash, zsh or fish{}\n",
                 options->shell.empty() ? "" : ", found '" + options->shell + "'");
      code = exit_code::kUsage;
    }
  });
}

}  // namespace baleen::cmd
