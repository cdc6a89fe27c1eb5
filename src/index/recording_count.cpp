#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/arena.h"
#include "index/column_filter.h"
#include "index/recording_blocks.h"
#include "item/json.h"

// Counting asks three, the cheapest first: block records, when all items of each of a block's protocols match or none
// do; columns of its items file, each combination of their values once; and the items themselves, when there are
// combinations that say too little.

namespace baleen::index {
namespace {

using Counts = std::map<std::string, uint64_t>;

/// How many files are asked at a time: what is fetched of them lies on the disk. Each time DuckDB begins anew, so those
/// that lie there anyway are asked many at a time.
constexpr size_t kAtOnce = 64, kLocalAtOnce = 1024;

/// The columns that tell a protocol.
using ProtocolKey = std::vector<std::string>;

struct Tally {
  uint64_t matches = 0;
  bool unknown = false;
};
using Tallies = std::map<ProtocolKey, Tally>;

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

/// SQL: the row is of a protocol of which it is not known whether its items match.
std::string unknown_ones(const Tallies& tallies, std::span<const std::string> columns) {
  std::string out;
  for (const auto& [protocol, tally] : tallies) {
    if (!tally.unknown) continue;
    std::string all;
    for (size_t i = 0; i < protocol.size(); ++i)
      all += fmt::format("{}{} = {}", all.empty() ? "" : " AND ", columns[i], in_quotes(protocol[i]));
    out += fmt::format("{}({})", out.empty() ? "" : " OR ", all);
  }
  return out;
}

/// Short names of all protocols that the blocks have items of; nothing when a record does not count all of its items.
std::optional<std::set<std::string>> protocols_of(const std::vector<IndexedRecord>& blocks) {
  std::set<std::string> out;
  for (const IndexedRecord& block : blocks) {
    uint64_t items = 0;
    for (const auto& [protocol, n] : block.record.items_by_protocol) {
      items += n;
      out.insert(protocol);
    }
    if (items != block.record.items) return std::nullopt;
  }
  return out;
}

std::string short_name_of(const item::Value& item) {
  const item::Value protocol = item["protocol"];
  const std::string_view macro = protocol["macro"].text(), name = protocol["name"].text();
  return std::string(macro.empty() ? name : macro);
}

}  // namespace

class RecordingReader::Count {
 public:
  Count(RecordingReader& reader, const ReadQuery& query)
      : reader_(reader),
        query_(query),
        pruning_(query.filter, query.since, query.until),
        columns_(ColumnFilter::of(query.filter, reader.cards_)) {}

  Result<Counts> run(std::vector<IndexedRecord> blocks) {
    const bool chosen_by_name = !query_.item.empty() || !query_.stream.empty();  // no record or column here knows these
    if (query_.limit != 0 || query_.filter.limit() != 0 || chosen_by_name || !columns_) {
      BALEEN_TRY_DO(ask_items(blocks));
      return std::move(counts_);
    }
    std::erase_if(blocks, [this](const IndexedRecord& block) { return ask_record(block.record); });
    if (const auto protocols = protocols_of(blocks)) columns_ = columns_->for_protocols(*protocols);
    BALEEN_TRY_DO(ask_columns(blocks));
    for (const auto& [protocol, tally] : tallies_) {
      if (tally.unknown || tally.matches == 0) continue;
      counts_[columns_->short_name(protocol)] += tally.matches;
      reader_.statistics_.matches += tally.matches;
    }
    if (const std::string unknown = unknown_ones(tallies_, columns_->columns()); !unknown.empty())
      BALEEN_TRY_DO(ask_items(blocks, unknown));
    return std::move(counts_);
  }

 private:
  bool ask_record(const BlockRecord& block) {
    if (block.first < query_.since || block.last > query_.until) return false;
    Counts found;
    uint64_t items = 0;
    for (const auto& [protocol, n] : block.items_by_protocol) {
      const auto answer = columns_->matches_all_of(protocol);
      if (answer == ColumnFilter::Answer::kUnknown) return false;
      if (answer == ColumnFilter::Answer::kYes) found[protocol] += n;
      items += n;
    }
    if (items != block.items) return false;
    for (const auto& [protocol, n] : found) {
      counts_[protocol] += n;
      reader_.statistics_.matches += n;
    }
    return true;
  }

  Result<> ask_columns(const std::vector<IndexedRecord>& blocks) {
    Blocks chosen(reader_, blocks, pruning_, columns_->columns());
    bool as_they_lie = !reader_.store_.local_path(reader_.prefix_ + "items").empty();
    for (size_t block = 0; block < chosen.count(); ++block)
      as_they_lie = as_they_lie && !chosen.record(block).items_object.encryption;  // that is read into memory
    const size_t at_once = as_they_lie ? kLocalAtOnce : kAtOnce;
    for (size_t begin = 0; begin < chosen.count(); begin += at_once) {
      const size_t end = std::min(begin + at_once, chosen.count());
      BALEEN_TRY(std::vector<std::string> files, chosen.fetch(begin, end));
      BALEEN_TRY_DO(ask_each(files, chosen, begin));
      for (size_t block = begin; block < end; ++block) chosen.done(block);
    }
    reader_.cache_.release();
    return {};
  }

  /// The files of the blocks from `begin` on. Where one is damaged, halves are asked until it is known which.
  Result<> ask_each(std::span<const std::string> files, Blocks& chosen, size_t begin) {
    const auto asked = ask_files({files.begin(), files.end()});
    if (asked) return {};
    if (files.size() == 1) return chosen.failed(begin, asked.error());
    const size_t half = files.size() / 2;
    BALEEN_TRY_DO(ask_each(files.first(half), chosen, begin));
    return ask_each(files.subspan(half), chosen, begin + half);
  }

  Result<> ask_files(std::vector<std::string> files) {
    std::erase(files, std::string());
    ParquetQuery asked;
    asked.files = std::move(files);
    asked.since_ns = to_ns(query_.since);
    asked.until_ns = to_ns(query_.until);
    asked.condition = pruning_.condition_on(columns_->columns());
    Tallies found;
    uint64_t rows = 0;
    BALEEN_TRY_DO(count_rows(asked, columns_->columns(), [&](auto values, uint64_t n) {
      rows += n;
      ProtocolKey protocol;
      for (size_t i = 0; i < columns_->protocol_columns(); ++i) protocol.push_back(values[i].value_or(""));
      Tally& tally = found[protocol];
      const auto answer = columns_->matches(values);
      if (answer == ColumnFilter::Answer::kYes) tally.matches += n;
      tally.unknown = tally.unknown || answer == ColumnFilter::Answer::kUnknown;
    }));
    reader_.statistics_.rows += rows;
    for (const auto& [protocol, tally] : found) {
      Tally& sum = tallies_[protocol];
      sum.matches += tally.matches;
      sum.unknown = sum.unknown || tally.unknown;
    }
    return {};
  }

  /// `condition`: SQL over the columns that tell the protocol; empty: all of them.
  Result<> ask_items(const std::vector<IndexedRecord>& blocks, const std::string& condition = {}) {
    static const std::vector<std::string> kColumns = {"time",       "node",           "stream",
                                                      "item_index", "packets_object", "json",
                                                      "protocol",   "protocol_abbr",  "protocol_version"};
    Arena arena;
    const EachItem count = [&](const StoredItem& item, const BlockRecord&) {
      arena.clear();
      if (const auto root = item::parse_json(item.json, arena)) ++counts_[short_name_of(*root)];
      return true;
    };
    return reader_.items_of(blocks, query_, count, condition,
                            condition.empty() ? std::span<const std::string>() : std::span(kColumns));
  }

  RecordingReader& reader_;
  const ReadQuery& query_;
  const ItemPruning pruning_;
  std::optional<ColumnFilter> columns_;
  Tallies tallies_;
  Counts counts_;
};

Result<Counts> RecordingReader::count(const ReadQuery& query) {
  BALEEN_TRY(std::vector<IndexedRecord> chosen, blocks(query));
  return Count(*this, query).run(std::move(chosen));
}

}  // namespace baleen::index
