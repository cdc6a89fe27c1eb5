#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "item/protocol.h"
#include "kfl/kfl.h"

namespace baleen::index {

/// A filter that is answered from some columns of an items file, without the items themselves. Any thread.
class ColumnFilter {
 public:
  enum class Answer : uint8_t {
    kNo,
    kYes,
    kUnknown,  // the item must be looked at
  };
  /// Nothing when the filter asks for what no column has. `cards`: the protocols that are known; they must outlive it.
  static std::optional<ColumnFilter> of(const kfl::Filter& filter, std::span<const item::Protocol* const> cards);

  /// What it needs of a row. The first ones, as many as protocol_columns(), tell its protocol.
  const std::vector<std::string>& columns() const { return columns_; }
  size_t protocol_columns() const { return columns_.size() - fields_.size(); }
  /// The short name of a row's protocol, out of these; empty when none is known that has them.
  std::string short_name(std::span<const std::string> cells) const;
  /// The same for rows of these protocols (short names) only, without columns that say nothing of theirs: each one has
  /// to be read, and grouped by.
  ColumnFilter for_protocols(const std::set<std::string>& protocols) const;
  /// `cells`: the row's columns as texts, nothing for NULL.
  Answer matches(std::span<const std::optional<std::string>> cells) const;
  /// The same for all items of a protocol (short name), when no more is needed than that.
  Answer matches_all_of(std::string_view protocol) const;

 private:
  struct Field;
  Answer matches(const item::Protocol& card, std::span<const std::optional<std::string>> cells) const;
  bool same(const item::Protocol& a, const item::Protocol& b) const;
  bool tell_apart(std::span<const std::string_view> columns, std::span<const item::Protocol* const> cards) const;
  ColumnFilter(const kfl::Filter& filter, std::span<const item::Protocol* const> cards)
      : filter_(filter), cards_(cards) {}
  kfl::Filter filter_;
  std::span<const item::Protocol* const> cards_;
  std::vector<const Field*> fields_;  // of the columns after those of the protocol
  std::vector<std::string> columns_;
  bool asks_for_abbreviation_ = false, asks_for_version_ = false;
};

}  // namespace baleen::index
