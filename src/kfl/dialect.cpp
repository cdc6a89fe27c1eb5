#include "kfl/dialect.h"

#include <fmt/format.h>

#include "kfl/functions.h"
#include "kfl/functions_v1.h"
#include "kfl/lex_v1.h"

// `and`, `or`, nil, == r"...", limit(), redact(), json(), .* and ..name are only v1; &&, ||, in, .matches(),
// arithmetic, ?: and CEL's functions only v2. Where no sign decides, names do: status_code is only v2, response.status
// only v1. What is left
// (`http`, `src.name == "x"`) could be either.

namespace baleen::kfl {
namespace {

class Recogniser {
 public:
  Recogniser(std::string_view text, const Environment& environment)
      : environment_(environment), tokens_(lex_v1(text, ignored_)) {}

  Recognised run() {
    for (size_t i = 0; i + 1 < tokens_.size(); ++i) look(i);
    if (v1_.empty() && v2_.empty()) names();
    if (v1_.empty() && v2_.empty()) return {};
    const bool v2 = v2_count_ > v1_count_ || v1_.empty();
    return {v2 ? Dialect::kV2 : Dialect::kV1, fmt::format("it has {}", v2 ? v2_ : v1_), !v1_.empty() && !v2_.empty()};
  }

 private:
  using Token = TokenV1;
  std::string_view text(size_t i) const {
    return i < tokens_.size() && tokens_[i].kind != Token::Kind::kString ? tokens_[i].text : std::string_view();
  }
  bool is_ident(size_t i) const { return tokens_[i].kind == Token::Kind::kIdent; }
  void v1(std::string_view sign) { ++v1_count_, v1_ = v1_.empty() ? shown(sign) : v1_; }
  void v2(std::string_view sign) { ++v2_count_, v2_ = v2_.empty() ? shown(sign) : v2_; }

  void look(size_t i) {
    const std::string_view t = text(i), next = text(i + 1), before = i > 0 ? text(i - 1) : std::string_view();
    if (t.empty()) return;
    const bool adjacent = tokens_[i].end == tokens_[i + 1].begin;
    if (is_ident(i)) return word(i, t, next, before);
    if (t == "&" && next == "&") return v2("&&");
    if (t == "|" && next == "|") return v2("||");
    if (t == "." && next == "." && adjacent) return v1("..");
    if (t == "." && next == "*") return v1(".*");
    if (t == "[" && next == "*") return v1("[*]");
    if (t == "?" || t == "%" || t == "+" || t == "{") return v2(t);
    if (t == "/" || (t == "*" && before != "." && before != "[")) return v2(t);
    if (t == "-" && i > 0 && operand(i - 1)) return v2(t);
    if (tokens_[i].kind == Token::Kind::kInt && (next == "u" || next == "U") && adjacent) return v2("u");
  }

  bool operand(size_t i) const {
    return text(i) == ")" || text(i) == "]" || tokens_[i].kind == Token::Kind::kInt ||
           tokens_[i].kind == Token::Kind::kFloat || (is_ident(i) && text(i) != "and" && text(i) != "or");
  }

  void word(size_t i, std::string_view t, std::string_view next, std::string_view before) {
    const bool member = before == ".";
    if (!member && (t == "and" || t == "or") && next != "." && i > 0) return v1(t);
    if (!member && t == "in" && i > 0) return v2(t);
    if (!member && t == "nil") return v1(t);
    if (!member && t == "null") return v2(t);
    if (t == "r" && tokens_[i + 1].kind == Token::Kind::kString) {
      if (before == "=" || text(i + 2) == "=" || text(i + 2) == "!") v1("r\"...\"");
      return;
    }
    if (next != "(") return;
    if (t == "startsWith" || t == "endsWith" || t == "contains" || t == "now") return;
    if (helper_named(t) != Helper::kUnknown || is_time_helper(t)) return v1(fmt::format("{}()", t));
    for (const std::string_view macro : {"exists", "exists_one", "all", "map", "filter", "has"})
      if (t == macro) return v2(fmt::format("{}()", t));
    if (function_named(t) != nullptr) return v2(fmt::format("{}()", t));
  }

  void names() {
    static constexpr std::string_view kRoots[] = {
        "src",     "dst",    "protocol",    "request",     "response",     "data", "node",
        "capture", "error",  "elapsedTime", "requestSize", "responseSize", "size", "entryFile",
        "record",  "passed", "failed",      "startTime",   "captureSource"};
    for (size_t i = 0; i + 1 < tokens_.size(); ++i) {
      if (!is_ident(i) || (i > 0 && text(i - 1) == ".")) continue;
      std::string name(text(i));
      bool known = environment_.find(name) != nullptr;
      for (size_t j = i; text(j + 1) == "." && j + 2 < tokens_.size() && is_ident(j + 2); j += 2) {
        name += "." + std::string(text(j + 2));
        known |= environment_.find(name) != nullptr;
      }
      const std::string_view root = text(i);
      bool item = false;
      for (const std::string_view r : kRoots) item |= r == root;
      if (known && !item && root != "tls" && root != "timestamp" && root != "index" && root != "stream" &&
          root != "worker" && root != "id" && root != "conn_id" && root != "flow_id")
        v2(name);
      if (item && !known) v1(name);
    }
  }

  Diagnoser ignored_;
  const Environment& environment_;
  std::vector<Token> tokens_;
  std::string v1_, v2_;
  int v1_count_ = 0, v2_count_ = 0;
};

}  // namespace

Recognised recognise(std::string_view text, const Environment& environment) {
  return Recogniser(text, environment).run();
}

}  // namespace baleen::kfl
