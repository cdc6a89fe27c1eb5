#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kfl/diagnose.h"

namespace baleen::kfl {

/// A token of CEL (its specification, "Syntax").
struct TokenCel {
  enum class Kind : uint8_t { kEnd, kIdent, kQuotedIdent, kInt, kUint, kDouble, kString, kBytes, kSign };
  Kind kind = Kind::kEnd;
  uint32_t begin = 0, end = 0;
  std::string_view text;
};

/// All tokens, with kEnd last; errors are said.
std::vector<TokenCel> lex_cel(std::string_view text, Diagnoser& diagnose);

/// The bytes that a string or bytes literal stands for; empty and the reason when its escapes are wrong.
bool unescape_cel(std::string_view literal, bool bytes, std::string& out, std::string& why);

/// A literal that stands for `text`.
std::string quote_cel(std::string_view text, bool bytes);

}  // namespace baleen::kfl
