#include "index/item_pruning.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "index/sql_text.h"

namespace baleen::index {
namespace {

using Op = kfl::Conjunct::Op;

/// Texts of the item's JSON that stand in a column as they are.
constexpr std::array kTexts = {
    std::pair{"protocol.abbr", "protocol_abbr"},
    std::pair{"node.name", "node"},
    std::pair{"src.ip", "src_ip"},
    std::pair{"src.name", "src_name"},
    std::pair{"src.namespace", "src_namespace"},
    std::pair{"src.pod.metadata.name", "src_pod"},
    std::pair{"dst.ip", "dst_ip"},
    std::pair{"dst.name", "dst_name"},
    std::pair{"dst.namespace", "dst_namespace"},
    std::pair{"dst.pod.metadata.name", "dst_pod"},
};

/// The column that must be equal to the condition's text; nullptr when it is no such condition.
const char* text_column(const kfl::Conjunct& c) {
  if (c.op != Op::kEqual || c.type != item::Value::Type::kString || c.text.empty()) return nullptr;
  // Columns hold mended UTF-8: only plain text is compared.
  if (std::any_of(c.text.begin(), c.text.end(), [](char b) { return b < 0x20 || b > 0x7e; })) return nullptr;
  const auto found = std::find_if(kTexts.begin(), kTexts.end(), [&](const auto& t) { return c.column == t.first; });
  return found == kTexts.end() ? nullptr : found->second;
}

/// Whether an item without the condition's text in its JSON, as it is, cannot fulfil it.
bool stands_in_json(const kfl::Conjunct& c) {
  const bool texts = c.op == Op::kEqual || c.op == Op::kPrefix || c.op == Op::kContains;
  if (!texts || c.type != item::Value::Type::kString || c.text.empty()) return false;
  return std::all_of(c.text.begin(), c.text.end(), [](char b) {
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           std::string_view(" _.:-/=?,;@").find(b) != std::string_view::npos;
  });
}

bool is_status(const kfl::Conjunct& c) {
  return c.column == "response.status" && c.type == item::Value::Type::kDouble && c.number >= 100 && c.number <= 999;
}

const char* sign_of(Op op) {
  switch (op) {
    case Op::kEqual: return "=";
    case Op::kLess: return "<";
    case Op::kLessEqual: return "<=";
    case Op::kGreater: return ">";
    case Op::kGreaterEqual: return ">=";
    default: return nullptr;
  }
}

/// Whether a condition on the item's protocol can hold in a block that has items of these protocols only.
bool protocols_allow(const kfl::Conjunct& c, const BlockRecord& block) {
  if (c.column != "protocol.name" || c.op != Op::kEqual || block.items_by_protocol.empty()) return true;
  // Blocks count by short name; protocols whose name differs from it are never pruned by it.
  static const std::set<std::string_view> kSame = {"dns", "redis", "kafka", "amqp"};
  return !kSame.contains(c.text) || block.items_by_protocol.contains(c.text);
}

/// Whether a time in milliseconds between these may fulfil the condition.
bool time_allows(const kfl::Conjunct& c, double first, double last) {
  if (c.column != "timestamp") return true;
  switch (c.op) {
    case Op::kGreater:
    case Op::kGreaterEqual: return last + 1 >= c.number;
    case Op::kLess:
    case Op::kLessEqual: return first - 1 <= c.number;
    default: return true;
  }
}

/// Whether the zone map leaves room for an item with this pod or namespace at one of its ends.
bool places_allow(const kfl::Conjunct& c, const BlockRecord& block) {
  if (!block.zone_map_complete || c.op != Op::kEqual || c.text.empty()) return true;
  if (c.column == "src.namespace" || c.column == "dst.namespace") return block.namespaces.contains(c.text);
  if (c.column == "src.pod.metadata.name" || c.column == "dst.pod.metadata.name") return block.pods.contains(c.text);
  return true;
}

/// Whether a number from `lowest` to `highest` may fulfil the condition.
bool between(const kfl::Conjunct& c, double lowest, double highest) {
  switch (c.op) {
    case Op::kEqual: return lowest <= c.number && c.number <= highest;
    case Op::kGreater: return highest > c.number;
    case Op::kGreaterEqual: return highest >= c.number;
    case Op::kLess: return lowest < c.number;
    case Op::kLessEqual: return lowest <= c.number;
    default: return true;
  }
}

/// Status classes are those that a list shows, which is response.status for HTTP only.
bool status_allows(const kfl::Conjunct& c, const BlockRecord& block) {
  if (!is_status(c) || !block.zone_map_complete || block.status_classes.empty()) return true;
  for (const auto& [protocol, n] : block.items_by_protocol)
    if (protocol != "http") return true;
  // Equality and lower bounds ask for a class or those above it; other conditions are left to the rows.
  if (c.op != Op::kEqual && c.op != Op::kGreater && c.op != Op::kGreaterEqual) return true;
  const int first = static_cast<int>(c.number) / 100, last = c.op == Op::kEqual ? first : 9;
  for (int k = first; k <= last; ++k)
    if (block.status_classes.contains(fmt::format("{}xx", k))) return true;
  return false;
}

std::optional<std::pair<int64_t, int64_t>> numbers(const ColumnChunk* column) {
  if (column == nullptr || !column->lowest || !column->highest) return std::nullopt;
  const std::string &low = *column->lowest, &high = *column->highest;
  if (low.size() != high.size() || (low.size() != 4 && low.size() != 8)) return std::nullopt;
  const auto value = [](const std::string& text) {
    ByteReader r(as_bytes(text));
    return text.size() == 8 ? static_cast<int64_t>(r.le64()) : static_cast<int64_t>(static_cast<int32_t>(r.le32()));
  };
  return std::pair(value(low), value(high));
}

/// Upper bounds may be cut short by a writer, which the specification lets it only do upwards.
bool text_allows(std::string_view text, const ColumnChunk* column) {
  return column == nullptr || !column->lowest || !column->highest ||
         (*column->lowest <= text && text <= *column->highest);
}

bool only_http(const RowGroup& group) {
  const ColumnChunk* protocol = group.column("protocol");
  return protocol != nullptr && protocol->lowest == "http" && protocol->highest == "http";
}

}  // namespace

ItemPruning::ItemPruning(const kfl::Filter& filter, Timestamp since, Timestamp until)
    : conjuncts_(kfl::pushdown(filter)), since_(since), until_(until) {
  const auto join = [](std::string& all, const std::string& text) { all += (all.empty() ? "" : " AND ") + text; };
  const auto add = [&](const std::string& text, std::vector<std::string> columns) {
    join(condition_, text);
    columns_.insert(columns_.end(), columns.begin(), columns.end());
    parts_.push_back({text, std::move(columns)});
  };
  const bool all_http = std::any_of(conjuncts_.begin(), conjuncts_.end(), [](const kfl::Conjunct& c) {
    return c.column == "protocol.abbr" && c.op == Op::kEqual && c.text == "HTTP";
  });
  for (const kfl::Conjunct& c : conjuncts_) {
    // The column is response.status for HTTP only, where it is a number or not there: see status_allows().
    if (const char* sign = is_status(c) ? sign_of(c.op) : nullptr; sign != nullptr) {
      // Alone it lets DuckDB pass over the other columns of whole vectors.
      const std::string compared = fmt::format("status {} {}", sign, c.number);
      if (all_http) {
        add(compared, {"status"});
      } else {
        add(fmt::format("(protocol <> 'http' OR status IS NULL OR {})", compared), {"protocol", "status"});
      }
    }
    if (const char* column = text_column(c); column != nullptr) {
      add(fmt::format("{} = {}", column, sql_text(c.text)), {column});
    } else if (stands_in_json(c)) {
      join(condition_, fmt::format("contains(json, {})", sql_text(c.text)));
    } else if (c.column == "protocol.abbr" && c.op == Op::kIn) {
      std::string any;
      for (const std::string& text : c.any_of) any += (any.empty() ? "" : ", ") + sql_text(text);
      add(fmt::format("protocol_abbr IN ({})", any), {"protocol_abbr"});
    }
  }
}

std::string ItemPruning::condition_on(std::span<const std::string> columns) const {
  std::string out;
  for (const Part& part : parts_) {
    const bool all_there = std::all_of(part.columns.begin(), part.columns.end(), [&](const std::string& column) {
      return std::find(columns.begin(), columns.end(), column) != columns.end();
    });
    if (all_there) out += (out.empty() ? "" : " AND ") + part.condition;
  }
  return out;
}

bool ItemPruning::may_match(const BlockRecord& block) const {
  if (block.last < since_ || block.first > until_) return false;
  const auto first = static_cast<double>(to_ms(block.first)), last = static_cast<double>(to_ms(block.last));
  return std::all_of(conjuncts_.begin(), conjuncts_.end(), [&](const kfl::Conjunct& c) {
    return time_allows(c, first, last) && protocols_allow(c, block) && places_allow(c, block) &&
           status_allows(c, block);
  });
}

bool ItemPruning::may_match(const RowGroup& group) const {
  const auto times = numbers(group.column("time"));
  if (times && (times->second < to_ns(since_) || times->first > to_ns(until_))) return false;
  const auto status = numbers(group.column("status"));
  return std::all_of(conjuncts_.begin(), conjuncts_.end(), [&](const kfl::Conjunct& c) {
    if (times && !time_allows(c, static_cast<double>(times->first) / 1e6, static_cast<double>(times->second) / 1e6))
      return false;
    if (status && is_status(c) && only_http(group) &&
        !between(c, static_cast<double>(status->first), static_cast<double>(status->second)))
      return false;
    const char* column = text_column(c);
    return column == nullptr || text_allows(c.text, group.column(column));
  });
}

}  // namespace baleen::index
