#include "cmd/kfl_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "item/json.h"
#include "kfl/ast.h"
#include "kfl/batch.h"
#include "kfl/complete.h"
#include "kfl/convert.h"
#include "kfl/kfl.h"
#include "kfl/program.h"
#include "kfl/pushdown.h"

namespace baleen::cmd {
namespace {

using kfl::Dialect;

/// What the flags of all subcommands say.
struct KflFlags {
  std::span<const item::Protocol* const> protocols;
  std::string filter, dialect = "auto", protocol, input = "-";
  std::vector<std::string> macro_flags;
  std::vector<std::pair<std::string, std::string>> macros;
  bool batch = false;
  bool context_v2 = false;

  kfl::Options options() {
    macros.clear();
    for (const std::string& m : macro_flags) {
      const size_t equals = m.find('=');
      if (equals != std::string::npos) macros.emplace_back(m.substr(0, equals), m.substr(equals + 1));
    }
    kfl::Options o;
    o.dialect = kfl::dialect_named(dialect).value_or(Dialect::kAuto);
    o.protocols = protocols;
    o.macros = macros;
    if (context_v2) o.ambiguous = Dialect::kV2;
    return o;
  }
  /// The filter; "-" reads it from standard input.
  std::string text() const {
    if (filter != "-") return filter;
    std::string all{std::istreambuf_iterator<char>(std::cin), {}};
    while (!all.empty() && (all.back() == '\n' || all.back() == '\r')) all.pop_back();
    return all;
  }
};

std::string reading(const kfl::Compiled& c) {
  return fmt::format("KFL {}{}", kfl::dialect_name(c.dialect), c.why.empty() ? "" : " (" + c.why + ")");
}

int check(KflFlags& f) {
  const std::string text = f.text();
  const kfl::Compiled c = kfl::compile(text, f.options());
  std::cout << kfl::render(text, c.diagnostics) << reading(c) << (c.filter ? ": good\n" : ": wrong\n");
  return c.filter ? 0 : 2;
}

int explain(KflFlags& f) {
  const std::string text = f.text();
  const kfl::Compiled c = kfl::compile(text, f.options());
  std::cout << kfl::render(text, c.diagnostics) << reading(c) << "\n";
  if (!c.filter) return 2;
  const kfl::Filter::Program& p = *c.filter->program();
  const bool v1 = p.dialect == Dialect::kV1;
  std::cout << "\nread as:\n  " << (v1 ? kfl::print_v1(p.tree.root) : kfl::print_cel(p.tree.root)) << "\n\ntree:\n"
            << kfl::describe(p.tree.root, v1) << "\npushed down to storage:\n";
  const auto conjuncts = kfl::pushdown(*c.filter);
  for (const kfl::Conjunct& conjunct : conjuncts) std::cout << "  " << kfl::to_string(conjunct) << "\n";
  if (conjuncts.empty()) std::cout << "  nothing\n";
  if (c.filter->limit() != 0) std::cout << "\nlimit: " << c.filter->limit() << "\n";
  if (c.filter->redacts()) std::cout << "\nit redacts\n";
  return 0;
}

int fields(KflFlags& f) {
  const kfl::Options options = f.options();
  const Dialect dialect = options.dialect == Dialect::kV1 ? Dialect::kV1 : Dialect::kV2;
  for (const kfl::NamedThing& n : kfl::named_things(dialect, options)) {
    if (!f.protocol.empty() && n.protocol != f.protocol) continue;
    std::cout << fmt::format("{:32} {:20} {:12} {}\n", n.name, n.type, n.protocol, n.doc);
  }
  return 0;
}

int fmt_(KflFlags& f) {
  const std::string text = f.text();
  const kfl::Options options = f.options();
  if (const auto formatted = kfl::format(text, options.dialect, options)) {
    std::cout << *formatted << "\n";
    return 0;
  }
  std::cerr << kfl::render(text, kfl::compile(text, options).diagnostics);
  return 2;
}

int convert(KflFlags& f) {
  const std::string text = f.text();
  const kfl::Conversion c = kfl::convert(text, f.options());
  std::cerr << kfl::render(text, c.diagnostics);
  if (c.text) std::cout << *c.text << "\n";
  return c.text ? 0 : 2;
}

/// Runs `line` for each line of the input; false when it cannot be read.
template <class F>
bool each_line(const std::string& input, F line) {
  std::ifstream file;
  if (input != "-") file.open(input);
  std::istream& in = input == "-" ? std::cin : file;
  if (!in) {
    std::cerr << "cannot read " << input << "\n";
    return false;
  }
  for (std::string text; std::getline(in, text);)
    if (!line(text)) break;
  return true;
}

int batch(KflFlags& f) {
  const kfl::Options options = f.options();
  const bool read = each_line(f.input, [&](const std::string& line) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) return true;
    std::cout << kfl::answer_line(line, options) << "\n" << std::flush;
    return static_cast<bool>(std::cout);
  });
  return read ? 0 : 1;
}

int eval(KflFlags& f) {
  if (f.batch) return batch(f);
  const std::string text = f.filter;
  const kfl::Compiled c = kfl::compile(text, f.options());
  std::cerr << kfl::render(text, c.diagnostics);
  if (!c.filter) return 2;
  uint64_t left = c.filter->limit() != 0 ? c.filter->limit() : UINT64_MAX;
  size_t number = 0;
  const bool read = each_line(f.input, [&](const std::string& line) {
    ++number;
    Arena arena;
    const auto item = item::parse_json(line, arena);
    if (!item) {
      if (!line.empty()) std::cerr << fmt::format("line {}: no JSON\n", number);
      return true;
    }
    const kfl::Filter::Answer answer = c.filter->apply_json(*item, arena);
    if (!answer.match) return true;
    std::string out;
    item::append_json(answer.record, out);
    std::cout << out << "\n";
    return --left != 0;
  });
  return read ? 0 : 1;
}

}  // namespace

void add_kfl_command(CLI::App& app, std::span<const item::Protocol* const> protocols, int& exit_code) {
  auto flags = std::make_shared<KflFlags>();
  flags->protocols = protocols;
  CLI::App* group = app.add_subcommand("kfl", "Check, explain, format, convert and try filters");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, int (*run)(KflFlags&), bool takes_filter) {
    CLI::App* sub = group->add_subcommand(name, what);
    sub->add_option("--dialect", flags->dialect, "auto, v1 or v2")->check(CLI::IsMember({"auto", "v1", "v2"}));
    sub->add_flag("--prefer-v2", flags->context_v2, "With auto: read what could be either as v2");
    sub->add_option("--macro", flags->macro_flags, "A macro of KFL v1: name=text; may be given several times");
    if (takes_filter)
      sub->add_option("filter", flags->filter, "The filter; - reads it from standard input")->required();
    sub->callback([flags, run, &exit_code] { exit_code = run(*flags); });
    return sub;
  };
  add("check", "Say what is wrong with a filter", check, true);
  add("explain", "Show how a filter is read and what it costs", explain, true);
  add("fields", "List what a filter can name", fields, false)
      ->add_option("--protocol", flags->protocol, "Only this protocol's");
  add("fmt", "Write a filter in one way", fmt_, true);
  add("convert", "Turn KFL v1 into KFL v2", convert, true);
  CLI::App* eval_command = add("eval", "Print the items (a JSON object a line) that a filter matches", eval, false);
  eval_command->add_option("filter", flags->filter, "The filter");
  eval_command->add_option("--input", flags->input, "A file of items; - is standard input");
  eval_command->add_flag("--batch", flags->batch, "Lines are {\"filter\", \"item\", \"dialect\"}, each with an answer");
}

}  // namespace baleen::cmd
