#include "dissect/graphql/document.h"

#include <utility>

namespace baleen::dissect::graphql {
namespace {

constexpr int kMaxDepth = 128;

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

enum class Kind : unsigned char { kEnd, kBad, kPunctuator, kSpread, kName, kNumber, kString };
struct Token {
  Kind kind = Kind::kEnd;
  std::string_view text;
  bool is(char c) const { return kind == Kind::kPunctuator && text[0] == c; }
  bool is_word(std::string_view word) const { return kind == Kind::kName && text == word; }
};

/// Section 2.1. One token ahead.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    next();
  }
  const Token& token() const { return token_; }
  size_t begin() const { return begin_; }
  void next() {
    skip_ignored();
    begin_ = at_;
    token_ = lex();
    at_ = begin_ + token_.text.size();
  }

 private:
  void skip_ignored() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n' && text_[at_ + 1] != '\r') ++at_;
      } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',') {
        return;
      }
    }
  }
  Token lex() const {
    if (at_ >= text_.size()) return {};
    const char c = text_[at_];
    if (is_name_start(c)) return name();
    if (is_digit(c) || c == '-') return number();
    if (c == '"') return string();
    if (c == '.') return text_.substr(at_, 3) == "..." ? token(Kind::kSpread, 3) : token(Kind::kBad, 0);
    return std::string_view("!$&():=@[]{|}").find(c) != std::string_view::npos ? token(Kind::kPunctuator, 1)
                                                                               : token(Kind::kBad, 0);
  }
  Token token(Kind kind, size_t size) const { return {kind, text_.substr(at_, size)}; }
  Token name() const {
    size_t end = at_ + 1;
    while (end < text_.size() && (is_name_start(text_[end]) || is_digit(text_[end]))) ++end;
    return token(Kind::kName, end - at_);
  }
  Token number() const {  // sections 2.9.1 and 2.9.2
    size_t end = at_;
    const auto digits = [&] {
      const size_t first = end;
      while (end < text_.size() && is_digit(text_[end])) ++end;
      return end > first;
    };
    if (text_[end] == '-') ++end;
    const bool zero = end < text_.size() && text_[end] == '0';
    const size_t whole = end;
    if (!digits() || (zero && end > whole + 1)) return token(Kind::kBad, 0);
    if (end < text_.size() && text_[end] == '.') {
      ++end;
      if (!digits()) return token(Kind::kBad, 0);
    }
    if (end < text_.size() && (text_[end] | 0x20) == 'e') {
      ++end;
      if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
      if (!digits()) return token(Kind::kBad, 0);
    }
    const bool goes_on = end < text_.size() && (is_name_start(text_[end]) || text_[end] == '.');
    return goes_on ? token(Kind::kBad, 0) : token(Kind::kNumber, end - at_);
  }
  Token string() const {  // section 2.9.4
    if (text_.substr(at_, 3) == "\"\"\"") {
      for (size_t end = at_ + 3; end < text_.size(); ++end) {
        if (text_.substr(end, 4) == "\\\"\"\"") {
          end += 3;
        } else if (text_.substr(end, 3) == "\"\"\"") {
          return token(Kind::kString, end + 3 - at_);
        }
      }
      return token(Kind::kBad, 0);
    }
    for (size_t end = at_ + 1; end < text_.size(); ++end) {
      if (text_[end] == '"') return token(Kind::kString, end + 1 - at_);
      if (text_[end] == '\n' || text_[end] == '\r') break;
      if (text_[end] == '\\') ++end;
    }
    return token(Kind::kBad, 0);
  }

  std::string_view text_;
  size_t at_ = 0, begin_ = 0;
  Token token_;
};

/// Sections 2.2 to 2.12. Each function takes what it is named after off the front, and says whether it was there.
class Parser {
 public:
  Parser(std::string_view text, std::string_view wanted) : lexer_(text), wanted_(wanted) {}

  Document document() {
    bool good = true;
    while (good && lexer_.token().kind != Kind::kEnd) good = definition();
    out_.ok = good && out_.operations > 0;
    if (!out_.ok) out_.error_at = lexer_.begin();
    return out_;
  }

 private:
  const Token& token() const { return lexer_.token(); }
  bool punctuator(char c) {
    if (!token().is(c)) return false;
    lexer_.next();
    return true;
  }
  bool name(std::string_view* out = nullptr) {
    if (token().kind != Kind::kName) return false;
    if (out != nullptr) *out = token().text;
    lexer_.next();
    return true;
  }

  bool definition() {
    if (token().is('{')) return operation("query");
    const std::string_view word = token().text;
    if (!name()) return false;
    if (word == "query" || word == "mutation" || word == "subscription") return operation(word);
    if (word != "fragment" || token().is_word("on")) return false;
    if (!name() || !token().is_word("on")) return false;
    lexer_.next();
    return name() && directives() && selection_set(nullptr);
  }

  bool operation(std::string_view type) {
    Document one;  // only the fields of it
    one.type = type;
    if (!token().is('{')) {
      name(&one.name);
      if (!variable_definitions() || !directives()) return false;
    }
    if (!selection_set(&one)) return false;
    const bool wanted = wanted_.empty() ? out_.operations == 0 : one.name == wanted_ && !out_.found;
    if (wanted || out_.operations == 0) {
      one.operations = out_.operations;
      one.found = wanted;
      out_ = one;
    }
    ++out_.operations;
    return true;
  }

  bool variable_definitions() {
    if (!punctuator('(')) return true;
    do {
      if (!punctuator('$') || !name() || !punctuator(':') || !type(0)) return false;
      if (punctuator('=') && !value(0)) return false;
      if (!directives()) return false;
    } while (!punctuator(')'));
    return true;
  }
  bool type(int depth) {
    if (depth > kMaxDepth) return false;
    if (punctuator('[')) {
      if (!type(depth + 1) || !punctuator(']')) return false;
    } else if (!name()) {
      return false;
    }
    punctuator('!');
    return true;
  }
  bool directives() {
    while (punctuator('@'))
      if (!name() || !arguments()) return false;
    return true;
  }
  bool arguments() {
    if (!punctuator('(')) return true;
    do {
      if (!name() || !punctuator(':') || !value(0)) return false;
    } while (!punctuator(')'));
    return true;
  }
  bool value(int depth) {
    if (depth > kMaxDepth) return false;
    if (punctuator('$')) return name();
    if (punctuator('[')) {
      while (!punctuator(']'))
        if (!value(depth + 1)) return false;
      return true;
    }
    if (punctuator('{')) {
      while (!punctuator('}'))
        if (!name() || !punctuator(':') || !value(depth + 1)) return false;
      return true;
    }
    const Kind kind = token().kind;
    if (kind != Kind::kName && kind != Kind::kNumber && kind != Kind::kString) return false;
    lexer_.next();
    return true;
  }

  /// `into`: where the fields of this level are noted; null for deeper ones.
  bool selection_set(Document* into) {
    if (depth_ >= kMaxDepth || !punctuator('{')) return false;
    ++depth_;
    do {
      if (!selection(into)) return false;
    } while (!punctuator('}'));
    --depth_;
    return true;
  }
  bool selection(Document* into) {
    if (token().kind == Kind::kSpread) {
      lexer_.next();
      if (token().kind == Kind::kName && !token().is_word("on")) return name() && directives();
      if (token().is_word("on")) {
        lexer_.next();
        if (!name()) return false;
      }
      return directives() && selection_set(into);  // its fields are of this level
    }
    std::string_view field;
    if (!name(&field)) return false;
    if (punctuator(':') && !name(&field)) return false;  // what came first was the alias
    if (into != nullptr) {
      if (into->field_count < Document::kMostFields) into->fields[into->field_count] = field;
      ++into->field_count;
    }
    if (!arguments() || !directives()) return false;
    return !token().is('{') || selection_set(nullptr);
  }

  Lexer lexer_;
  std::string_view wanted_;
  Document out_;
  int depth_ = 0;
};

}  // namespace

Document parse_document(std::string_view text, std::string_view operation) {
  return Parser(text, operation).document();
}

}  // namespace baleen::dissect::graphql
