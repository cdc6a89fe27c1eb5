#include "kfl/reference_page.h"

#include <fmt/format.h>

#include "kfl/complete.h"
#include "kfl/functions.h"
#include "kfl/functions_v1.h"
#include "kfl/limits.h"
#include "kfl/macros_v1.h"
#include "kfl/protocols.h"

namespace baleen::kfl {
namespace {

/// Text within a cell of a table.
std::string cell(std::string_view s) {
  std::string out;
  for (const char c : s) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string joined(std::span<const std::string_view> parts) {
  std::string out;
  for (const std::string_view p : parts) out += (out.empty() ? "`" : "<br>`") + cell(p) + "`";
  return out;
}

void variables(std::string& out, const std::vector<NamedThing>& all, std::string_view protocol,
               std::string_view title) {
  std::string rows;
  for (const NamedThing& n : all)
    if (n.protocol == protocol && (protocol != "" || flag_mask(n.name) == 0))
      rows += fmt::format("| `{}` | {} | {} | {} |\n", n.name, n.type, n.path.empty() ? "computed" : "`" + n.path + "`",
                          cell(n.doc));
  if (rows.empty()) return;
  out += fmt::format(
      "\n### {}\n\n| variable | type | place in the item (KFL v1) | meaning |\n| --- | --- | --- | --- |\n{}", title,
      rows);
}

/// What each protocol's card and Field table say.
void fields_by_protocol(std::string& out, std::span<const item::Protocol* const> protocols) {
  if (protocols.empty()) return;
  static constexpr std::string_view kTypes[] = {"bool", "int", "double", "string", "bytes", "list", "map"};
  out += "\n## Fields by protocol\n";
  for (const item::Protocol* p : protocols) {
    out += fmt::format("\n### {} {}\n\n{}; `protocol.name` is `\"{}\"`, `protocol.abbr` is `\"{}\"`", p->abbreviation,
                       p->version, p->long_name, p->name, p->abbreviation);
    if (!p->macro.empty()) out += fmt::format(", the macro of v1 and the flag of v2 is `{}`", p->macro);
    out += p->reference.empty() ? ".\n" : fmt::format(". [Specification]({}).\n", p->reference);
    if (p->fields.empty()) continue;
    out += "\n| place in the item (KFL v1) | variable (KFL v2) | type | meaning |\n| --- | --- | --- | --- |\n";
    for (const item::Field& f : p->fields)
      out += fmt::format("| `{}` | {} | {} | {}{} |\n", cell(f.path),
                         f.cel_name.empty() ? "" : fmt::format("`{}`", f.cel_name), kTypes[static_cast<size_t>(f.type)],
                         cell(f.doc), f.secret ? " Secret." : "");
  }
}

}  // namespace

std::string reference_page(const Options& options) {
  std::string out =
      "# KFL, the filter language\n\n"
      "<!-- Generated from the tables of src/kfl and the protocols' cards by `kfl_reference`; a test fails when it is "
      "stale. Do not edit. "
      "-->\n\n"
      "Two dialects are understood everywhere and recognised by themselves: **v1** (`http and response.status == 500`) "
      "and **v2**, which "
      "is CEL with named variables (`http && status_code >= 500`). `baleen kfl check`, `explain`, `fmt`, `convert` and "
      "`fields` "
      "help with both.\n\n"
      "## KFL v1\n\n"
      "Operators: `and` `or` `==` `!=` `>` `>=` `<` `<=` `!` `-` `( )`; every level groups to the right and `and` has "
      "the rank of "
      "`or`, so `a and b or c` is `a and (b or c)`. Values: numbers, `\"text\"`, `'text'`, `` `text` ``, `r\"regular "
      "expression\"` (RE2), "
      "`true`, `false`, `nil`. A selector is a path of the item's JSON: `a.b`, `a[0]`, `a[\"key\"]`, `a.*`, `a..name`. "
      "A path that is not "
      "there makes the expression up to the nearest parentheses false. An empty filter matches everything.\n\n"
      "### Helpers\n\n| helper | meaning |\n| --- | --- |\n";
  for (const HelperCard& h : helper_cards()) out += fmt::format("| `{}` | {} |\n", h.signature, cell(h.doc));
  out += "\n### Macros\n\n| macro | stands for |\n| --- | --- |\n";
  for (const Macro& m : macros_of(options)) out += fmt::format("| `{}` | `{}` |\n", m.name, cell(m.text));
  out +=
      "\n## KFL v2\n\n"
      "The language is [CEL](https://github.com/google/cel-spec): `&&` `||` `!` `==` `!=` `<` `<=` `>` `>=` `+` `-` "
      "`*` `/` `%` `in` "
      "`c ? a : b`, lists `[1, 2]`, maps `{\"a\": 1}`, optional selection `a.?b`, and the macros `has(a.b)`, "
      "`list.all(x, p)`, "
      "`list.exists(x, p)`, `list.exists_one(x, p)`, `list.map(x, e)`, `list.filter(x, p)`, their forms with two "
      "variables, "
      "`transformList`, `transformMap`, `transformMapEntry`, `optMap`, `optFlatMap`, `cel.bind(x, value, e)`. `now()` "
      "is the time when the "
      "filter was made.\n\n"
      "A variable that an item does not have is `\"\"`, `0`, `false`, `[]` or `{}`. A variable of a protocol in a "
      "condition holds only "
      "for items of that protocol (`status_code == 0` never matches DNS); alone it asks for the protocol. `map[key]` "
      "of a missing key is an "
      "error, and so no match; for labels and annotations it is `\"\"`. So is `list[n]` beyond the last: one message "
      "of a "
      "call of gRPC is "
      "`grpc && request.grpc.messages[0].message.sku == \"a-1\"`, any of them "
      "`request.grpc.messages.exists(m, m.size > 1000)`.\n\n"
      "### Protocols\n\n| flag | protocol |\n| --- | --- |\n";
  for (const FlagCard& f : flag_cards()) out += fmt::format("| `{}` | {} |\n", f.name, cell(f.doc));
  out += "\n### Functions\n\n| function | forms | meaning |\n| --- | --- | --- |\n";
  for (const Function& f : all_functions())
    out += fmt::format("| `{}` | {} | {} |\n", f.name, joined(f.signatures), cell(f.doc));
  const std::vector<NamedThing> all = named_things(Dialect::kV2, options);
  out += "\n## Variables\n";
  variables(out, all, "", "Every item");
  for (const FlagCard& f : flag_cards()) variables(out, all, f.name, f.name);
  fields_by_protocol(out, options.protocols);
  out += fmt::format(
      "\n## Limits\n\n| what | limit |\n| --- | --- |\n| bytes of a filter, its macros replaced | {} |\n| nesting | {} "
      "|\n| parts of an expression | {} |\n"
      "| values looked at for one item | {} |\n| bytes of a text that json(), xml() or base64 opens | {} |\n"
      "| bytes of text, lists and maps made for one item | {} |\n| bytes of one compiled regular expression | {} |\n",
      kMaxText, kMaxDepth, kMaxNodes, kMaxWork, kMaxDecoded, kMaxMade, kMaxRegexMemory);
  return out;
}

}  // namespace baleen::kfl
