#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// Something that could stand at the cursor.
struct Completion {
  std::string text;  // what to insert
  std::string type;  // "int", "string(string) -> bool", "operator", "value"
  std::string doc;
};

struct Completions {
  size_t begin = 0, end = 0;  // of the text that is replaced
  std::vector<Completion> items;
};

/// What could stand at `cursor` (a byte position); best first, at most 100.
Completions complete(std::string_view text, size_t cursor, const Options& options = {});

/// What the name at `cursor` is; nothing when there is none.
struct Hover {
  size_t begin = 0, end = 0;
  std::string name, type, doc;
};
std::optional<Hover> hover(std::string_view text, size_t cursor, const Options& options = {});

/// Everything that a filter of the dialect may name, for `baleen kfl fields` and the reference page.
struct NamedThing {
  std::string name, type, protocol, path, doc;
};
std::vector<NamedThing> named_things(Dialect dialect, const Options& options = {});

}  // namespace baleen::kfl
