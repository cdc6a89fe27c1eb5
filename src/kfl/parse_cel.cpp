#include "kfl/parse_cel.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "kfl/lex_cel.h"
#include "kfl/limits.h"

// The grammar of the CEL specification, with optional syntax (a.?b, a[?i], [?e], {?k: v}) and names in backquotes.
// Macros become comprehension nodes here; names stay kName and kField until check_cel.cpp resolves them.

namespace baleen::kfl {
namespace {

using Token = TokenCel;
using Kind_ = TokenCel::Kind;

class ParserCel {
 public:
  ParserCel(std::string_view text, Tree& tree, Diagnoser& diagnose, bool macros)
      : tree_(tree), diagnose_(diagnose), tokens_(lex_cel(text, diagnose)), macros_(macros) {}

  bool run() {
    if (diagnose_.failed()) return false;
    if (peek().kind == Kind_::kEnd) return true;  // K2-04
    tree_.root = expression();
    if (!diagnose_.failed() && peek().kind != Kind_::kEnd) unexpected_rest();
    return !diagnose_.failed();
  }

 private:
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }
  bool is(std::string_view text) const {
    return peek().text == text && (peek().kind == Kind_::kSign || peek().kind == Kind_::kIdent);
  }
  bool accept(std::string_view text) { return is(text) && (take(), true); }
  uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[std::min(at_, tokens_.size()) - 1].end; }

  void unexpected(std::string_view expected, std::string suggestion = {}) {
    if (diagnose_.failed()) return;
    const Token& t = peek();
    diagnose_.error(t.begin, t.end, fmt::format("unexpected token {} (expected {})", shown(t.text), expected),
                    std::move(suggestion));
  }
  void wrong(const Node* n, std::string message, std::string suggestion = {}) {
    if (!diagnose_.failed()) diagnose_.error(n->begin, n->end, std::move(message), std::move(suggestion));
  }

  /// A v1 habit gets the corrected text.
  void unexpected_rest() {
    std::string suggestion;
    if (is("and")) suggestion = "did you mean \"&&\"? \"and\" belongs to KFL v1";
    if (is("or")) suggestion = "did you mean \"||\"? \"or\" belongs to KFL v1";
    if (is("contains") || is("matches")) suggestion = fmt::format("write x.{}(\"...\")", peek().text);
    unexpected("an operator or the end of the filter", std::move(suggestion));
  }

  Node* make(Op op, uint32_t begin) {
    if (tree_.nodes.size() >= kMaxNodes && !diagnose_.failed())
      diagnose_.error(begin, peek().end, fmt::format("the filter has more than {} parts", kMaxNodes));
    return tree_.make(op, begin, last_end());
  }
  Node* node(Op op, std::vector<Node*> args, uint32_t begin, uint32_t end) {
    Node* n = make(op, begin);
    n->args = std::move(args);
    n->end = end;
    return n;
  }

  bool enter() {
    if (depth_ >= kMaxDepth || tree_.nodes.size() >= kMaxNodes) {
      if (!diagnose_.failed())
        diagnose_.error(peek().begin, peek().end,
                        depth_ >= kMaxDepth ? fmt::format("the filter is nested more than {} deep", kMaxDepth)
                                            : fmt::format("the filter has more than {} parts", kMaxNodes));
      return false;
    }
    ++depth_;
    return true;
  }
  Node* nothing() { return tree_.make(Op::kLiteral, peek().begin, peek().end); }

  // ---- operators ----
  Node* expression() {
    if (!enter()) return nothing();
    Node* n = conditional();
    --depth_;
    return n;
  }

  Node* conditional() {
    Node* condition = chain(Op::kOr);
    if (diagnose_.failed() || !accept("?")) return condition;
    Node* yes = chain(Op::kOr);
    if (!diagnose_.failed() && !accept(":")) unexpected("\":\"");
    if (diagnose_.failed()) return condition;
    Node* no = expression();
    return node(Op::kConditional, {condition, yes, no}, condition->begin, no->end);
  }

  /// Long chains of one logical operator become a balanced tree: their meaning does not depend on grouping.
  Node* chain(Op op) {
    std::vector<Node*> terms = {op == Op::kOr ? chain(Op::kAnd) : relation()};
    while (!diagnose_.failed() && accept(sign(op))) terms.push_back(op == Op::kOr ? chain(Op::kAnd) : relation());
    return balanced(op, terms, 0, terms.size());
  }
  Node* balanced(Op op, const std::vector<Node*>& terms, size_t from, size_t to) {
    if (to - from == 1) return terms[from];
    const size_t middle = to - from <= 16 ? to - 1 : (from + to) / 2;
    Node* left = balanced(op, terms, from, middle);
    Node* right = balanced(op, terms, middle, to);
    return node(op, {left, right}, left->begin, right->end);
  }

  Node* relation() {
    Node* left = sum();
    static constexpr Op kOps[] = {Op::kLessEqual, Op::kGreaterEqual, Op::kEqual, Op::kNotEqual,
                                  Op::kLess,      Op::kGreater,      Op::kIn};
    for (size_t count = 0; !diagnose_.failed();) {
      const auto op = std::find_if(std::begin(kOps), std::end(kOps), [&](Op o) { return is(sign(o)); });
      if (op == std::end(kOps)) return left;
      take();
      if (++count > kMaxDepth) return too_long(left);
      Node* right = sum();
      left = node(*op, {left, right}, left->begin, right->end);
    }
    return left;
  }
  Node* too_long(Node* n) {
    if (!diagnose_.failed())
      diagnose_.error(peek().begin, peek().end, fmt::format("more than {} operators in one chain", kMaxDepth));
    return n;
  }

  Node* sum() {
    Node* left = product();
    for (size_t count = 0; !diagnose_.failed() && (is("+") || is("-"));) {
      if (++count > 2000) return too_long(left);
      const Op op = take().text == "+" ? Op::kAdd : Op::kSubtract;
      Node* right = product();
      left = node(op, {left, right}, left->begin, right->end);
    }
    return left;
  }

  Node* product() {
    Node* left = unary();
    for (size_t count = 0; !diagnose_.failed() && (is("*") || is("/") || is("%"));) {
      if (++count > 2000) return too_long(left);
      const std::string_view t = take().text;
      Node* right = unary();
      left = node(t == "*"   ? Op::kMultiply
                  : t == "/" ? Op::kDivide
                             : Op::kModulo,
                  {left, right}, left->begin, right->end);
    }
    return left;
  }

  Node* unary() {
    if (is("!")) {
      const uint32_t begin = peek().begin;
      if (!enter()) return nothing();
      take();
      Node* inner = unary();
      --depth_;
      return node(Op::kNot, {inner}, begin, inner->end);
    }
    if (is("-")) {
      if (peek(1).kind == Kind_::kInt || peek(1).kind == Kind_::kDouble) return member();  // a negative number
      const uint32_t begin = peek().begin;
      if (!enter()) return nothing();
      take();
      Node* inner = unary();
      --depth_;
      return node(Op::kNegate, {inner}, begin, inner->end);
    }
    return member();
  }

  // ---- members ----
  Node* member() {
    Node* n = primary();
    for (size_t count = 0; !diagnose_.failed();) {
      if (++count > 2 * kMaxDepth) return too_long(n);
      if (accept(".")) {
        n = selection(n);
      } else if (accept("[")) {
        const bool optional = accept("?");
        Node* index = expression();
        if (!diagnose_.failed() && !accept("]")) unexpected("\"]\"");
        n = node(optional ? Op::kOptionalIndex : Op::kIndex, {n, index}, n->begin, last_end());
      } else if (is("{") && is_qualified(n)) {
        n = message(n);
      } else {
        return n;
      }
    }
    return n;
  }

  Node* selection(Node* operand) {
    const bool optional = accept("?");
    const Token& name = peek();
    if (name.kind != Kind_::kIdent && name.kind != Kind_::kQuotedIdent) {
      unexpected("a name after \".\"", is("*")   ? "\".*\" belongs to KFL v1; in v2 use list.exists(x, ...)"
                                       : is(".") ? "\"..name\" belongs to KFL v1"
                                                 : "");
      return operand;
    }
    take();
    if (name.kind == Kind_::kIdent && is_reserved_selector(name.text)) {
      diagnose_.error(name.begin, name.end, fmt::format("{} is a reserved word", shown(name.text)),
                      "write it as a key: [\"" + std::string(name.text) + "\"]");
      return operand;
    }
    if (!optional && name.kind == Kind_::kIdent && accept("(")) {
      std::vector<Node*> args;
      arguments(args, ")");
      return diagnose_.failed() ? operand : call(name, operand, std::move(args));
    }
    Node* n = node(optional ? Op::kOptionalField : Op::kField, {operand}, operand->begin, last_end());
    n->text = name.kind == Kind_::kQuotedIdent ? name.text.substr(1, name.text.size() - 2) : name.text;
    n->implied = name.kind == Kind_::kQuotedIdent;  // such a name is never part of a qualified one
    return n;
  }

  static bool is_reserved_selector(std::string_view s) {
    return s == "in" || s == "true" || s == "false" || s == "null";
  }

  static bool is_qualified(const Node* n) {
    while (n->op == Op::kField) n = n->args[0];
    return n->op == Op::kName;
  }

  void arguments(std::vector<Node*>& args, std::string_view close) {
    while (!diagnose_.failed() && !accept(close)) {
      if (!args.empty() && !accept(",")) return unexpected(fmt::format("\",\" or \"{}\"", close));
      if (args.size() >= 1000) return unexpected("no more than 1000 elements");
      args.push_back(expression());
    }
  }

  Node* primary() {
    const Token& t = peek();
    switch (t.kind) {
      case Kind_::kInt:
      case Kind_::kUint:
      case Kind_::kDouble: return number(false);
      case Kind_::kString:
      case Kind_::kBytes: return string();
      case Kind_::kIdent: return identifier(false);
      case Kind_::kSign:
        if (t.text == "-") return number(true);
        if (t.text == "(") return parenthesis();
        if (t.text == "[") return list();
        if (t.text == "{") return map();
        if (t.text == ".") return take(), identifier(true);
        break;
      default: break;
    }
    unexpected("a value, a variable or \"(\"");
    return nothing();
  }

  Node* parenthesis() {
    const uint32_t begin = take().begin;
    Node* inner = expression();
    if (!diagnose_.failed() && !accept(")")) {
      if (peek().kind == Kind_::kEnd)
        unexpected("\")\" for the \"(\" at " + std::to_string(begin + 1));
      else
        unexpected_rest();
    }
    return inner;
  }

  Node* literal(uint32_t begin, Datum value) {
    Node* n = make(Op::kLiteral, begin);
    n->value = value;
    return n;
  }

  Node* number(bool negative) {
    const uint32_t begin = peek().begin;
    if (negative) take();
    const Token& t = take();
    std::string_view digits = t.text;
    const bool hex = digits.size() > 2 && (digits[1] | 0x20) == 'x';
    if (t.kind == Kind_::kUint) digits.remove_suffix(1);
    if (hex) digits.remove_prefix(2);
    const char* end = digits.data() + digits.size();
    if (t.kind == Kind_::kDouble) {
      double d = 0;
      std::from_chars(digits.data(), end, d);
      return literal(begin, Datum::of(negative ? -d : d));
    }
    uint64_t u = 0;
    const auto [stop, status] = std::from_chars(digits.data(), end, u, hex ? 16 : 10);
    const uint64_t most = t.kind == Kind_::kUint ? UINT64_MAX : uint64_t{INT64_MAX} + (negative ? 1 : 0);
    if (status != std::errc() || stop != end || u > most) {
      if (!diagnose_.failed())
        diagnose_.error(begin, t.end, fmt::format("{} does not fit into 64 bits", shown(t.text)));
      return nothing();
    }
    if (t.kind == Kind_::kUint) return literal(begin, Datum::of(u));
    return literal(begin, Datum::of(static_cast<int64_t>(negative ? 0 - u : u)));
  }

  Node* string() {
    const Token& t = take();
    std::string out, why;
    if (!unescape_cel(t.text, t.kind == Kind_::kBytes, out, why) && !diagnose_.failed())
      diagnose_.error(t.begin, t.end, fmt::format("{}", why), "in r\"...\" a backslash is a backslash");
    return literal(t.begin,
                   Datum::text(tree_.keep(std::move(out)), t.kind == Kind_::kBytes ? Kind::kBytes : Kind::kString));
  }

  Node* identifier(bool rooted) {
    const Token& t = peek();
    if (t.kind != Kind_::kIdent) {
      unexpected("a name");
      return nothing();
    }
    take();
    if (!rooted) {
      if (t.text == "true" || t.text == "false") return literal(t.begin, Datum::of(t.text == "true"));
      if (t.text == "null") return literal(t.begin, Datum());
    }
    static constexpr std::string_view kReserved[] = {"as",       "break",     "const",  "continue", "else", "for",
                                                     "function", "if",        "import", "in",       "let",  "loop",
                                                     "package",  "namespace", "return", "var",      "void", "while"};
    if (std::find(std::begin(kReserved), std::end(kReserved), t.text) != std::end(kReserved)) {
      diagnose_.error(t.begin, t.end, fmt::format("{} is a reserved word", shown(t.text)));
      return nothing();
    }
    if (accept("(")) {
      std::vector<Node*> args;
      arguments(args, ")");
      if (diagnose_.failed()) return nothing();
      Node* n = call(t, nullptr, std::move(args));
      if (rooted) n->text.insert(0, ".");
      return n;
    }
    Node* n = make(Op::kName, t.begin);
    n->text = (rooted ? "." : "") + std::string(t.text);
    return n;
  }

  Node* list() {
    Node* n = make(Op::kList, take().begin);
    while (!diagnose_.failed() && !accept("]")) {
      if (!n->args.empty()) {
        if (!accept(",")) {
          unexpected("\",\" or \"]\"");
          break;
        }
        if (accept("]")) break;
      }
      n->optional_flags.push_back(accept("?"));
      n->args.push_back(expression());
    }
    n->end = last_end();
    return n;
  }

  Node* map() {
    Node* n = make(Op::kMap, take().begin);
    while (!diagnose_.failed() && !accept("}")) {
      if (!n->args.empty()) {
        if (!accept(",")) {
          unexpected("\",\" or \"}\"");
          break;
        }
        if (accept("}")) break;
      }
      n->optional_flags.push_back(accept("?"));
      Node* key = expression();
      if (!diagnose_.failed() && !accept(":")) unexpected("\":\"");
      if (diagnose_.failed()) break;
      n->args.push_back(key);
      n->args.push_back(expression());
    }
    n->end = last_end();
    return n;
  }

  Node* message(Node* type) {
    take();
    Node* n = make(Op::kMessage, type->begin);
    n->args.push_back(type);
    while (!diagnose_.failed() && !accept("}")) {
      if (n->args.size() > 1 && !accept(",")) return unexpected("\",\" or \"}\""), n;
      if (accept("}")) break;
      accept("?");
      if (peek().kind != Kind_::kIdent && peek().kind != Kind_::kQuotedIdent) return unexpected("a field"), n;
      take();
      if (!accept(":")) return unexpected("\":\""), n;
      n->args.push_back(expression());
    }
    n->end = last_end();
    return n;
  }

  // ---- calls and macros ----
  Node* call(const Token& name, Node* subject, std::vector<Node*> args) {
    if (macros_) {
      if (Node* n = macro(name, subject, args)) return n;
      if (diagnose_.failed()) return nothing();
    }
    Node* n = make(Op::kCall, subject != nullptr ? subject->begin : name.begin);
    n->text = name.text;
    n->has_subject = subject != nullptr;
    if (subject != nullptr) n->args.push_back(subject);
    n->args.insert(n->args.end(), args.begin(), args.end());
    n->slot = name.begin;  // where the name stands, for messages
    return n;
  }

  struct Form {
    std::string_view name;
    Op op;
    size_t variables, least, most;  // arguments behind the variables
  };

  Node* macro(const Token& name, Node* subject, std::vector<Node*>& args) {
    if (subject == nullptr) return name.text == "has" && args.size() == 1 ? has(name, args[0]) : nullptr;
    if (subject->op == Op::kName && subject->text == "cel") return cel_macro(name, subject, args);
    if ((name.text == "optMap" || name.text == "optFlatMap") && args.size() == 2) {
      Node* n = bind(subject, args[0], subject, args[1]);
      if (n != nullptr) n->optional = true, n->flat = name.text == "optFlatMap", n->text = name.text;
      return n;
    }
    static constexpr Form kForms[] = {
        {"all", Op::kAll, 1, 1, 1},
        {"all", Op::kAll, 2, 1, 1},
        {"exists", Op::kExists, 1, 1, 1},
        {"exists", Op::kExists, 2, 1, 1},
        {"exists_one", Op::kExistsOne, 1, 1, 1},
        {"existsOne", Op::kExistsOne, 1, 1, 1},
        {"exists_one", Op::kExistsOne, 2, 1, 1},
        {"existsOne", Op::kExistsOne, 2, 1, 1},
        {"map", Op::kMapMacro, 1, 1, 2},
        {"filter", Op::kFilter, 1, 1, 1},
        {"transformList", Op::kTransformList, 2, 1, 2},
        {"transformMap", Op::kTransformMap, 2, 1, 2},
        {"transformMapEntry", Op::kTransformMapEntry, 2, 1, 2},
    };
    for (const Form& f : kForms) {
      if (f.name != name.text || args.size() < f.variables + f.least || args.size() > f.variables + f.most) continue;
      return comprehension(f, name, subject, args);
    }
    return nullptr;
  }

  Node* comprehension(const Form& f, const Token& name, Node* subject, std::vector<Node*>& args) {
    Node* n = make(f.op, subject->begin);
    n->variables = static_cast<uint8_t>(f.variables);
    n->args.push_back(subject);
    std::string* names[] = {&n->form, &n->second};
    for (size_t i = 0; i < f.variables; ++i) {
      const std::string variable = variable_name(args[i]);
      if (variable.empty()) {
        wrong(args[i], fmt::format("{}() takes a new name here", name.text),
              fmt::format("for example: .{}(x, ...)", name.text));
        return n;
      }
      *names[i] = variable;
    }
    if (f.variables == 2 && n->form == n->second) wrong(args[1], "the two variables have the same name");
    n->args.insert(n->args.end(), args.begin() + static_cast<ptrdiff_t>(f.variables), args.end());
    n->text = name.text;
    n->end = last_end();
    return n;
  }

  static std::string variable_name(const Node* n) {
    if (n->op == Op::kName && n->text[0] != '.') return n->text;
    return {};
  }

  Node* has(const Token& name, Node* arg) {
    if (arg->op != Op::kField && arg->op != Op::kOptionalField) {
      wrong(arg, "has() takes a field: has(a.b)");
      return nothing();
    }
    Node* n = node(Op::kHas, arg->args, name.begin, last_end());
    n->text = arg->text;
    n->optional = arg->op == Op::kOptionalField;
    return n;
  }

  /// A name bound to a value within a body.
  Node* bind(Node* at, const Node* variable, Node* value, Node* body) {
    const std::string name = variable_name(variable);
    if (name.empty()) {
      wrong(variable, "a new name is expected here");
      return nullptr;
    }
    Node* n = node(Op::kBind, {value, body}, at->begin, last_end());
    n->form = name;
    n->variables = 1;
    return n;
  }

  Node* cel_macro(const Token& name, Node* subject, std::vector<Node*>& args) {
    if (name.text == "bind" && args.size() == 3) {
      Node* n = bind(subject, args[0], args[1], args[2]);
      return n != nullptr ? n : nothing();
    }
    const auto number = [](const Node* n) {
      return n->op == Op::kLiteral && n->value.is(Kind::kInt) && n->value.integer >= 0;
    };
    if (name.text == "block" && args.size() == 2 && args[0]->op == Op::kList) {
      Node* n = node(Op::kBlock, args[0]->args, subject->begin, last_end());
      n->args.push_back(args[1]);
      return n;
    }
    if (name.text == "index" && args.size() == 1 && number(args[0]))
      return placeholder(subject, fmt::format("@index{}", args[0]->value.integer));
    if ((name.text == "iterVar" || name.text == "accuVar") && args.size() == 2 && number(args[0]) && number(args[1]))
      return placeholder(subject, fmt::format("@{}:{}:{}", name.text, args[0]->value.integer, args[1]->value.integer));
    return nullptr;
  }

  Node* placeholder(const Node* at, std::string name) {
    Node* n = make(Op::kName, at->begin);
    n->text = std::move(name);
    return n;
  }

  Tree& tree_;
  Diagnoser& diagnose_;
  std::vector<Token> tokens_;
  bool macros_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

bool parse_cel(std::string_view text, Tree& tree, Diagnoser& diagnose, bool macros) {
  return ParserCel(text, tree, diagnose, macros).run();
}

}  // namespace baleen::kfl
