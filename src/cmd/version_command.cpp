#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cmd/commands.h"
#include "dissect/registry.h"
#include "item/row.h"
#include "kfl/complete.h"

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
/// Each hands over the word at the cursor, so that filters are completed too.
constexpr const char* kBash = R"text(_baleen() {
  local IFS=$'\n' current="${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(baleen completion --words --current "$current" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null))
  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _baleen baleen
)text";
constexpr const char* kZsh = R"text(#compdef baleen
_baleen() {
  local -a found
  found=(${(f)"$(baleen completion --words --current "${(Q)words[CURRENT]}" "${(@)words[2,CURRENT-1]}" 2>/dev/null)"})
  compadd -U -a found
  _files
}
compdef _baleen baleen
)text";
constexpr const char* kFish =
    R"text(complete -c baleen -a '(baleen completion --words --current (commandline -ct) (commandline -opc)[2..-1] 2>/dev/null)'
)text";

/// Whether the word behind these is a filter.
bool filter_follows(const std::vector<std::string>& before) {
  if (before.empty()) return false;
  for (const char* option : {"--record", "--filter", "--kfl", "-f"})
    if (before.back() == option) return true;
  if (before.size() != 2 || before[0] != "kfl") return false;
  for (const char* command : {"check", "explain", "fmt", "convert", "eval"})
    if (before[1] == command) return true;
  return false;
}

/// The filter so far with what could stand at its end.
void print_filters(std::string_view current) {
  if (current.starts_with('\'') || current.starts_with('"')) current.remove_prefix(1);
  kfl::Options options;
  options.protocols = dissect::cards();
  const kfl::Completions found = kfl::complete(current, current.size(), options);
  for (const kfl::Completion& c : found.items) fmt::print("{}{}\n", current.substr(0, found.begin), c.text);
}

/// The words that an option takes, when it takes no others: CLI11 describes them as "TEXT:{table,ndjson}".
std::vector<std::string> values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{'), end = type.find('}');
  std::vector<std::string> out;
  if (begin == std::string::npos || end == std::string::npos || end < begin) return out;
  for (size_t at = begin + 1; at <= end;) {
    const size_t next = std::min(type.find(',', at), end);
    out.push_back(type.substr(at, next - at));
    at = next + 1;
  }
  return out;
}

/// The subcommands and options that may follow these words, or the values of the option behind which they end, one a
/// line.
void print_words(const CLI::App& root, const std::vector<std::string>& before, std::string_view current) {
  if (filter_follows(before) && !current.starts_with("--")) return print_filters(current);
  const auto offer = [&](const std::string& word) {
    if (word.starts_with(current)) fmt::print("{}\n", word);
  };
  const CLI::App* at = &root;
  for (const std::string& word : before)
    for (const CLI::App* sub : at->get_subcommands({}))
      if (sub->get_name() == word) at = sub;
  for (const CLI::Option* option : at->get_options()) {
    if (before.empty() || before.back().empty() || !option->check_name(before.back())) continue;
    const std::vector<std::string> values = values_of(*option);
    for (const std::string& value : values) offer(value);
    if (!values.empty()) return;
  }
  for (const CLI::App* sub : at->get_subcommands({}))
    if (!sub->get_name().empty()) offer(sub->get_name());
  for (const CLI::Option* option : at->get_options())
    for (const std::string& name : option->get_lnames()) offer("--" + name);
}

}  // namespace

void add_version_command(CLI::App& app, int&) {
  app.add_subcommand("version", "Print the version and the protocols that are understood")->callback(print_version);
}

void add_completion_command(CLI::App& app, int& code) {
  struct Options {
    std::string shell, current;
    bool words = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* completion = app.add_subcommand("completion", "Print a completion script for bash, zsh or fish");
  completion->footer("Prints a completion script. For bash: source <(baleen completion bash)");
  completion->add_option("SHELL", options->shell, "bash, zsh or fish");
  completion->add_flag("--words", options->words, "print what may follow the words given")->group("");
  completion->add_option("--current", options->current, "the word at the cursor, for --words")->group("");
  completion->prefix_command();
  completion->callback([options, completion, &app, &code] {
    if (options->words) {
      std::vector<std::string> before = completion->remaining();
      if (!options->shell.empty()) before.insert(before.begin(), options->shell);
      return print_words(app, before, options->current);
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
