#include "index/recording_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "base/bytes.h"
#include "index/duckdb.h"
#include "index/item_columns.h"
#include "index/item_pruning.h"
#include "index/item_scan.h"
#include "index/recording_blocks.h"

namespace baleen::index {
namespace {

/// "date=2026-11-23/hour=13" of the hour of a time: what a key has in it, and sorts by.
std::string hour_folder(Timestamp t) {
  const std::string text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(t));
  return fmt::format("date={}/hour={}", text.substr(0, 10), text.substr(11, 2));
}

bool is_before(const BlockRecord& block, const std::optional<Position>& after) {
  return after && to_ns(block.last) < after->time_ns;
}

/// SQL of what a query asks besides its filter, over these columns.
std::string identity_condition(const ReadQuery& query) {
  std::string out;
  if (!query.item.empty()) out = "item_id = " + sql_text(query.item);
  if (!query.stream.empty()) out += (out.empty() ? "" : " AND ") + ("stream = " + sql_text(query.stream));
  return out;
}

/// Numbers of streams begin anew in each run.
std::string run_of(const BlockRecord& block) { return block.recording + "/" + block.node + "/" + block.run; }

}  // namespace

RecordingReader::RecordingReader(store::ObjectStore& store, std::string prefix, std::string cache_folder,
                                 uint64_t cache_limit)
    : store_(store),
      prefix_(prefix),
      cache_(store, std::move(prefix), std::move(cache_folder), cache_limit, statistics_) {}

RecordingReader::~RecordingReader() = default;

Result<std::vector<std::string>> RecordingReader::recording_names() {
  std::vector<std::string> names;
  store::ListOptions options;
  options.prefix = prefix_ + "recording=";
  options.delimiter = "/";
  do {
    BALEEN_TRY(const store::ListPage page, store_.list(options));
    ++statistics_.requests;
    ++statistics_.lists;
    for (const std::string& found : page.prefixes)
      names.push_back(found.substr(options.prefix.size(), found.size() - options.prefix.size() - 1));
    options.page_token = page.next_page_token;
  } while (!options.page_token.empty());
  return names;
}

Result<std::vector<store::ObjectFacts>> RecordingReader::list_records(const std::string& recording,
                                                                      const ReadQuery& query) {
  // A block lies in the folder of its first packet's hour, and a block is closed long before it is a day old.
  constexpr int64_t kDay = 86'400'000'000'000;
  std::vector<store::ObjectFacts> found;
  store::ListOptions options;
  options.prefix = prefix_ + records_prefix(recording);
  const int64_t since = to_ns(query.listed_from.value_or(query.since));
  if (since > INT64_MIN + kDay) options.start_offset = options.prefix + hour_folder(timestamp_from_ns(since - kDay));
  const bool ends = to_ns(query.until) != INT64_MAX;
  const std::string last = ends ? options.prefix + hour_folder(query.until) : std::string();
  do {
    BALEEN_TRY(store::ListPage page, store_.list(options));
    ++statistics_.requests;
    ++statistics_.lists;
    for (store::ObjectFacts& object : page.objects) {
      if (ends && object.key.compare(0, last.size(), last) > 0) return found;
      if (object.key.ends_with(".json")) found.push_back(std::move(object));
    }
    options.page_token = page.next_page_token;
  } while (!options.page_token.empty());
  return found;
}

std::map<std::string, IndexedRecord> RecordingReader::load_index(const std::string& recording,
                                                                 const std::vector<store::ObjectFacts>& records) {
  std::map<std::string, IndexedRecord> out;
  constexpr size_t kWorthIt = 8;  // fewer records than that are fetched sooner than an index is found
  if (records.size() < kWorthIt) return out;
  const std::string folder = prefix_ + index_prefix(recording);
  const auto day = [](std::string_view key) { return key.substr(std::min(key.find("/date="), key.size()), 16); };
  const std::string first(day(records.front().key)), last(day(records.back().key));
  store::ListOptions options;
  options.prefix = folder;
  std::vector<std::string> keys;
  do {
    const auto page = store_.list(options);
    ++statistics_.requests;
    ++statistics_.lists;
    if (!page) return out;
    for (const store::ObjectFacts& object : page->objects)
      if (day(object.key) >= first && day(object.key) <= last) keys.push_back(object.key);
    options.page_token = page->next_page_token;
  } while (!options.page_token.empty());
  // Whatever is wrong with an index, the records themselves are there.
  for (const Result<std::string>& text : get_all(store_, keys)) {
    ++statistics_.requests;
    if (!text) continue;
    statistics_.bytes += text->size();
    static_cast<void>(add_index(*text, out));
  }
  return out;
}

/// Keeps in mind what one object's trouble is; an error again when it is not of one object.
Result<> RecordingReader::leave_out(Error error) {
  if (error.retryable() || error.code == Code::kDenied) return error;
  const auto same = [&](const Error& known) { return known.message == error.message; };
  if (std::none_of(problems_.begin(), problems_.end(), same)) problems_.push_back(std::move(error));
  return {};
}

Result<> RecordingReader::fetch_records(const std::vector<std::string>& keys, std::vector<IndexedRecord>& out) {
  constexpr size_t kBatch = 64;  // records with their streams may be large
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const std::span batch = std::span(keys).subspan(begin, std::min(kBatch, keys.size() - begin));
    const auto texts = get_all(store_, batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      ++statistics_.requests;
      if (texts[i]) statistics_.bytes += texts[i]->size();
      auto record = texts[i] ? BlockRecord::from_json(*texts[i]) : Result<BlockRecord>(texts[i].error());
      if (!record) {
        BALEEN_TRY_DO(leave_out(std::move(record).error().in(batch[i])));
        continue;
      }
      out.push_back(indexed(*std::move(record), *texts[i]));
      out.back().key = batch[i];
    }
  }
  return {};
}

Result<std::vector<IndexedRecord>> RecordingReader::blocks(const ReadQuery& query) {
  std::vector<std::string> names = {query.recording};
  if (query.recording.empty()) {
    BALEEN_TRY(names, recording_names());
  }
  const ItemPruning pruning(query.filter, query.since, query.until);
  std::vector<IndexedRecord> out;
  for (const std::string& name : names) {
    BALEEN_TRY(const std::vector<store::ObjectFacts> listed, list_records(name, query));
    std::map<std::string, IndexedRecord> index = load_index(name, listed);
    std::vector<IndexedRecord> found;
    std::vector<std::string> missing;
    for (const store::ObjectFacts& object : listed) {
      const auto known = index.find(object.key.substr(prefix_.size()));
      if (known != index.end() && known->second.is(object)) {
        known->second.key = object.key;
        found.push_back(std::move(known->second));
        ++statistics_.blocks_indexed;
      } else {
        missing.push_back(object.key);
      }
    }
    BALEEN_TRY_DO(fetch_records(missing, found));
    for (IndexedRecord& block : found) {
      ++statistics_.blocks;
      if (block.record.last < query.since || block.record.first > query.until || is_before(block.record, query.after)) {
        skip(&ReadStatistics::skipped_time);
      } else if (!pruning.may_match(block.record)) {
        skip(&ReadStatistics::skipped_filter);
      } else if (!query.stream.empty() && !block.may_have_stream(query.stream)) {
        skip(&ReadStatistics::skipped_stream);
      } else {
        out.push_back(std::move(block));
      }
    }
  }
  std::sort(out.begin(), out.end(), [](const IndexedRecord& a, const IndexedRecord& b) {
    return std::tie(a.record.first, a.key) < std::tie(b.record.first, b.key);
  });
  return out;
}

Result<std::vector<RecordingFacts>> RecordingReader::recordings() {
  BALEEN_TRY(const std::vector<IndexedRecord> all, blocks({}));
  std::map<std::string, RecordingFacts> by_name;
  std::map<std::pair<std::string, std::string>, const BlockRecord*> last_of_run;
  std::map<std::string, std::map<std::string, DroppedBlocks>> dropped;  // by recording and id
  for (const IndexedRecord& known : all) {
    const BlockRecord& block = known.record;
    RecordingFacts& facts = by_name[block.recording];
    facts.name = block.recording;
    if (facts.blocks == 0 || block.first < facts.first) facts.first = block.first;
    facts.last = std::max(facts.last, block.last);
    ++facts.blocks;
    facts.items += block.items;
    facts.packets += block.packets;
    facts.bytes += block.packets_object.size + block.items_object.size;
    facts.filter = block.filter;
    // The same ones may be told twice; what was told later may have grown.
    for (const DroppedBlocks& d : block.dropped)
      if (DroppedBlocks& known = dropped[block.recording][d.block]; d.blocks >= known.blocks) known = d;
    for (const auto& [protocol, n] : block.items_by_protocol) facts.items_by_protocol[protocol] += n;
    // Counters only grow: the block that has seen most closed last. One that was taken up after a crash has no ledger.
    const BlockRecord*& last = last_of_run[{block.recording, block.node + "/" + block.run}];
    if (last == nullptr || last->ledger.items_seen <= block.ledger.items_seen) last = &block;
  }
  for (const auto& [key, block] : last_of_run) {
    by_name[key.first].ledger += block->ledger;
  }
  std::vector<RecordingFacts> out;
  for (auto& [name, facts] : by_name) {
    for (const auto& [id, blocks] : dropped[name]) facts.dropped.push_back(blocks);
    out.push_back(std::move(facts));
  }
  return out;
}

Result<> RecordingReader::items(const ReadQuery& query, const std::function<bool(const StoredItem&)>& each) {
  BALEEN_TRY(const std::vector<IndexedRecord> chosen, blocks(query));
  return items_of(chosen, query, [&](const StoredItem& item, const BlockRecord&) { return each(item); });
}

void RecordingReader::skip(uint64_t ReadStatistics::* why, uint64_t n) {
  statistics_.*why += n;
  statistics_.blocks_skipped += n;
}

Result<> RecordingReader::new_items(const ReadQuery& query, Followed& followed,
                                    const std::function<bool(const StoredItem&)>& each) {
  if (followed.pending.empty()) {
    BALEEN_TRY(followed.pending, blocks(query));
    std::set<std::string> found;
    for (const IndexedRecord& block : followed.pending) found.insert(block.key);
    std::erase_if(followed.pending, [&](const IndexedRecord& block) { return followed.blocks.contains(block.key); });
    followed.blocks = std::move(found);  // of those before, what is not listed any more never comes back
    followed.after = query.after;
  }
  ReadQuery rest = query;
  rest.after = followed.after;
  BALEEN_TRY_DO(items_of(followed.pending, rest, [&](const StoredItem& item, const BlockRecord&) {
    followed.after = Position{item.time_ns, std::string(item.node), item.stream, item.index, std::string(item.block)};
    return each(item);
  }));
  followed.pending.clear();
  return {};
}

Result<> RecordingReader::items_of(const std::vector<IndexedRecord>& blocks, const ReadQuery& query,
                                   const EachItem& each, const std::string& condition,
                                   std::span<const std::string> columns) {
  const uint64_t limit = query.limit != 0 ? query.limit : query.filter.limit();
  const ItemPruning pruning(query.filter, query.since, query.until);
  std::vector<std::string> wanted(columns.begin(), columns.end());
  const std::string identity = identity_condition(query);
  if (query.whole_rows) {
    wanted.clear();
    for (const Column& column : item_columns()) wanted.emplace_back(column.name);
  } else if (!query.item.empty() && wanted.empty()) {
    for (const char* column : {"time", "node", "stream", "item_index", "item_id", "packets_object", "json"})
      wanted.emplace_back(column);
  }
  Blocks chosen(*this, blocks, pruning, wanted);
  ScanQuery scan;
  scan.filter = query.filter;
  scan.since_ns = to_ns(query.since);
  scan.until_ns = to_ns(query.until);
  scan.condition = pruning.condition();
  for (const std::string* more : {&condition, &identity})
    if (!more->empty())
      scan.condition = scan.condition.empty() ? *more : fmt::format("({}) AND ({})", scan.condition, *more);
  scan.whole_rows = query.whole_rows;
  scan.after = query.after ? &*query.after : nullptr;
  ScanCounters counters;
  uint64_t found = 0;
  const auto outcome = scan_items(
      scan, chosen,
      [&](const StoredItem& item, size_t block) { return each(item, chosen.record(block)) && ++found != limit; },
      counters);
  statistics_.rows += counters.rows;
  statistics_.matches += counters.matches;
  cache_.release();
  return outcome;
}

Result<std::string> RecordingReader::range(const std::string& key, uint64_t offset, uint64_t length) {
  BALEEN_TRY(std::string bytes, store_.get_range(prefix_ + key, offset, length));
  ++statistics_.requests;
  statistics_.bytes += bytes.size();
  if (bytes.size() != length)
    return Error{Code::kIo, fmt::format("{} bytes at {} expected, {} found", length, offset, bytes.size())};
  return bytes;
}

/// The same of a block's packets as they were before encryption.
Result<std::string> RecordingReader::packets_range(const BlockRecord& block, uint64_t offset, uint64_t length) {
  BALEEN_TRY(const auto cipher, cipher_of(block, block.packets_object, keys_.get()));
  if (!cipher) return range(block.packets_object.key, offset, length);
  const ObjectCipher::Place at = cipher->place(offset, length);
  BALEEN_TRY(const std::string sealed, range(block.packets_object.key, at.offset, at.length));
  return cipher->open(offset, length, sealed);
}

/// Whether these bytes are that many packets of a pcapng file, as whole blocks (draft-ietf-opsawg-pcapng 3.1).
static bool are_packets(std::string_view text, uint64_t packets) {
  constexpr uint32_t kEnhancedPacket = 6;
  const Bytes b = as_bytes(text);
  uint64_t found = 0;
  for (size_t at = 0; at < b.size();) {
    if (b.size() - at < 12) return false;
    const uint32_t size = load_le32(&b[at + 4]);
    if (size < 12 || size % 4 != 0 || size > b.size() - at || load_le32(&b[at + size - 4]) != size) return false;
    found += load_le32(&b[at]) == kEnhancedPacket;
    at += size;
  }
  return found == packets;
}

/// Writes those of a block's streams that are wanted, with the section and interfaces that they belong to: each block
/// brings its own (pcapng allows several sections in a file).
Result<uint64_t> RecordingReader::write_streams(const BlockRecord& block, const Streams& wanted,
                                                const std::function<void(std::string_view)>& write) {
  uint64_t packets = 0;
  const std::string run = run_of(block);
  std::string header;
  for (const StreamPlace& place : block.streams) {
    if (!wanted.contains({run, place.stream})) continue;
    const bool first = header.empty();
    if (first) {
      BALEEN_TRY(header, packets_range(block, 0, block.header_length));
    }
    BALEEN_TRY(const std::string bytes, packets_range(block, place.offset, place.length));
    if (!are_packets(bytes, place.packets)) {
      BALEEN_TRY_DO(leave_out(
          Error{Code::kIo, fmt::format("{}: the packets of {} are damaged", block.packets_object.key, place.stream)}));
      if (first) header.clear();
      continue;
    }
    if (first) write(header);
    write(bytes);
    packets += place.packets;
  }
  return packets;
}

/// Of a scope, or that no dissector understood: no item leads to them. Of a window all that the blocks in it have, but
/// for those whose items lie in blocks outside of it.
Result<> RecordingReader::add_streams_without_items(const std::vector<IndexedRecord>& all,
                                                    const std::vector<IndexedRecord>& chosen, const ReadQuery& query,
                                                    Streams& wanted) {
  const ReadQuery any;
  const bool window = query.since != any.since || query.until != any.until;
  Streams with_items, without;
  const auto note = [&](const StoredItem& item, const BlockRecord& block) {
    with_items.emplace(run_of(block), item.stream);
    return true;
  };
  if (window) BALEEN_TRY_DO(items_of(chosen, any, note));
  std::set<std::string> looked_at;  // keys of records
  for (const IndexedRecord& block : chosen) {
    looked_at.insert(block.key);
    std::vector<IndexedRecord> fetched;
    if (!block.whole) BALEEN_TRY_DO(fetch_records({block.key}, fetched));
    if (!block.whole && fetched.empty()) continue;
    const BlockRecord& record = block.whole ? block.record : fetched.front().record;
    for (const StreamPlace& place : record.streams)
      if (std::pair name(run_of(record), place.stream); !with_items.contains(name)) without.insert(std::move(name));
  }
  if (window) {
    std::vector<IndexedRecord> others;
    for (const IndexedRecord& block : all) {
      const std::string run = run_of(block.record);
      if (!looked_at.contains(block.key) && std::any_of(without.begin(), without.end(), [&](const auto& name) {
            return name.first == run && block.may_have_stream(name.second);
          }))
        others.push_back(block);
    }
    BALEEN_TRY_DO(items_of(others, any, note));
  }
  std::set_difference(without.begin(), without.end(), with_items.begin(), with_items.end(),
                      std::inserter(wanted, wanted.end()));
  return {};
}

Result<RecordingReader::Packets> RecordingReader::packets(const ReadQuery& query,
                                                          const std::function<void(std::string_view)>& write) {
  // A stream goes on in later blocks of its run and has begun in earlier ones: look at all of the recording's.
  ReadQuery whole;
  whole.recording = query.recording;
  BALEEN_TRY(std::vector<IndexedRecord> all, blocks(whole));
  const ItemPruning pruning(query.filter, query.since, query.until);
  std::vector<IndexedRecord> chosen;
  for (const IndexedRecord& block : all) {
    if (pruning.may_match(block.record) && (query.stream.empty() || block.may_have_stream(query.stream)))
      chosen.push_back(block);
  }
  skip(&ReadStatistics::skipped_filter, all.size() - chosen.size());
  Streams wanted;
  Packets out;
  const uint64_t limit = query.limit != 0 ? query.limit : query.filter.limit();
  ReadQuery one_more = query;  // to know whether there are more
  if (limit != 0) one_more.limit = limit + 1;
  uint64_t items = 0;
  BALEEN_TRY_DO(items_of(chosen, one_more, [&](const StoredItem& item, const BlockRecord& block) {
    out.more = limit != 0 && ++items > limit;
    if (!out.more) wanted.emplace(run_of(block), item.stream);
    return true;
  }));
  if (query.filter.text().empty() && query.limit == 0 && query.item.empty()) {
    if (query.stream.empty()) {
      BALEEN_TRY_DO(add_streams_without_items(all, chosen, query, wanted));
    } else {
      for (const IndexedRecord& block : chosen) wanted.emplace(run_of(block.record), query.stream);
    }
  }
  std::erase_if(all, [&](const IndexedRecord& block) {
    const std::string run = run_of(block.record);
    return std::none_of(wanted.begin(), wanted.end(),
                        [&](const auto& w) { return w.first == run && block.may_have_stream(w.second); });
  });
  for (IndexedRecord& block : all) {
    std::vector<IndexedRecord> fetched;
    if (!block.whole) {
      BALEEN_TRY_DO(fetch_records({block.key}, fetched));
      if (fetched.empty()) continue;
    }
    const BlockRecord& record = block.whole ? block.record : fetched.front().record;
    auto written = write_streams(record, wanted, write);
    if (written) {
      out.written += *written;
    } else {
      BALEEN_TRY_DO(leave_out(std::move(written).error().in(record.packets_object.key)));
    }
  }
  return out;
}

}  // namespace baleen::index
