#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kfl/diagnose.h"

namespace baleen::kfl {

/// A token of KFL v1: those of Go's text/scanner (reference row K1-67), so every operator is single characters.
struct TokenV1 {
  enum class Kind : uint8_t { kEnd, kIdent, kInt, kFloat, kString, kSign };
  Kind kind = Kind::kEnd;
  uint32_t begin = 0, end = 0;
  std::string_view text;
};

/// All tokens, with kEnd last. Errors (a string that does not end) are said, and the token is what there is.
std::vector<TokenV1> lex_v1(std::string_view text, Diagnoser& diagnose);

bool is_ident_start(char c);
bool is_ident_part(char c);

}  // namespace baleen::kfl
