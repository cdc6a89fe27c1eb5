#include "index/record_index.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/crc32c.h"
#include "index/items_cache.h"

// An index object has two lines for each block: where its record is and which streams it has, and the record without
// them. It is named by a checksum of its keys and their sizes, so that writing the same index twice is writing one
// object, and no reader ever sees a name with another content.

namespace baleen::index {
namespace {

using nlohmann::json;

std::optional<uint64_t> stream_number(std::string_view name) {
  uint64_t n = 0;
  const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), n);
  if (ec != std::errc() || std::string_view(end, name.data() + name.size()) != ".pcap") return std::nullopt;
  return n;
}

/// "date=2026-11-23" of a key; empty when it has none.
std::string day_of(std::string_view key) {
  const size_t at = key.find("/date=");
  return at == std::string_view::npos ? std::string() : std::string(key.substr(at + 1, 15));
}

Result<std::vector<store::ObjectFacts>> list_all(store::ObjectStore& store, const std::string& prefix) {
  std::vector<store::ObjectFacts> out;
  store::ListOptions options;
  options.prefix = prefix;
  do {
    BALEEN_TRY(store::ListPage page, store.list(options));
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(out));
    options.page_token = page.next_page_token;
  } while (!options.page_token.empty());
  return out;
}

/// What an index of these records is called: their keys and sizes decide it.
std::string index_key(const std::string& recording, const std::string& day,
                      std::span<const store::ObjectFacts> records) {
  std::string identity;
  for (const store::ObjectFacts& r : records) identity += fmt::format("{} {}\n", r.key, r.size);
  return fmt::format("{}{}/{}-{:08x}.ndjson", index_prefix(recording), day, records.size(), crc32c(as_bytes(identity)));
}

}  // namespace

bool IndexedRecord::is(const store::ObjectFacts& object) const {
  return size == object.size && (!object.crc32c || *object.crc32c == crc32c);
}

bool IndexedRecord::may_have_stream(std::string_view name) const {
  const auto n = stream_number(name);
  if (!numbered || !n) return true;
  const auto after =
      std::upper_bound(streams.begin(), streams.end(), *n, [](uint64_t v, const auto& run) { return v < run.first; });
  return after != streams.begin() && std::prev(after)->second >= *n;
}

std::string index_prefix(std::string_view recording) { return fmt::format("recording={}/index/", recording); }

IndexedRecord indexed(BlockRecord record, std::string_view text) {
  IndexedRecord out;
  out.size = text.size();
  out.crc32c = crc32c(as_bytes(text));
  std::vector<uint64_t> numbers;
  for (const StreamPlace& place : record.streams) {
    const auto n = stream_number(place.stream);
    if (n) {
      numbers.push_back(*n);
    } else {
      out.numbered = false;
    }
  }
  std::sort(numbers.begin(), numbers.end());
  for (const uint64_t n : numbers) {
    if (!out.streams.empty() && n <= out.streams.back().second + 1) {
      out.streams.back().second = n;
    } else {
      out.streams.emplace_back(n, n);
    }
  }
  out.record = std::move(record);
  return out;
}

std::string index_text(const std::map<std::string, IndexedRecord>& records) {
  std::string out;
  for (const auto& [key, r] : records) {
    const json head = {
        {"key", key}, {"size", r.size}, {"crc32c", r.crc32c}, {"numbered", r.numbered}, {"streams", r.streams}};
    out += head.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    BlockRecord record = r.record;
    record.streams.clear();
    out += record.to_json();
  }
  return out;
}

Result<> add_index(std::string_view text, std::map<std::string, IndexedRecord>& records) try {
  const auto line = [&text]() -> Result<std::string_view> {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return Error{Code::kInvalid, "an index that ends within a line"};
    const std::string_view out = text.substr(0, end);
    text.remove_prefix(end + 1);
    return out;
  };
  while (!text.empty()) {
    BALEEN_TRY(const std::string_view first, line());
    BALEEN_TRY(const std::string_view second, line());
    const json head = json::parse(first);
    IndexedRecord r;
    r.size = head.at("size").get<uint64_t>();
    r.crc32c = head.at("crc32c").get<uint32_t>();
    r.whole = false;
    r.numbered = head.at("numbered").get<bool>();
    r.streams = head.at("streams").get<decltype(r.streams)>();
    BALEEN_TRY(r.record, BlockRecord::from_json(second));
    records.insert_or_assign(head.at("key").get<std::string>(), std::move(r));
  }
  return {};
} catch (const json::exception& e) {
  return Error{Code::kInvalid, fmt::format("not an index of block records: {}", e.what())};
}

std::vector<Result<std::string>> get_all(store::ObjectStore& store, std::span<const std::string> keys) {
  std::vector<Wanted> wanted;
  for (const std::string& key : keys) wanted.push_back({key});
  return fetch_all(store, wanted);
}

Result<IndexOutcome> compact(store::ObjectStore& store, const std::string& prefix, const std::string& recording) {
  BALEEN_TRY(const auto listed, list_all(store, prefix + records_prefix(recording)));
  BALEEN_TRY(const auto indexes, list_all(store, prefix + index_prefix(recording)));
  std::map<std::string, std::vector<store::ObjectFacts>> days;
  for (const store::ObjectFacts& object : listed)
    if (object.key.ends_with(".json") && !day_of(object.key).empty()) days[day_of(object.key)].push_back(object);
  IndexOutcome outcome;
  outcome.days = days.size();
  std::vector<std::string> kept;
  for (auto& [day, objects] : days) {
    outcome.records += objects.size();
    for (store::ObjectFacts& object : objects) object.key.erase(0, prefix.size());
    const std::string key = prefix + index_key(recording, day, objects);
    kept.push_back(key);
    if (std::any_of(indexes.begin(), indexes.end(), [&](const auto& o) { return o.key == key; })) continue;
    std::vector<std::string> keys;
    for (const store::ObjectFacts& object : objects) keys.push_back(prefix + object.key);
    const auto texts = get_all(store, keys);
    std::map<std::string, IndexedRecord> records;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!texts[i]) return Error(texts[i].error()).in(keys[i]);
      auto record = BlockRecord::from_json(*texts[i]);
      if (!record) return std::move(record).error().in(keys[i]);
      records[objects[i].key] = indexed(std::move(*record), *texts[i]);
    }
    store::PutOptions options;
    options.content_type = "application/x-ndjson";
    const std::string text = index_text(records);
    BALEEN_TRY_DO(store::put_once(store, key, as_bytes(text), options));
    ++outcome.written;
  }
  for (const store::ObjectFacts& old : indexes) {
    if (std::find(kept.begin(), kept.end(), old.key) != kept.end()) continue;
    if (const auto removed = store.remove(old.key); !removed && removed.error().code != Code::kNotFound)
      return removed.error();
    ++outcome.removed;
  }
  return outcome;
}

}  // namespace baleen::index
