#include "kfl/macros_v1.h"

#include <algorithm>

#include "kfl/lex_v1.h"
#include "kfl/limits.h"

// Macros are text (reference row K1-60): each is replaced, longest name first, by its text in parentheses, also within
// what an earlier one brought in. The reference looks for the name anywhere outside double quotes, so that
// `request.httpVersion` becomes a syntax error. A filter that the reference can read is read as it reads it; one that
// it cannot is read with whole words only (compile.cpp tries in that order).

namespace baleen::kfl {
namespace {

struct BuiltIn {
  std::string_view name, text;
  bool bounded, field;
};

constexpr BuiltIn kBuiltIn[] = {
    {"http", "protocol.abbr == \"HTTP\"", false, false},
    {"http2", "protocol.abbr == \"HTTP/2\"", false, false},
    {"grpc", "protocol.abbr == \"gRPC\"", false, false},
    {"gql", "protocol.abbr == \"GQL\"", false, false},
    {"dns", "protocol.abbr == \"DNS\"", false, false},
    {"redis", "protocol.name == \"redis\"", false, false},
    {"kafka", "protocol.name == \"kafka\"", false, false},
    {"amqp", "protocol.name == \"amqp\"", false, false},
    {"ws", "protocol.name == \"ws\"", true, false},
    {"tls", "tls == true", true, true},
    {"tcp", "protocol.name == \"tcp\"", true, false},
    {"udp", "protocol.name == \"udp\"", true, false},
    {"icmp", "protocol.name == \"icmp\"", true, false},
    {"sctp", "protocol.name == \"sctp\"", true, false},
    {"ldap", "protocol.name == \"ldap\"", true, false},
    {"radius", "protocol.name == \"radius\"", true, false},
    {"diameter", "protocol.name == \"diameter\"", true, false},
    {"error", "error.type != \"\"", true, true},
    // Beyond the reference's v1, which is older than these items.
    {"conn", "protocol.name == r\"(tcp|udp|sctp)_conn\"", true, false},
    {"flow", "protocol.name == r\"(tcp|udp)_flow\"", true, false},
};

struct Piece {
  std::string text;
  std::vector<uint32_t> begins, ends;
};

/// Which characters stand outside strings and comments.
std::vector<bool> replaceable(std::string_view text) {
  std::vector<bool> out(text.size(), false);
  Diagnoser ignored;
  for (const TokenV1& t : lex_v1(text, ignored))
    if (t.kind != TokenV1::Kind::kString) std::fill(out.begin() + t.begin, out.begin() + t.end, true);
  return out;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Whether text[begin, end) is a whole word and no part of a path or a call.
bool stands_alone(std::string_view text, size_t begin, size_t end, bool field) {
  if (begin > 0 && is_ident_part(text[begin - 1])) return false;
  if (end < text.size() && is_ident_part(text[end])) return false;
  size_t before = begin, after = end;
  while (before > 0 && is_blank(text[before - 1])) --before;
  while (after < text.size() && is_blank(text[after])) ++after;
  const char left = before > 0 ? text[before - 1] : '\0', right = after < text.size() ? text[after] : '\0';
  if (left == '.' || right == '.' || right == '(' || right == '[' || right == ':') return false;
  if (!field) return true;
  return left != '=' && left != '<' && left != '>' && right != '=' && right != '<' && right != '>' &&
         !(right == '!' && after + 1 < text.size() && text[after + 1] == '=');
}

void replace(Expanded& out, const Macro& macro, bool words) {
  const std::string_view text = out.text;
  if (macro.name.empty() || text.find(macro.name) == std::string_view::npos) return;
  const std::vector<bool> open = replaceable(text);
  Expanded next;
  next.inside_word = out.inside_word;
  const std::string replacement = "(" + macro.text + ")";
  for (size_t at = 0; at < text.size();) {
    const size_t end = at + macro.name.size();
    bool hit = open[at] && text.substr(at).starts_with(macro.name);
    if (hit) {
      const bool alone = stands_alone(text, at, end, macro.field);
      if (!alone && (words || macro.bounded)) hit = false;
      if (hit && !alone) next.inside_word = true;
    }
    if (!hit) {
      next.text += text[at];
      next.begins.push_back(out.begins[at]);
      next.ends.push_back(out.ends[at]);
      ++at;
    } else {
      next.text += replacement;
      next.begins.insert(next.begins.end(), replacement.size(), out.begins[at]);
      next.ends.insert(next.ends.end(), replacement.size(), out.ends[end - 1]);
      at = end;
    }
    if (next.text.size() > kMaxText) {
      out.too_long = true;
      return;
    }
  }
  out = std::move(next);
}

}  // namespace

std::pair<size_t, size_t> Expanded::original(size_t begin, size_t end, size_t original_size) const {
  if (begins.empty() || begin >= begins.size()) return {original_size, original_size};
  const size_t b = begins[begin];
  const size_t e = end > begin ? ends[std::min(end, ends.size()) - 1] : b;
  return {b, std::max(b, e)};
}

std::vector<Macro> macros_of(const Options& options) {
  std::vector<Macro> out;
  const auto add = [&](Macro m, bool override) {
    for (Macro& have : out) {
      if (have.name != m.name) continue;
      if (override) have = std::move(m);
      return;
    }
    out.push_back(std::move(m));
  };
  for (const auto& [name, text] : options.macros.first(std::min(options.macros.size(), kMaxMacros)))
    add({name, text, false, false}, true);
  for (const BuiltIn& b : kBuiltIn) add({std::string(b.name), std::string(b.text), b.bounded, b.field}, false);
  for (const item::Protocol* p : options.protocols)
    if (!p->macro.empty())
      add({std::string(p->macro), "protocol.macro == \"" + std::string(p->macro) + "\"", true, false}, false);
  std::stable_sort(out.begin(), out.end(),
                   [](const Macro& a, const Macro& b) { return a.name.size() > b.name.size(); });
  return out;
}

Expanded expand(std::string_view text, std::span<const Macro> macros, bool words) {
  Expanded out;
  out.text = text;
  for (uint32_t i = 0; i < text.size(); ++i) out.begins.push_back(i), out.ends.push_back(i + 1);
  for (const Macro& m : macros) {
    replace(out, m, words);
    if (out.too_long) break;
  }
  return out;
}

}  // namespace baleen::kfl
