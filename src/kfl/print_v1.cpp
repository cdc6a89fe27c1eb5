#include <fmt/format.h>

#include "kfl/ast.h"

namespace baleen::kfl {
namespace {

void print(const Node* n, std::string& out) {
  switch (n->op) {
    case Op::kLiteral: out += n->text; return;
    case Op::kRegex: out += "r" + n->text; return;
    case Op::kSelect: out += n->path.text(); return;
    case Op::kTime:
      out += n->text;
      if (!n->args.empty()) {
        out += '(';
        print(n->args[0], out);
        out += ')';
      } else if (n->empty_call) {
        out += "()";
      }
      return;
    case Op::kGroup:
      if (!n->implied) out += '(';
      print(n->args[0], out);
      if (!n->implied) out += ')';
      return;
    case Op::kNot:
    case Op::kNegate:
      out += n->op == Op::kNot ? '!' : '-';
      print(n->args[0], out);
      return;
    case Op::kCall: {
      size_t i = 0;
      if (n->has_subject) {
        print(n->args[i++], out);
        out += '.';
      }
      out += n->text + "(";
      for (size_t first = i; i < n->args.size(); ++i) {
        if (i != first) out += ", ";
        print(n->args[i], out);
      }
      out += ')';
      if (!n->path.steps.empty()) {
        const std::string path = n->path.text();
        if (path[0] != '[' && path[0] != '.') out += '.';
        out += path;
      }
      return;
    }
    case Op::kAnd:
    case Op::kOr:
      print(n->args[0], out);
      out += n->op == Op::kAnd ? " and " : " or ";
      print(n->args[1], out);
      return;
    default:
      print(n->args[0], out);
      out += fmt::format(" {} ", sign(n->op));
      print(n->args[1], out);
  }
}

}  // namespace

std::string_view sign(Op op) {
  switch (op) {
    case Op::kAnd: return "&&";
    case Op::kOr: return "||";
    case Op::kEqual: return "==";
    case Op::kNotEqual: return "!=";
    case Op::kLess: return "<";
    case Op::kLessEqual: return "<=";
    case Op::kGreater: return ">";
    case Op::kGreaterEqual: return ">=";
    case Op::kAdd: return "+";
    case Op::kSubtract: return "-";
    case Op::kMultiply: return "*";
    case Op::kDivide: return "/";
    case Op::kModulo: return "%";
    case Op::kIn: return "in";
    default: return {};
  }
}

std::string print_v1(const Node* root) {
  std::string out;
  if (root != nullptr) print(root, out);
  return out;
}

}  // namespace baleen::kfl
