#include <fmt/format.h>

#include <cmath>

#include "kfl/ast.h"
#include "kfl/lex_cel.h"
#include "kfl/text_cel.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

/// How tightly the sign of a node binds; a part that binds less tightly than its place needs parentheses.
int rank(const Node* n) {
  switch (n->op) {
    case Op::kConditional: return 1;
    case Op::kOr: return 2;
    case Op::kAnd: return 3;
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
    case Op::kIn: return 4;
    case Op::kAdd:
    case Op::kSubtract: return 5;
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kModulo: return 6;
    case Op::kNot:
    case Op::kNegate: return 7;
    case Op::kInPlace: return rank(n->args[0]);
    case Op::kLiteral:
      return (n->value.is(Kind::kInt) && n->value.integer < 0) ||
                     (n->value.is(Kind::kDouble) && std::signbit(n->value.real))
                 ? 7
                 : 9;
    default: return 9;
  }
}

class Printer {
 public:
  std::string out;

  void print(const Node* n, int least = 0) {
    if (rank(n) < least) {
      out += '(';
      print_node(n);
      out += ')';
    } else {
      print_node(n);
    }
  }

 private:
  void literal(const Node* n) {
    const Datum& d = n->value;
    if (!n->form.empty()) {
      out += n->form;
      return;
    }
    switch (d.kind) {
      case Kind::kNull: out += "null"; return;
      case Kind::kString:
      case Kind::kBytes: out += quote_cel(d.text(), d.is(Kind::kBytes)); return;
      case Kind::kUint: out += fmt::format("{}u", d.natural); return;
      case Kind::kDouble: {
        std::string s;
        append_plain(d, s);
        if (s.find_first_of(".e") == std::string::npos) s += ".0";
        if (std::isinf(d.real)) s = d.real > 0 ? "1e999" : "-1e999";
        out += s;
        return;
      }
      case Kind::kTimestamp: out += "now()"; return;
      case Kind::kError: out += n->text; return;
      default: append_plain(d, out);
    }
  }

  void list(const Node* n, size_t first, std::string_view close) {
    for (size_t i = first; i < n->args.size(); ++i) {
      if (i != first) out += ", ";
      if (!n->optional_flags.empty() && n->optional_flags[i]) out += '?';
      print(n->args[i]);
    }
    out += close;
  }

  static bool plain_name(std::string_view s) {
    if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
    for (const char c : s)
      if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
    return s != "in" && s != "true" && s != "false" && s != "null";
  }
  void field(const Node* n) { out += !n->implied && plain_name(n->text) ? n->text : "`" + n->text + "`"; }

  void comprehension(const Node* n) {
    print(n->args[0], 8);
    out += "." + n->text + "(" + n->form;
    if (n->variables == 2) out += ", " + n->second;
    for (size_t i = 1; i < n->args.size(); ++i) {
      out += ", ";
      print(n->args[i]);
    }
    out += ')';
  }

  void name(std::string_view text) {
    if (text.starts_with("@index")) {
      out += fmt::format("cel.index({})", text.substr(6));
    } else if (text.starts_with('@')) {
      const size_t a = text.find(':'), b = text.rfind(':');
      out += fmt::format("cel.{}({}, {})", text.substr(1, a - 1), text.substr(a + 1, b - a - 1), text.substr(b + 1));
    } else {
      out += text;
    }
  }

  void print_node(const Node* n) {
    switch (n->op) {
      case Op::kLiteral: return literal(n);
      case Op::kName:
      case Op::kVariable:
      case Op::kFlag:
      case Op::kTypeName:
      case Op::kLocal: return name(n->text);
      case Op::kInPlace: return print_node(n->args[0]);
      case Op::kNot:
      case Op::kNegate:
        out += n->op == Op::kNot ? '!' : '-';
        return print(n->args[0], n->op == Op::kNegate && n->args[0]->op == Op::kLiteral ? 10 : 7);
      case Op::kConditional:
        print(n->args[0], 2);
        out += " ? ";
        print(n->args[1], 2);
        out += " : ";
        return print(n->args[2], 1);
      case Op::kField:
      case Op::kOptionalField:
        print(n->args[0], 8);
        out += n->op == Op::kField ? "." : ".?";
        return field(n);
      case Op::kHas:
        out += "has(";
        print(n->args[0], 8);
        out += n->optional ? ".?" : ".";
        field(n);
        out += ')';
        return;
      case Op::kIndex:
      case Op::kOptionalIndex:
        print(n->args[0], 8);
        out += n->op == Op::kIndex ? "[" : "[?";
        print(n->args[1]);
        out += ']';
        return;
      case Op::kList: out += '['; return list(n, 0, "]");
      case Op::kMap:
        out += '{';
        for (size_t i = 0; i + 1 < n->args.size(); i += 2) {
          if (i != 0) out += ", ";
          if (n->optional_flags[i / 2]) out += '?';
          print(n->args[i]);
          out += ": ";
          print(n->args[i + 1]);
        }
        out += '}';
        return;
      case Op::kMessage:
        print(n->args[0]);
        out += "{...}";
        return;
      case Op::kCall: {
        size_t first = 0;
        if (n->has_subject) {
          print(n->args[0], 8);
          out += '.';
          first = 1;
        }
        out += n->text + "(";
        return list(n, first, ")");
      }
      case Op::kBind:
        if (n->optional) {
          print(n->args[0], 8);
          out += "." + n->text + "(" + n->form + ", ";
        } else {
          out += "cel.bind(" + n->form + ", ";
          print(n->args[0]);
          out += ", ";
        }
        print(n->args[1]);
        out += ')';
        return;
      case Op::kBlock:
        out += "cel.block([";
        for (size_t i = 0; i + 1 < n->args.size(); ++i) {
          if (i != 0) out += ", ";
          print(n->args[i]);
        }
        out += "], ";
        print(n->args.back());
        out += ')';
        return;
      case Op::kAll:
      case Op::kExists:
      case Op::kExistsOne:
      case Op::kMapMacro:
      case Op::kFilter:
      case Op::kTransformList:
      case Op::kTransformMap:
      case Op::kTransformMapEntry: return comprehension(n);
      default: {
        const int r = rank(n);
        print(n->args[0], r);
        out += fmt::format(" {} ", sign(n->op));
        const bool free = n->op == Op::kAnd || n->op == Op::kOr;  // grouping of these does not matter
        return print(n->args[1], free ? r : r + 1);
      }
    }
  }
};

}  // namespace

std::string print_cel(const Node* root) {
  Printer p;
  if (root != nullptr) p.print(root);
  return std::move(p.out);
}

}  // namespace baleen::kfl
