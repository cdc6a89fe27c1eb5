#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "kfl/ast.h"

namespace baleen::kfl {

/// A helper of KFL v1 for people: reference pages, completion, suggestions.
struct HelperCard {
  std::string_view name;
  Helper helper;  // kNone: a time helper
  std::string_view signature;
  std::string_view doc;
};
std::span<const HelperCard> helper_cards();

Helper helper_named(std::string_view name);  // kUnknown when there is none
std::vector<std::string_view> helper_names();
bool is_time_helper(std::string_view name);
/// Seconds in one of what seconds(), minutes(), ... count; 0 for now.
double unit_seconds(std::string_view name);

}  // namespace baleen::kfl
