#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kfl/kfl.h"
#include "kfl/program.h"
#include "kfl/types.h"

namespace baleen::kfl {

/// A variable of KFL v2 (reference section 3.2), or one that a caller declares.
struct Variable {
  struct Source {
    uint64_t protocols;  // of which this is the place
    Path path;
  };
  std::string name;
  const Type* type = nullptr;
  std::string_view type_text;
  uint64_t scope = 0;                            // protocols to which it belongs (K2-07); 0: every item has it
  std::vector<Source> sources;                   // the first whose protocols are the item's
  Datum (*compute)(Context& context) = nullptr;  // instead of a path
  Datum fallback;                                // when there is nothing (K2-05)
  bool is_int = false;
  bool lenient = false;      // labels, annotations: map[k] of a missing key is "" (K2-06, D-8)
  bool in_protocol = false;  // a fallback of `elsewhere` in items of other protocols
  Datum elsewhere;
  std::string doc;
};

/// What a v2 filter may name.
class Environment {
 public:
  const Variable* find(std::string_view name) const;
  std::vector<std::string_view> names() const;
  const std::map<std::string, Variable, std::less<>>& variables() const { return variables_; }
  /// The variable that shows what a path of KFL v1 names ("response.status": status_code); null when none does.
  const Variable* of_path(std::string_view path) const;
  void add(Variable v) {
    std::string name = v.name;
    variables_.insert_or_assign(std::move(name), std::move(v));
  }

 private:
  std::map<std::string, Variable, std::less<>> variables_;
};

/// The variables of section 3.2, with those of the protocols' Field tables. Kept: the same protocols give the same
/// object.
std::shared_ptr<const Environment> environment_for(std::span<const item::Protocol* const> protocols);

/// The variable's value in the record of `context`, of its type.
Datum value_of(const Variable& variable, Context& context);

}  // namespace baleen::kfl
