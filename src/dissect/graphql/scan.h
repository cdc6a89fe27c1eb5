#pragma once

#include <string_view>

// A look into JSON text without making anything of it: which members an object has. What is not JSON gives fewer
// members; whether the rest of the text is JSON is not looked at.

namespace baleen::dissect::graphql {

/// Takes white space and the next value off the front of `rest` and returns the value's text; empty at the end, at a
/// closing bracket, and where the text breaks off.
std::string_view take_value(std::string_view& rest);

/// Calls `member(name, value)` for each member of the object that `text` is, names as they stand between their quotes;
/// stops when it says false.
template <class Function>
void each_member(std::string_view text, Function member);

/// Calls `element(value)` for each element of the list that `text` is, until it says false.
template <class Function>
void each_element(std::string_view text, Function element);

/// Takes white space and then this character off the front; says whether it was there.
bool take_char(std::string_view& rest, char c);

template <class Function>
void each_member(std::string_view text, Function member) {
  if (!take_char(text, '{')) return;
  do {
    const std::string_view name = take_value(text);
    if (name.size() < 2 || name.front() != '"' || !take_char(text, ':')) return;
    const std::string_view value = take_value(text);
    if (value.empty() || !member(name.substr(1, name.size() - 2), value)) return;
  } while (take_char(text, ','));
}

template <class Function>
void each_element(std::string_view text, Function element) {
  if (!take_char(text, '[')) return;
  do {
    const std::string_view value = take_value(text);
    if (value.empty() || !element(value)) return;
  } while (take_char(text, ','));
}

}  // namespace baleen::dissect::graphql
