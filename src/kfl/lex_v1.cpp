#include "kfl/lex_v1.h"

#include <cctype>

namespace baleen::kfl {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class LexerV1 {
 public:
  LexerV1(std::string_view text, Diagnoser& diagnose) : text_(text), diagnose_(diagnose) {}

  std::vector<TokenV1> run() {
    std::vector<TokenV1> tokens;
    for (;;) {
      skip_blanks();
      const size_t begin = at_;
      const TokenV1::Kind kind = scan();
      tokens.push_back(
          {kind, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_), text_.substr(begin, at_ - begin)});
      if (kind == TokenV1::Kind::kEnd) return tokens;
    }
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_blanks() {
    for (;;) {
      while (at_ < text_.size() &&
             (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
        ++at_;
      if (peek() == '/' && peek(1) == '/') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (peek() == '/' && peek(1) == '*') {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) {
          diagnose_.error(at_, text_.size(), "the comment does not end (expected \"*/\")");
          at_ = text_.size();
        } else {
          at_ = end + 2;
        }
      } else {
        return;
      }
    }
  }

  TokenV1::Kind scan() {
    if (at_ >= text_.size()) return TokenV1::Kind::kEnd;
    const char c = peek();
    if (is_ident_start(c)) {
      while (at_ < text_.size() && is_ident_part(text_[at_])) ++at_;
      return TokenV1::Kind::kIdent;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '"' || c == '\'' || c == '`') return string(c);
    ++at_;
    return TokenV1::Kind::kSign;
  }

  void digits() {
    while (is_digit(peek()) || peek() == '_') ++at_;
  }

  TokenV1::Kind number() {
    if (peek() == '0' &&
        (peek(1) == 'x' || peek(1) == 'X' || peek(1) == 'b' || peek(1) == 'B' || peek(1) == 'o' || peek(1) == 'O')) {
      at_ += 2;
      while (std::isxdigit(static_cast<unsigned char>(peek())) || peek() == '_') ++at_;
      return TokenV1::Kind::kInt;
    }
    TokenV1::Kind kind = TokenV1::Kind::kInt;
    digits();
    if (peek() == '.') kind = TokenV1::Kind::kFloat, ++at_, digits();
    if ((peek() == 'e' || peek() == 'E') &&
        (is_digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && is_digit(peek(2))))) {
      kind = TokenV1::Kind::kFloat;
      at_ += 2;
      digits();
    }
    return kind;
  }

  TokenV1::Kind string(char quote) {
    const size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (quote != '`' && text_[at_] == '\n') break;
      if (quote != '`' && text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      ++at_;
    }
    if (at_ < text_.size() && text_[at_] == quote) {
      ++at_;
    } else {
      const char end[] = {quote, '\0'};
      diagnose_.error(begin, at_, std::string("the string does not end (expected ") + end + ")");
    }
    return TokenV1::Kind::kString;
  }

  std::string_view text_;
  Diagnoser& diagnose_;
  size_t at_ = 0;
};

}  // namespace

bool is_ident_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<uint8_t>(c) >= 0x80;
}
bool is_ident_part(char c) { return is_ident_start(c) || is_digit(c); }

std::vector<TokenV1> lex_v1(std::string_view text, Diagnoser& diagnose) { return LexerV1(text, diagnose).run(); }

}  // namespace baleen::kfl
