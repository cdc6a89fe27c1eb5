#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "item/item.h"
#include "kfl/datum.h"

namespace baleen::kfl {

/// One step of a selector.
struct Step {
  enum class Kind : uint8_t { kName, kIndex, kAny, kDescend };  // .name ["name"], [3], .* , ..name
  Kind kind = Kind::kName;
  std::string name;
  int64_t index = 0;
  bool quoted = false;  // how it was written: ["name"]
  bool called = false;  // how it was written: name(), which KFL v1 takes for a name
  bool operator==(const Step&) const = default;
};

/// Takes a part out of a live item without making the item's tree.
using LiveGetter = Datum (*)(const item::Item&, Arena&);

/// A selector, with what was found out about it when it was compiled.
struct Path {
  std::vector<Step> steps;
  bool single = true;         // names and indexes only: at most one result
  LiveGetter live = nullptr;  // answers the first `live_steps` steps for a live item
  size_t live_steps = 0;

  Path() = default;
  explicit Path(std::vector<Step> s);
  static Path names(std::string_view dotted);
  std::string text() const;  // a.b["c"][1].*..d
};

/// Where a path starts: a live item or the root of a tree, one of them null.
struct Record {
  const item::Item* item = nullptr;
  const item::Value* root = nullptr;
};

/// The single value at the path, or kMissing. REQUIRES: path.single.
Datum select_one(const Path& path, const Record& record, Arena& arena);

/// What a selector of KFL v1 stands for: kMissing, the one value, or the list of them (reference rows K1-20, K1-28).
/// `work` is lowered by the number of values looked at; an error when it is used up.
Datum select(const Path& path, const Record& record, Arena& arena, int64_t& work);

/// The same from a value that is in hand, with no more than the first `at_most` results.
Datum select_from(std::span<const Step> steps, const item::Value& from, Arena& arena, int64_t& work,
                  size_t at_most = SIZE_MAX);

}  // namespace baleen::kfl
