#include "index/recording_reader.h"

#include <fmt/core.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/crc32c.h"
#include "index/record_index.h"
#include "item/json.h"
#include "kfl/pushdown.h"

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

/// Whether a condition on the item's protocol can hold in a block that has items of these protocols only.
bool protocols_allow(const kfl::Conjunct& c, const BlockRecord& block) {
  if (c.column != "protocol.name" || c.op != kfl::Conjunct::Op::kEqual || block.items_by_protocol.empty()) return true;
  // Blocks count by short name; protocols whose name differs from it are never pruned by it.
  static const std::set<std::string_view> kSame = {"dns", "redis", "kafka", "amqp"};
  return !kSame.contains(c.text) || block.items_by_protocol.contains(c.text);
}

bool time_allows(const kfl::Conjunct& c, const BlockRecord& block) {
  if (c.column != "timestamp") return true;
  const auto first = static_cast<double>(to_ms(block.first)), last = static_cast<double>(to_ms(block.last)) + 1;
  switch (c.op) {
    case kfl::Conjunct::Op::kGreater:
    case kfl::Conjunct::Op::kGreaterEqual: return last >= c.number;
    case kfl::Conjunct::Op::kLess:
    case kfl::Conjunct::Op::kLessEqual: return first <= c.number;
    default: return true;
  }
}

/// Whether the zone map leaves room for an item with this pod or namespace at one of its ends.
bool places_allow(const kfl::Conjunct& c, const BlockRecord& block) {
  if (!block.zone_map_complete || c.op != kfl::Conjunct::Op::kEqual || c.text.empty()) return true;
  if (c.column == "src.namespace" || c.column == "dst.namespace") return block.namespaces.contains(c.text);
  if (c.column == "src.pod.metadata.name" || c.column == "dst.pod.metadata.name") return block.pods.contains(c.text);
  return true;
}

/// Status classes are those that a list shows, which is response.status for HTTP only.
bool status_allows(const kfl::Conjunct& c, const BlockRecord& block) {
  if (c.column != "response.status" || c.type != item::Value::Type::kDouble || c.number < 100 || c.number > 999)
    return true;
  for (const auto& [protocol, n] : block.items_by_protocol)
    if (protocol != "http") return true;
  const auto lowest = static_cast<int>(c.number) / 100;
  const auto any_from = [&](int first, int last) {
    for (int k = first; k <= last; ++k)
      if (block.status_classes.contains(fmt::format("{}xx", k))) return true;
    return false;
  };
  switch (c.op) {
    case kfl::Conjunct::Op::kEqual: return any_from(lowest, lowest);
    case kfl::Conjunct::Op::kGreater:
    case kfl::Conjunct::Op::kGreaterEqual: return any_from(lowest, 9);
    default: return true;
  }
}

/// "date=2026-11-23/hour=13" of the hour of a time: what a key has in it, and sorts by.
std::string hour_folder(Timestamp t) {
  const std::string text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(t));
  return fmt::format("date={}/hour={}", text.substr(0, 10), text.substr(11, 2));
}

}  // namespace

RecordingReader::RecordingReader(store::ObjectStore& store, std::string prefix, std::string cache_folder,
                                 uint64_t cache_limit)
    : store_(store), prefix_(std::move(prefix)), cache_(std::move(cache_folder)), cache_limit_(cache_limit) {
  if (cache_.empty()) {
    std::string pattern = (fs::temp_directory_path() / "baleen-read-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) cache_ = pattern;
    temporary_ = true;
  } else {
    std::error_code ignored;
    fs::create_directories(cache_, ignored);
  }
}

RecordingReader::~RecordingReader() {
  std::error_code ignored;
  if (temporary_ && !cache_.empty()) fs::remove_all(cache_, ignored);
}

Result<std::vector<std::string>> RecordingReader::recording_names() {
  std::vector<std::string> names;
  store::ListOptions options;
  options.prefix = prefix_ + "recording=";
  options.delimiter = "/";
  do {
    BALEEN_TRY(const store::ListPage page, store_.list(options));
    ++statistics_.requests;
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
  const int64_t since = to_ns(query.since);
  if (since > INT64_MIN + kDay) options.start_offset = options.prefix + hour_folder(timestamp_from_ns(since - kDay));
  const bool ends = to_ns(query.until) != INT64_MAX;
  const std::string last = ends ? options.prefix + hour_folder(query.until) : std::string();
  do {
    BALEEN_TRY(store::ListPage page, store_.list(options));
    ++statistics_.requests;
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

bool RecordingReader::may_match(const BlockRecord& block, const ReadQuery& query) const {
  if (block.last < query.since || block.first > query.until) return false;
  for (const kfl::Conjunct& c : kfl::pushdown(query.filter))
    if (!time_allows(c, block) || !protocols_allow(c, block) || !places_allow(c, block) || !status_allows(c, block))
      return false;
  return true;
}

Result<> RecordingReader::fetch_records(const std::vector<std::string>& keys, std::vector<IndexedRecord>& out) {
  const auto texts = get_all(store_, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    ++statistics_.requests;
    if (!texts[i]) return Error(texts[i].error()).in(keys[i]);
    statistics_.bytes += texts[i]->size();
    auto record = BlockRecord::from_json(*texts[i]);
    if (!record) return std::move(record).error().in(keys[i]);
    out.push_back(indexed(std::move(*record), texts[i]->size()));
    out.back().key = keys[i];
  }
  return {};
}

Result<std::vector<IndexedRecord>> RecordingReader::blocks(const ReadQuery& query) {
  std::vector<std::string> names = {query.recording};
  if (query.recording.empty()) {
    BALEEN_TRY(names, recording_names());
  }
  std::vector<IndexedRecord> out;
  for (const std::string& name : names) {
    BALEEN_TRY(const std::vector<store::ObjectFacts> listed, list_records(name, query));
    std::map<std::string, IndexedRecord> index = load_index(name, listed);
    std::vector<IndexedRecord> found;
    std::vector<std::string> missing;
    for (const store::ObjectFacts& object : listed) {
      const auto known = index.find(object.key.substr(prefix_.size()));
      if (known != index.end() && known->second.size == object.size) {
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
      if (may_match(block.record, query)) {
        out.push_back(std::move(block));
      } else {
        ++statistics_.blocks_skipped;
      }
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.record.first < b.record.first; });
  return out;
}

Result<std::vector<RecordingFacts>> RecordingReader::recordings() {
  BALEEN_TRY(const std::vector<IndexedRecord> all, blocks({}));
  std::map<std::string, RecordingFacts> by_name;
  std::map<std::pair<std::string, std::string>, const BlockRecord*> last_of_run;
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
    for (const auto& [protocol, n] : block.items_by_protocol) facts.items_by_protocol[protocol] += n;
    const BlockRecord*& last = last_of_run[{block.recording, block.node + "/" + block.run}];
    if (last == nullptr || last->block < block.block) last = &block;
  }
  for (const auto& [key, block] : last_of_run) {
    LossLedger& sum = by_name[key.first].ledger;
    const LossLedger& l = block->ledger;
    sum.items_seen += l.items_seen;
    sum.items_stored += l.items_stored;
    sum.items_not_matched += l.items_not_matched;
    sum.items_dropped_queue += l.items_dropped_queue;
    sum.items_in_flight += l.items_in_flight;
    sum.packets_captured += l.packets_captured;
    sum.packets_dropped_kernel += l.packets_dropped_kernel;
    sum.packets_stored += l.packets_stored;
    sum.packets_lost_recorder += l.packets_lost_recorder;
    sum.packets_truncated += l.packets_truncated;
  }
  std::vector<RecordingFacts> out;
  for (auto& [name, facts] : by_name) out.push_back(std::move(facts));
  return out;
}

/// Items objects never change, so a copy is good as long as it is whole; what is missing is fetched at once.
Result<std::vector<std::string>> RecordingReader::local_copies(std::span<const ObjectRecord> objects) {
  std::vector<std::string> paths, keys;
  std::vector<size_t> missing;
  for (const ObjectRecord& object : objects) {
    const fs::path path = fs::path(cache_) / fmt::format("{:08x}-{}-{}", object.crc32c, object.size,
                                                         fs::path(object.key).filename().string());
    std::error_code absent;
    if (fs::file_size(path, absent) == object.size && !absent) {
      ++statistics_.cached;
      fs::last_write_time(path, fs::file_time_type::clock::now(), absent);
    } else {
      missing.push_back(paths.size());
      keys.push_back(prefix_ + object.key);
    }
    paths.push_back(path.string());
  }
  // Batches bound the memory: these objects are of megabytes.
  constexpr size_t kBatch = 16;
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t n = std::min(kBatch, keys.size() - begin);
    auto contents = get_all(store_, std::span(keys).subspan(begin, n));
    for (size_t i = 0; i < n; ++i) {
      if (!contents[i]) return std::move(contents[i]).error().in(keys[begin + i]);
      const size_t which = missing[begin + i];
      BALEEN_TRY_DO(keep(objects[which], *contents[i], paths[which]));
    }
  }
  if (!missing.empty()) trim_cache();
  return paths;
}

Result<> RecordingReader::keep(const ObjectRecord& object, const std::string& content, const std::string& path) {
  ++statistics_.requests;
  statistics_.bytes += content.size();
  if (content.size() != object.size || crc32c(as_bytes(content)) != object.crc32c)
    return Error{
        Code::kIo,
        fmt::format(
            "{}: its content is not what its block record says: {} bytes, CRC32C {:08x}; expected {} bytes, {:08x}",
            object.key, content.size(), crc32c(as_bytes(content)), object.size, object.crc32c)};
  const std::string temporary = path + ".part";
  std::ofstream out(temporary, std::ios::binary);
  out << content;
  out.close();
  if (!out) return Error{Code::kIo, fmt::format("{}: cannot be written", temporary)};
  std::error_code failed;
  fs::rename(temporary, path, failed);
  if (failed) return Error{Code::kIo, fmt::format("{}: {}", path, failed.message())};
  return {};
}

void RecordingReader::trim_cache() {
  if (temporary_) return;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(cache_, ignored)) {
    files.emplace_back(entry.last_write_time(ignored), entry.path());
    bytes += entry.file_size(ignored);
  }
  std::sort(files.begin(), files.end());
  // The newest stay: they are what the query in hand needs.
  for (size_t i = 0; i + 64 < files.size() && bytes > cache_limit_; ++i) {
    bytes -= fs::file_size(files[i].second, ignored);
    fs::remove(files[i].second, ignored);
  }
}

Result<> RecordingReader::items(const ReadQuery& query, const std::function<bool(const StoredItem&)>& each) {
  BALEEN_TRY(const std::vector<IndexedRecord> chosen, blocks(query));
  return items_of(chosen, query, each);
}

Result<> RecordingReader::items_of(const std::vector<IndexedRecord>& chosen, const ReadQuery& query,
                                   const std::function<bool(const StoredItem&)>& each) {
  const uint64_t limit = query.limit != 0 ? query.limit : query.filter.limit();
  uint64_t found = 0;
  Arena arena;
  // Blocks that overlap in time are read together, so that the order holds over nodes; others one group after the
  // other, so that a limit stops early.
  for (size_t begin = 0; begin < chosen.size();) {
    ParquetQuery parquet;
    Timestamp last = chosen[begin].record.last;
    size_t end = begin;
    std::vector<ObjectRecord> objects;
    for (; end < chosen.size() && (end == begin || chosen[end].record.first <= last); ++end) {
      last = std::max(last, chosen[end].record.last);
      if (chosen[end].record.items != 0) objects.push_back(chosen[end].record.items_object);
    }
    BALEEN_TRY(parquet.files, local_copies(objects));
    parquet.since_ns = to_ns(query.since);
    parquet.until_ns = to_ns(query.until);
    bool stopped = false;
    BALEEN_TRY_DO(read_parquet(parquet, [&](const StoredItem& item) {
      ++statistics_.rows;
      arena.clear();
      const auto root = item::parse_json(item.json, arena);
      if (!root || !query.filter.matches_json(*root)) return true;
      ++statistics_.matches;
      stopped = !each(item) || ++found == limit;
      return !stopped;
    }));
    if (stopped) break;
    begin = end;
  }
  return {};
}

Result<std::string> RecordingReader::range(const std::string& key, uint64_t offset, uint64_t length) {
  BALEEN_TRY(std::string bytes, store_.get_range(prefix_ + key, offset, length));
  ++statistics_.requests;
  statistics_.bytes += bytes.size();
  if (bytes.size() != length)
    return Error{Code::kIo, fmt::format("{}: {} bytes at {} expected, {} found", key, length, offset, bytes.size())};
  return bytes;
}

namespace {

std::string run_of(const BlockRecord& block) { return block.recording + "/" + block.node + "/" + block.run; }

}  // namespace

Result<uint64_t> RecordingReader::packets(const ReadQuery& query, const std::function<void(std::string_view)>& write) {
  BALEEN_TRY(const std::vector<IndexedRecord> chosen, blocks(query));
  std::map<std::string, std::string> run_of_object;
  for (const IndexedRecord& block : chosen) run_of_object[block.record.packets_object.key] = run_of(block.record);
  std::set<std::pair<std::string, std::string>> wanted;  // run and stream: numbers of streams begin anew in each run
  BALEEN_TRY_DO(items_of(chosen, query, [&](const StoredItem& item) {
    wanted.emplace(run_of_object[item.packets_object], item.stream);
    return true;
  }));
  if (wanted.empty()) return 0;
  // A stream goes on in later blocks of its run and has begun in earlier ones: look at all of the recording's.
  ReadQuery whole;
  whole.recording = query.recording;
  BALEEN_TRY(const std::vector<IndexedRecord> all, blocks(whole));
  std::vector<std::string> keys;
  for (const IndexedRecord& block : all)
    if (std::any_of(wanted.begin(), wanted.end(),
                    [&](const auto& w) { return w.first == run_of(block.record) && block.may_have_stream(w.second); }))
      keys.push_back(block.key);
  uint64_t packets = 0;
  constexpr size_t kBatch = 16;  // records with their streams may be large
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t n = std::min(kBatch, keys.size() - begin);
    const auto texts = get_all(store_, std::span(keys).subspan(begin, n));
    for (size_t i = 0; i < n; ++i) {
      ++statistics_.requests;
      if (!texts[i]) return Error(texts[i].error()).in(keys[begin + i]);
      statistics_.bytes += texts[i]->size();
      auto record = BlockRecord::from_json(*texts[i]);
      if (!record) return std::move(record).error().in(keys[begin + i]);
      BALEEN_TRY(const uint64_t written, write_streams(*record, wanted, write));
      packets += written;
    }
  }
  return packets;
}

Result<uint64_t> RecordingReader::write_streams(const BlockRecord& block,
                                                const std::set<std::pair<std::string, std::string>>& wanted,
                                                const std::function<void(std::string_view)>& write) {
  uint64_t packets = 0;
  bool header_written = false;
  for (const StreamPlace& place : block.streams) {
    if (!wanted.contains({run_of(block), place.stream})) continue;
    if (!std::exchange(header_written, true)) {
      // Each block brings its own section with its interfaces (pcapng allows several sections in a file).
      BALEEN_TRY(const std::string header, range(block.packets_object.key, 0, block.header_length));
      write(header);
    }
    BALEEN_TRY(const std::string bytes, range(block.packets_object.key, place.offset, place.length));
    write(bytes);
    packets += place.packets;
  }
  return packets;
}

}  // namespace baleen::index
