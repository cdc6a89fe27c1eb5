#include <fmt/format.h>

#include "kfl/ast.h"
#include "kfl/protocols.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

std::string_view word(Op op) {
  static constexpr std::string_view kWords[] = {"literal",
                                                "regex",
                                                "select",
                                                "time",
                                                "group",
                                                "not",
                                                "negate",
                                                "and",
                                                "or",
                                                "equal",
                                                "not-equal",
                                                "less",
                                                "less-equal",
                                                "greater",
                                                "greater-equal",
                                                "call",
                                                "conditional",
                                                "add",
                                                "subtract",
                                                "multiply",
                                                "divide",
                                                "modulo",
                                                "in",
                                                "name",
                                                "variable",
                                                "flag",
                                                "local",
                                                "type",
                                                "field",
                                                "optional-field",
                                                "has",
                                                "index",
                                                "optional-index",
                                                "list",
                                                "map",
                                                "message",
                                                "all",
                                                "exists",
                                                "exists-one",
                                                "map-each",
                                                "filter",
                                                "transform-list",
                                                "transform-map",
                                                "transform-map-entry",
                                                "bind",
                                                "block",
                                                "in-protocol"};
  return kWords[static_cast<size_t>(op)];
}

std::string protocols(uint64_t mask) {
  std::string out;
  uint64_t rest = mask;
  for (const FlagCard& f : flag_cards()) {
    if ((f.mask & mask) != f.mask || (f.mask & rest) == 0) continue;
    out += (out.empty() ? "" : ", ") + std::string(f.name);
    rest &= ~f.mask;
  }
  return out;
}

/// How a selector is answered.
std::string plan(const Path& p) {
  if (p.live != nullptr)
    return p.live_steps == p.steps.size() ? "direct" : p.single ? "direct, then by name" : "direct, then searched";
  return p.single ? "by name" : "searched";
}

void describe(const Node* n, bool v1, int depth, std::string& out) {
  out.append(static_cast<size_t>(depth) * 2, ' ');
  out += word(n->op);
  switch (n->op) {
    case Op::kSelect: out += fmt::format(" {}  [{}]", n->path.text(), plan(n->path)); break;
    case Op::kVariable: {
      out += " " + n->text;
      for (const Variable::Source& s : n->variable->sources)
        out += fmt::format("  [{}: {}]", s.path.text(), plan(s.path));
      if (n->variable->compute != nullptr) out += "  [computed]";
      break;
    }
    case Op::kFlag:
    case Op::kInPlace: out += " " + protocols(n->mask); break;
    case Op::kCall:
      out += " " + n->text;
      if (!n->path.steps.empty()) out += " then " + n->path.text();
      if (n->regex != nullptr && !v1) out += "  [compiled pattern]";
      break;
    case Op::kLiteral:
    case Op::kTime: out += " " + (v1 ? n->text : print_cel(n)); break;
    case Op::kRegex:
    case Op::kName:
    case Op::kLocal:
    case Op::kTypeName:
    case Op::kField:
    case Op::kOptionalField:
    case Op::kHas: out += " " + n->text; break;
    default:
      if (!n->form.empty()) out += " " + n->form + (n->second.empty() ? "" : ", " + n->second);
  }
  if (n->type != nullptr && !v1) out += " : " + to_string(*n->type);
  out += '\n';
  for (const Node* arg : n->args) describe(arg, v1, depth + 1, out);
}

}  // namespace

std::string describe(const Node* root, bool v1) {
  std::string out;
  if (root == nullptr) return "everything\n";
  describe(root, v1, 0, out);
  return out;
}

}  // namespace baleen::kfl
