#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// Many filters over one stream of items: conditions that several of them have are evaluated once for each item, and
/// filters that ask for another protocol are not looked at. Gives what each Filter::matches() gives. Immutable; any
/// number of threads may use one.
class FilterSet {
 public:
  explicit FilterSet(std::span<const Filter> filters);
  ~FilterSet();
  FilterSet(FilterSet&&) noexcept;
  FilterSet& operator=(FilterSet&&) noexcept;

  size_t size() const;
  /// Sets out[i] to whether filter i matches. REQUIRES: out.size() == size(). Does not allocate in the steady state.
  void match(const item::Item& item, std::span<bool> out) const;
  void match_json(const item::Value& root, std::span<bool> out) const;
  /// Conditions that were found to be distinct, for tests and people.
  size_t conditions() const;

 private:
  struct Plan;
  std::unique_ptr<Plan> plan_;
};

}  // namespace baleen::kfl
