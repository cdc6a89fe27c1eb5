#include "kfl/lex_cel.h"

#include <fmt/format.h>

#include "kfl/utf8.h"

namespace baleen::kfl {
namespace {

using Kind = TokenCel::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
bool is_start(char c) { return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_'; }
int hex_value(char c) { return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10; }

class LexerCel {
 public:
  LexerCel(std::string_view text, Diagnoser& diagnose) : text_(text), diagnose_(diagnose) {}

  std::vector<TokenCel> run() {
    std::vector<TokenCel> tokens;
    for (;;) {
      skip_blanks();
      const size_t begin = at_;
      const Kind kind = scan();
      tokens.push_back(
          {kind, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_), text_.substr(begin, at_ - begin)});
      if (kind == Kind::kEnd) return tokens;
    }
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_blanks() {
    for (;;) {
      while (at_ < text_.size() && std::string_view(" \t\n\r\f\v").find(text_[at_]) != std::string_view::npos) ++at_;
      if (peek() != '#' && (peek() != '/' || peek(1) != '/')) return;  // "#": as published examples have it
      at_ = std::min(text_.find('\n', at_), text_.size());
    }
  }

  Kind scan() {
    if (at_ >= text_.size()) return Kind::kEnd;
    const char c = peek();
    if (is_start(c)) {
      size_t prefix = 0;
      bool bytes = false;
      for (; prefix < 2 && ((peek(prefix) | 0x20) == 'r' || (peek(prefix) | 0x20) == 'b'); ++prefix)
        bytes |= (peek(prefix) | 0x20) == 'b';
      const bool twice = prefix == 2 && (peek(0) | 0x20) == (peek(1) | 0x20);
      if (prefix > 0 && !twice && (peek(prefix) == '"' || peek(prefix) == '\'')) {
        string(prefix);
        return bytes ? Kind::kBytes : Kind::kString;
      }
      while (is_start(peek()) || is_digit(peek())) ++at_;
      return Kind::kIdent;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '"' || c == '\'') return string(0), Kind::kString;
    if (c == '`') return quoted();
    static constexpr std::string_view kTwo[] = {"&&", "||", "==", "!=", "<=", ">="};
    for (const std::string_view two : kTwo)
      if (text_.substr(at_).starts_with(two)) return at_ += 2, Kind::kSign;
    static constexpr std::string_view kOne = "()[]{}.,:?!<>+-*/%";
    if (kOne.find(c) != std::string_view::npos) return ++at_, Kind::kSign;
    const size_t begin = at_++;
    while (at_ < text_.size() && (static_cast<uint8_t>(text_[at_]) & 0xC0) == 0x80) ++at_;
    std::string suggestion;
    if (c == '=') suggestion = "did you mean \"==\"?";
    if (c == '&') suggestion = "did you mean \"&&\"?";
    if (c == '|') suggestion = "did you mean \"||\"?";
    diagnose_.error(begin, at_, fmt::format("unexpected character {}", shown(text_.substr(begin, at_ - begin))),
                    suggestion);
    return Kind::kSign;
  }

  Kind number() {
    if (peek() == '0' && (peek(1) | 0x20) == 'x' && is_hex(peek(2))) {
      at_ += 2;
      while (is_hex(peek())) ++at_;
      if ((peek() | 0x20) == 'u') return ++at_, Kind::kUint;
      return Kind::kInt;
    }
    Kind kind = Kind::kInt;
    while (is_digit(peek())) ++at_;
    if (peek() == '.' && is_digit(peek(1))) {
      kind = Kind::kDouble;
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if ((peek() | 0x20) == 'e' && (is_digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && is_digit(peek(2))))) {
      kind = Kind::kDouble;
      at_ += 2;
      while (is_digit(peek())) ++at_;
    }
    if (kind == Kind::kInt && (peek() | 0x20) == 'u') return ++at_, Kind::kUint;
    return kind;
  }

  void string(size_t prefix) {
    const size_t begin = at_;
    bool raw = false;
    for (size_t i = 0; i < prefix; ++i) raw |= (peek(i) | 0x20) == 'r';
    at_ += prefix;
    const char quote = peek();
    const bool triple = peek(1) == quote && peek(2) == quote;
    at_ += triple ? 3 : 1;
    for (;;) {
      if (at_ >= text_.size() || (!triple && (peek() == '\n' || peek() == '\r'))) {
        diagnose_.error(begin, at_,
                        fmt::format("the string does not end (expected {})", std::string(triple ? 3 : 1, quote)));
        return;
      }
      if (peek() == '\\' && !raw && at_ + 1 < text_.size()) {
        at_ += 2;
      } else if (peek() == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
        at_ += triple ? 3 : 1;
        return;
      } else {
        ++at_;
      }
    }
  }

  Kind quoted() {
    const size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '`' && text_[at_] != '\n') ++at_;
    if (peek() != '`')
      diagnose_.error(begin, at_, "the name does not end (expected \"`\")");
    else
      ++at_;
    return Kind::kQuotedIdent;
  }

  std::string_view text_;
  Diagnoser& diagnose_;
  size_t at_ = 0;
};

/// \xHH \XHH \uHHHH \UHHHHHHHH \OOO; true when it was one of these, `at` behind it.
bool numeric_escape(std::string_view s, size_t& at, bool bytes, std::string& out, std::string& why) {
  const char kind = s[at];
  size_t digits = kind == 'x' || kind == 'X' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
  uint32_t value = 0;
  const size_t first = digits == 3 ? at : at + 1;
  for (size_t i = 0; i < digits; ++i) {
    const char c = first + i < s.size() ? s[first + i] : '\0';
    if (digits == 3 ? c < '0' || c > '7' || (i == 0 && c > '3') : !is_hex(c))
      return why = "the escape is not complete", false;
    value = digits == 3 ? value * 8 + static_cast<uint32_t>(c - '0') : value * 16 + static_cast<uint32_t>(hex_value(c));
  }
  at = first + digits;
  if (bytes) {
    if (digits > 3) return why = "bytes have no \\u and \\U", false;
    out += static_cast<char>(value);
    return true;
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return why = "the escape is no character", false;
  append_utf8(value, out);
  return true;
}

}  // namespace

std::vector<TokenCel> lex_cel(std::string_view text, Diagnoser& diagnose) { return LexerCel(text, diagnose).run(); }

bool unescape_cel(std::string_view literal, bool bytes, std::string& out, std::string& why) {
  bool raw = false;
  while (!literal.empty() && literal[0] != '"' && literal[0] != '\'') {
    raw |= (literal[0] | 0x20) == 'r';
    literal.remove_prefix(1);
  }
  const size_t quotes = literal.size() >= 6 && literal[1] == literal[0] && literal[2] == literal[0] ? 3 : 1;
  if (literal.size() < 2 * quotes) return why = "the string does not end", false;
  const std::string_view s = literal.substr(quotes, literal.size() - 2 * quotes);
  if (raw) return out = s, true;
  for (size_t i = 0; i < s.size();) {
    if (s[i] != '\\') {
      out += s[i++];
      continue;
    }
    if (++i >= s.size()) return why = "an escape is not complete", false;
    static constexpr std::string_view kFrom = "abfnrtv\\?\"'`", kTo = "\a\b\f\n\r\t\v\\?\"'`";
    if (const size_t simple = kFrom.find(s[i]); simple != std::string_view::npos) {
      out += kTo[simple];
      ++i;
    } else if (std::string_view("xXuU0123").find(s[i]) != std::string_view::npos) {
      if (!numeric_escape(s, i, bytes, out, why)) return false;
    } else {
      return why = fmt::format("there is no escape \\{}", s[i]), false;
    }
  }
  return true;
}

std::string quote_cel(std::string_view text, bool bytes) {
  std::string out = bytes ? "b\"" : "\"";
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (u < 0x20 || u == 0x7F || (bytes && u >= 0x80))
          out += bytes ? fmt::format("\\x{:02x}", u) : fmt::format("\\u{:04x}", u);
        else
          out += c;
    }
  }
  return out + '"';
}

}  // namespace baleen::kfl
