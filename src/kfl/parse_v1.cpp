#include "kfl/parse_v1.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/suggest.h"
#include "kfl/functions_v1.h"
#include "kfl/lex_v1.h"
#include "kfl/limits.h"
#include "kfl/redact.h"
#include "kfl/values_v1.h"

// Grammar (reference row K1-05), every level right-recursive, so that `a and b or c` is `a and (b or c)`:
//
//   Logical    = Equality [("and" | "or") Logical]
//   Equality   = Comparison [("==" | "!=") Equality]
//   Comparison = Unary [(">=" | ">" | "<=" | "<") Comparison]
//   Unary      = ("!" | "-") Unary | Primary
//   Primary    = number | string | "r" string | "true" | "false" | "nil" | Chain | "(" Logical ")"
//   Chain      = name { "." name | "." "*" | "." "." name | "[" int "]" | "[" string | "*" "]" | "(" [params] ")" }
//
// The reference's parser swallows the rest of the filter into a chain that goes on after brackets or a call, so that
// `a["k"].x == 1 and b` reads b inside a["k"]. No filter can have meant that: here a chain ends where it ends.

namespace baleen::kfl {
namespace {

using Token = TokenV1;

class ParserV1 {
 public:
  ParserV1(std::string_view text, Timestamp now, Tree& tree, Diagnoser& diagnose)
      : text_(text), now_(now), tree_(tree), diagnose_(diagnose), tokens_(lex_v1(text, diagnose)) {}

  bool run() {
    if (diagnose_.failed()) return false;
    if (peek().kind == Token::Kind::kEnd) return true;  // K1-01
    tree_.root = logical();
    if (!diagnose_.failed() && peek().kind != Token::Kind::kEnd) unexpected_rest();
    if (!diagnose_.failed()) warn_mixed(tree_.root);
    return !diagnose_.failed();
  }

 private:
  // ---- tokens ----
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& take() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }
  bool is(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind != Token::Kind::kString && peek(ahead).text == text;
  }
  bool is_kind(Token::Kind kind, size_t ahead = 0) const { return peek(ahead).kind == kind; }
  bool accept(std::string_view text) { return is(text) && (take(), true); }
  uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[std::min(at_, tokens_.size()) - 1].end; }

  void unexpected(std::string_view expected, std::string suggestion = {}) {
    if (diagnose_.failed()) return;  // what follows a mistake is guesswork
    const Token& t = peek();
    diagnose_.error(t.begin, t.end, fmt::format("unexpected token {} (expected {})", shown(t.text), expected),
                    std::move(suggestion));
  }

  /// A v2 habit gets the corrected text.
  void unexpected_rest() {
    const Token& t = peek();
    std::string suggestion;
    if (is("&") && is("&", 1)) suggestion = "did you mean \"and\"? \"&&\" belongs to KFL v2";
    if (is("|") && is("|", 1)) suggestion = "did you mean \"or\"? \"||\" belongs to KFL v2";
    if (is("in")) suggestion = "\"x in list\" belongs to KFL v2; in v1 write list == x";
    if (is("=") && !is("=", 1)) suggestion = "did you mean \"==\"?";
    if (is("+") || is("-") || is("*") || is("/") || is("%")) suggestion = "KFL v1 has no arithmetic; KFL v2 has";
    if (is("?")) suggestion = "\"c ? a : b\" belongs to KFL v2";
    if (is("AND") || is("And")) suggestion = "did you mean \"and\"?";
    if (is("OR") || is("Or")) suggestion = "did you mean \"or\"?";
    (void)t;
    unexpected("\"and\", \"or\", a comparison or the end of the filter", std::move(suggestion));
  }

  // ---- nodes ----
  Node* make(Op op, uint32_t begin) {
    if (tree_.nodes.size() >= kMaxNodes) {
      if (!diagnose_.failed())
        diagnose_.error(begin, peek().end, fmt::format("the filter has more than {} parts", kMaxNodes));
    }
    return tree_.make(op, begin, last_end());
  }

  Node* binary(Op op, Node* left, Node* right) {
    Node* n = make(op, left->begin);
    n->args = {left, right};
    n->end = right->end;
    return n;
  }

  class Depth {
   public:
    explicit Depth(ParserV1& p) : p_(p) {
      if (++p_.depth_ > kMaxDepth && !p_.diagnose_.failed())
        p_.diagnose_.error(p_.peek().begin, p_.peek().end,
                           fmt::format("the filter is nested more than {} deep", kMaxDepth));
    }
    ~Depth() { --p_.depth_; }
    bool too_deep() const { return p_.depth_ > kMaxDepth || p_.tree_.nodes.size() >= kMaxNodes; }

   private:
    ParserV1& p_;
  };
  Node* nothing() { return tree_.make(Op::kLiteral, peek().begin, peek().end); }

  // Chains of and/or and of comparisons are right-recursive in meaning, but are parsed in a loop: their length is
  // bounded by the number of nodes, not by the stack.
  Node* logical() {
    std::vector<std::pair<Node*, Op>> left;
    Node* last = equality();
    while (!diagnose_.failed() && (is("and") || is("or"))) {
      if (left.size() >= 2000) {
        diagnose_.error(peek().begin, peek().end, "more than 2000 conditions in one chain");
        break;
      }
      left.emplace_back(last, take().text == "and" ? Op::kAnd : Op::kOr);
      last = equality();
    }
    for (; !left.empty(); left.pop_back()) last = binary(left.back().second, left.back().first, last);
    return last;
  }

  Node* equality() {
    Depth depth(*this);
    if (depth.too_deep()) return nothing();
    Node* left = comparison();
    if (diagnose_.failed()) return left;
    if (is("=") && is("=", 1) && is("=", 2)) {
      unexpected("\"==\"", "did you mean \"==\"?");
      return left;
    }
    if ((is("=") || is("!")) && is("=", 1)) {
      const Op op = take().text == "=" ? Op::kEqual : Op::kNotEqual;
      take();
      if (is("=")) {
        unexpected("an operand", "did you mean \"==\"? KFL has no \"===\"");
        return left;
      }
      Node* n = binary(op, left, equality());
      warn_equality(*n);
      return n;
    }
    return left;
  }

  Node* comparison() {
    Node* left = unary();
    if (diagnose_.failed() || !(is(">") || is("<"))) return left;
    const bool greater = take().text == ">";
    const bool equal = accept("=");
    const Op op = greater ? (equal ? Op::kGreaterEqual : Op::kGreater) : equal ? Op::kLessEqual : Op::kLess;
    Depth depth(*this);
    if (depth.too_deep()) return left;
    return binary(op, left, comparison());
  }

  Node* unary() {
    if (!is("!") && !is("-")) return primary();
    Depth depth(*this);
    if (depth.too_deep()) return nothing();
    const Token& t = take();
    const bool negation = t.text == "!";
    Node* inner = unary();
    Node* n = make(negation ? Op::kNot : Op::kNegate, t.begin);
    n->args = {inner};
    n->end = inner->end;
    if (negation && inner->op == Op::kSelect && (is("=") || is("!")) && is("=", 1))
      diagnose_.warning(n->begin, n->end, "\"!\" binds tighter than the comparison and changes only true and false",
                        "to negate the comparison, put it in parentheses");
    return n;
  }

  Node* primary() {
    const Token& t = peek();
    switch (t.kind) {
      case Token::Kind::kInt:
      case Token::Kind::kFloat: return number();
      case Token::Kind::kString: return string();
      case Token::Kind::kIdent:
        if (t.text == "r" && is_kind(Token::Kind::kString, 1)) return regex();
        if (t.text == "true" || t.text == "false") {
          take();
          return literal(t, Datum::of(t.text == "true"));
        }
        if (t.text == "nil") {
          take();
          return literal(t, Datum());
        }
        if (t.text == "and" || t.text == "or") break;
        return chain();
      case Token::Kind::kSign:
        if (t.text == "(") return group();
        break;
      case Token::Kind::kEnd: break;
    }
    std::string suggestion;
    if (t.text == "*") suggestion = "a selector begins with a name";
    if (t.text == ".") suggestion = "a selector begins with a name; \"..name\" works after one, and inside redact()";
    unexpected("a field, a value or \"(\"", std::move(suggestion));
    return nothing();
  }

  Node* group() {
    Depth depth(*this);
    const uint32_t begin = take().begin;
    if (depth.too_deep()) return nothing();
    Node* inner = logical();
    if (!diagnose_.failed() && !accept(")")) {
      if (is_kind(Token::Kind::kEnd)) {
        unexpected("\")\" for the \"(\" at " + std::to_string(begin + 1));
      } else {
        unexpected_rest();
      }
    }
    Node* n = make(Op::kGroup, begin);
    n->args = {inner};
    return n;
  }

  Node* literal(const Token& t, Datum value) {
    Node* n = make(Op::kLiteral, t.begin);
    n->text = t.text;
    n->value = value;
    char room[40];
    Arena arena;
    n->form = text_form(value, room, arena);
    n->number = number_form(value);
    return n;
  }

  Node* number() {
    const Token& t = take();
    std::string digits;
    for (const char c : t.text)
      if (c != '_') digits += c;
    double value = 0;
    bool good;
    if (digits.size() > 2 && digits[0] == '0' && std::isalpha(static_cast<unsigned char>(digits[1])) &&
        (digits[1] | 0x20) != 'e') {
      const int base = (digits[1] | 0x20) == 'x' ? 16 : (digits[1] | 0x20) == 'b' ? 2 : 8;
      uint64_t n = 0;
      const auto [end, status] = std::from_chars(digits.data() + 2, digits.data() + digits.size(), n, base);
      good = status == std::errc() && end == digits.data() + digits.size();
      value = static_cast<double>(n);
    } else {
      const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      good = status == std::errc() && end == digits.data() + digits.size();
    }
    if (!good && !diagnose_.failed())
      diagnose_.error(t.begin, t.end, fmt::format("{} is not a number that fits into 64 bits", shown(t.text)));
    return literal(t, Datum::of(value));
  }

  /// K1-03: escapes stay as they are written, and every quote at either end goes.
  std::string_view content(const Token& t) {
    std::string_view s = t.text;
    if (s[0] != '"') return s.substr(1, s.size() - 2);
    while (s.starts_with('"')) s.remove_prefix(1);
    while (s.ends_with('"')) s.remove_suffix(1);
    return s;
  }

  Node* string() {
    const Token& t = take();
    return literal(t, Datum::text(tree_.keep(std::string(content(t)))));
  }

  Node* regex() {
    const uint32_t begin = take().begin;
    const Token& t = take();
    Node* n = make(Op::kRegex, begin);
    n->text = t.text;
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxRegexMemory);
    const std::string_view pattern = content(t);
    auto compiled = std::make_shared<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
    if (!compiled->ok() && !diagnose_.failed()) {
      const std::string& part = compiled->error_arg();
      size_t at = part.empty() ? std::string_view::npos : t.text.find(part);
      const size_t from = at == std::string_view::npos ? t.begin : t.begin + at;
      diagnose_.error(from, at == std::string_view::npos ? t.end : from + part.size(),
                      fmt::format("the regular expression is wrong: {}", compiled->error()));
    }
    n->value = Datum::of(compiled.get());
    n->regex = std::move(compiled);
    return n;
  }

  // ---- chains ----
  Node* chain() {
    const Token& first = peek();
    const uint32_t begin = first.begin;
    Node* subject = nullptr;  // what the steps start from; null: the record
    std::vector<Step> steps;
    bool after_name = false;
    for (bool start = true; !diagnose_.failed(); start = false) {
      if (!start && !continues()) break;
      if (start) {
        step_name(subject, steps, begin, false);
      } else if (accept("[")) {
        bracket(steps);
      } else {
        take();  // "."
        if (accept(".")) {
          if (!is_kind(Token::Kind::kIdent)) {
            unexpected("a name after \"..\"");
          } else {
            steps.push_back({Step::Kind::kDescend, std::string(take().text)});
          }
        } else if (accept("*")) {
          steps.push_back({Step::Kind::kAny});
        } else if (is_kind(Token::Kind::kIdent)) {
          step_name(subject, steps, begin, true);
        } else {
          unexpected("a name, \"*\" or a helper after \".\"");
        }
      }
      (void)after_name;
    }
    return finish(subject, std::move(steps), begin);
  }

  bool continues() const { return is(".") || is("["); }

  void bracket(std::vector<Step>& steps) {
    if (is_kind(Token::Kind::kInt)) {
      const Token& t = take();
      Step step{Step::Kind::kIndex};
      const auto [end, status] = std::from_chars(t.text.data(), t.text.data() + t.text.size(), step.index);
      if (status != std::errc() || end != t.text.data() + t.text.size())
        diagnose_.error(t.begin, t.end, fmt::format("{} is not an index", shown(t.text)));
      steps.push_back(step);
    } else if (is_kind(Token::Kind::kString)) {
      const std::string_view key = content(take());
      steps.push_back({key == "*" ? Step::Kind::kAny : Step::Kind::kName, key == "*" ? "" : std::string(key), 0, true});
    } else if (accept("*")) {
      steps.push_back({Step::Kind::kAny, "", 0, true});
    } else {
      unexpected("an index (a number), a key (a string) or \"*\"");
      return;
    }
    if (!accept("]")) unexpected("\"]\"");
  }

  /// A name: a step, or a helper when "(" follows.
  void step_name(Node*& subject, std::vector<Step>& steps, uint32_t begin, bool dotted) {
    const Token& name = take();
    if (!is("(")) {
      steps.push_back({Step::Kind::kName, std::string(name.text)});
      return;
    }
    const Helper helper = helper_named(name.text);
    const bool empty = is(")", 1);
    if (empty && (helper == Helper::kJson || helper == Helper::kXml) && (dotted || !steps.empty())) {
      take(), take();
      if (!continues()) return empty_call(subject, steps, name, begin);
      if (is(".") && is_kind(Token::Kind::kIdent, 1) && is("(", 2)) return empty_call(subject, steps, name, begin);
      subject = call(helper, finish(subject, std::exchange(steps, {}), begin), name, {}, begin);
      return;
    }
    if (empty) {
      take(), take();
      if (is_time_helper(name.text)) {
        Node* arg = nullptr;
        subject = time(name, arg, begin, subject, steps);
        return;
      }
      return empty_call(subject, steps, name, begin);
    }
    take();  // "("
    std::vector<Node*> params;
    parameters(params);
    if (diagnose_.failed()) return;
    if (is_time_helper(name.text)) {
      subject = time(name, params.empty() ? nullptr : params[0], begin, subject, steps);
      return;
    }
    Node* from = subject != nullptr || !steps.empty() ? finish(subject, std::exchange(steps, {}), begin) : nullptr;
    subject = call(helper, from, name, std::move(params), begin);
  }

  void parameters(std::vector<Node*>& params) {
    Depth depth(*this);
    if (depth.too_deep()) return;
    do {
      if (is_kind(Token::Kind::kIdent) && is(":", 1)) take(), take();  // tag
      Node* param = logical();
      if (param->op != Op::kLiteral && param->op != Op::kGroup) {  // a border for missing paths, as parentheses are
        Node* n = tree_.make(Op::kGroup, param->begin, param->end);
        n->implied = true;
        n->args = {param};
        param = n;
      }
      params.push_back(param);
    } while (!diagnose_.failed() && accept(","));
    if (!diagnose_.failed() && !accept(")")) unexpected("\",\" or \")\"");
  }

  /// K1-34: a call without arguments is a selector of that name, and so nothing.
  void empty_call(Node* subject, std::vector<Step>& steps, const Token& name, uint32_t begin) {
    steps.push_back({Step::Kind::kName, std::string(name.text), 0, false, true});
    (void)subject;
    diagnose_.warning(begin, last_end(),
                      fmt::format("{}() without {} is never true", name.text,
                                  name.text == "json" || name.text == "xml" ? "a path behind it" : "an argument"));
  }

  Node* call(Helper helper, Node* subject, const Token& name, std::vector<Node*> params, uint32_t begin) {
    Node* n = make(Op::kCall, begin);
    n->helper = helper;
    n->text = name.text;
    n->has_subject = subject != nullptr;
    if (subject != nullptr) n->args.push_back(subject);
    n->args.insert(n->args.end(), params.begin(), params.end());
    check_call(*n, name, params);
    return n;
  }

  void check_call(Node& n, const Token& name, const std::vector<Node*>& params) {
    if (n.helper == Helper::kUnknown) {
      std::vector<std::string_view> names = helper_names();
      const std::string_view near = suggest(name.text, names);
      diagnose_.warning(name.begin, name.end,
                        fmt::format("there is no helper {}; the condition is never true", shown(name.text)),
                        near.empty() ? "" : fmt::format("did you mean \"{}\"?", near));
    }
    if (n.helper == Helper::kRedact) {
      for (Node* param : params) {
        std::string why;
        auto redaction = param->op == Op::kLiteral ? parse_redaction(param->form, why) : nullptr;
        if (redaction == nullptr)
          diagnose_.warning(param->begin, param->end,
                            why.empty() ? "redact() takes paths as strings; this one hides nothing"
                                        : fmt::format("the path hides nothing: {}", why));
        else
          n.redactions.push_back(std::move(redaction));
      }
    }
  }

  Node* time(const Token& name, Node* param, uint32_t begin, Node* subject, std::vector<Step>& steps) {
    Node* n = make(Op::kTime, begin);
    for (const Step& s : steps) n->text += s.name + ".";  // K1-49: a.b.now is now
    (void)subject;
    n->text += name.text;
    steps.clear();
    n->empty_call = param == nullptr;
    if (param != nullptr) n->args.push_back(param);
    const double amount = param == nullptr ? 0 : constant_number(param);
    const double seconds = std::trunc(amount) * unit_seconds(name.text);
    const double ms = static_cast<double>(to_ms(now_)) + seconds * 1000;
    n->value = Datum::of(static_cast<int64_t>(std::clamp(ms, -9e15, 9e15)));
    return n;
  }

  /// What a parameter is worth before there is a record (K1-46): everything but numbers and their negation is 0 or 1.
  static double constant_number(const Node* n) {
    switch (n->op) {
      case Op::kLiteral: return n->number;
      case Op::kGroup: return constant_number(n->args[0]);
      case Op::kNegate:
        return n->args[0]->op == Op::kLiteral && !n->args[0]->value.is(Kind::kDouble) ? constant_number(n->args[0])
                                                                                      : -constant_number(n->args[0]);
      default: return 0;
    }
  }

  Node* finish(Node* subject, std::vector<Step> steps, uint32_t begin) {
    if (subject != nullptr) {
      subject->end = last_end();
      if (steps.empty()) return subject;
      if (subject->op == Op::kCall && (subject->helper == Helper::kJson || subject->helper == Helper::kXml) &&
          subject->path.steps.empty()) {
        subject->path = Path(std::move(steps));
        return subject;
      }
      if (!diagnose_.failed())
        diagnose_.error(begin, last_end(), fmt::format("{}() gives no object to select from", subject->text),
                        "only json() and xml() can be followed by a path");
      return subject;
    }
    const bool is_now = !steps.empty() && steps.back().kind == Step::Kind::kName && !steps.back().quoted &&
                        !steps.back().called && steps.back().name == "now";
    if (is_now) {
      Node* n = make(Op::kTime, begin);
      n->text = Path(std::move(steps)).text();
      n->value = Datum::of(to_ms(now_));
      return n;
    }
    Node* n = make(Op::kSelect, begin);
    n->path = Path(std::move(steps));
    n->text = n->path.text();
    return n;
  }

  // ---- what would surprise ----
  void warn_equality(const Node& n) {
    for (size_t i = 0; i < 2; ++i) {
      const Node *literal = n.args[i], *other = n.args[1 - i];
      if (literal->op == Op::kNegate) literal = literal->args[0];
      if (literal->op != Op::kLiteral || !literal->value.is(Kind::kDouble) || other->op == Op::kLiteral) continue;
      if (std::abs(literal->number) >= 1e6 || literal->form != plain(literal->number))
        diagnose_.warning(n.begin, n.end,
                          fmt::format("KFL v1 compares with == as text of six digits: {} is read as {}", literal->text,
                                      literal->form),
                          fmt::format("write {} as a string, or use >= and <=", literal->text));
    }
  }
  static std::string plain(double d) {
    char room[40];
    return std::string(room, std::to_chars(room, room + sizeof room, d).ptr);
  }

  void warn_mixed(const Node* n) {
    if (n == nullptr) return;
    if ((n->op == Op::kAnd || n->op == Op::kOr)) {
      const Node* right = n->args[1];
      const Op other = n->op == Op::kAnd ? Op::kOr : Op::kAnd;
      bool mixed = false;
      for (const Node* r = right; r->op == Op::kAnd || r->op == Op::kOr; r = r->args[1]) mixed |= r->op == other;
      if (mixed)
        diagnose_.warning(n->begin, n->end, "\"and\" and \"or\" have the same rank and group to the right",
                          "it is read as: " + grouped(n));
      if (mixed) {
        for (const Node* r = n; r->op == Op::kAnd || r->op == Op::kOr; r = r->args[1]) {
          warn_mixed(r->args[0]);
          right = r->args[1];
        }
        return warn_mixed(right);
      }
    }
    for (const Node* arg : n->args) warn_mixed(arg);
  }

  static std::string grouped(const Node* n) {
    if (n->op != Op::kAnd && n->op != Op::kOr) return print_v1(n);
    const Node* right = n->args[1];
    const bool changes = (right->op == Op::kAnd || right->op == Op::kOr) && right->op != n->op;
    return print_v1(n->args[0]) + (n->op == Op::kAnd ? " and " : " or ") +
           (changes ? "(" + grouped(right) + ")" : grouped(right));
  }

  std::string_view text_;
  Timestamp now_;
  Tree& tree_;
  Diagnoser& diagnose_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

bool parse_v1(std::string_view text, Timestamp now, Tree& tree, Diagnoser& diagnose) {
  return ParserV1(text, now, tree, diagnose).run();
}

}  // namespace baleen::kfl
