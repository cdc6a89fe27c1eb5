#include "index/recording_reader.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/crc32c.h"
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

Result<std::vector<std::string>> RecordingReader::list_records(const std::string& recording) {
  std::vector<std::string> keys;
  store::ListOptions options;
  options.prefix = prefix_ + records_prefix(recording);
  do {
    BALEEN_TRY(const store::ListPage page, store_.list(options));
    ++statistics_.requests;
    for (const store::ObjectFacts& object : page.objects)
      if (object.key.ends_with(".json")) keys.push_back(object.key);
    options.page_token = page.next_page_token;
  } while (!options.page_token.empty());
  return keys;
}

bool RecordingReader::may_match(const BlockRecord& block, const ReadQuery& query) const {
  if (block.last < query.since || block.first > query.until) return false;
  for (const kfl::Conjunct& c : kfl::pushdown(query.filter))
    if (!time_allows(c, block) || !protocols_allow(c, block)) return false;
  return true;
}

/// Keeps in mind what one object's trouble is; an error again when it is not of one object.
Result<> RecordingReader::leave_out(Error error) {
  if (error.retryable() || error.code == Code::kDenied) return error;
  const auto same = [&](const Error& known) { return known.message == error.message; };
  if (std::none_of(problems_.begin(), problems_.end(), same)) problems_.push_back(std::move(error));
  return {};
}

Result<std::vector<BlockRecord>> RecordingReader::blocks(const ReadQuery& query) {
  std::vector<std::string> names = {query.recording};
  if (query.recording.empty()) {
    BALEEN_TRY(names, recording_names());
  }
  std::vector<BlockRecord> out;
  for (const std::string& name : names) {
    BALEEN_TRY(const std::vector<std::string> keys, list_records(name));
    for (const std::string& key : keys) {
      auto text = store_.get(key);
      ++statistics_.requests;
      if (text) statistics_.bytes += text->size();
      auto record = text ? BlockRecord::from_json(*text) : Result<BlockRecord>(std::move(text).error());
      if (!record) {
        BALEEN_TRY_DO(leave_out(std::move(record).error().in(key)));
        continue;
      }
      ++statistics_.blocks;
      if (may_match(*record, query)) {
        out.push_back(std::move(*record));
      } else {
        ++statistics_.blocks_skipped;
      }
    }
  }
  std::sort(out.begin(), out.end(), [](const BlockRecord& a, const BlockRecord& b) { return a.first < b.first; });
  return out;
}

Result<std::vector<RecordingFacts>> RecordingReader::recordings() {
  BALEEN_TRY(const std::vector<BlockRecord> all, blocks({}));
  std::map<std::string, RecordingFacts> by_name;
  std::map<std::pair<std::string, std::string>, const BlockRecord*> last_of_run;
  for (const BlockRecord& block : all) {
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
    // Counters only grow: the block that has seen most closed last. One that was taken up after a crash has no ledger.
    const BlockRecord*& last = last_of_run[{block.recording, block.node + "/" + block.run}];
    if (last == nullptr || last->ledger.items_seen <= block.ledger.items_seen) last = &block;
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
    sum.items_failed += l.items_failed;
    sum.items_redacted += l.items_redacted;
    sum.packets_redacted += l.packets_redacted;
    sum.packets_blanked += l.packets_blanked;
  }
  std::vector<RecordingFacts> out;
  for (auto& [name, facts] : by_name) out.push_back(std::move(facts));
  return out;
}

/// Items objects never change, so a copy is good as long as its checksum is.
Result<std::string> RecordingReader::local_copy(const ObjectRecord& object) {
  const fs::path path = fs::path(cache_) / fmt::format("{:08x}-{}-{}", object.crc32c, object.size,
                                                       fs::path(object.key).filename().string());
  const auto have = store::sum_file(path.string());
  if (have && have->size == object.size && have->crc32c == object.crc32c) {
    ++statistics_.cached;
    std::error_code ignored;
    fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
    return path.string();
  }
  BALEEN_TRY(const std::string content, store_.get(prefix_ + object.key));
  ++statistics_.requests;
  statistics_.bytes += content.size();
  const uint32_t crc = crc32c(as_bytes(content));
  if (content.size() != object.size || crc != object.crc32c)
    return Error{Code::kIo, fmt::format("its content is not what its block record says: {} bytes, CRC32C {:08x}; "
                                        "expected {} bytes, {:08x}",
                                        content.size(), crc, object.size, object.crc32c)};
  // Other processes may use the same cache.
  const fs::path temporary = fmt::format("{}.{}.part", path.string(), ::getpid());
  std::ofstream out(temporary, std::ios::binary);
  out << content;
  out.close();
  std::error_code failed;
  if (out) fs::rename(temporary, path, failed);
  if (!out || failed) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    return Error{Code::kIo, fmt::format("{}: cannot be written: is the disk full?", path.string())};
  }
  trim_cache();
  return path.string();
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
  BALEEN_TRY(const std::vector<BlockRecord> chosen, blocks(query));
  return items_of(chosen, query, [&](const StoredItem& item, const BlockRecord&) { return each(item); });
}

Result<> RecordingReader::items_of(const std::vector<BlockRecord>& blocks, const ReadQuery& query,
                                   const EachItem& each) {
  const uint64_t limit = query.limit != 0 ? query.limit : query.filter.limit();
  uint64_t found = 0;
  Arena arena;
  // Blocks that overlap in time are read together, so that the order holds over nodes; others one group after the
  // other, so that a limit stops early.
  for (size_t begin = 0; begin < blocks.size();) {
    ParquetQuery parquet;
    std::vector<const BlockRecord*> block_of_file;
    Timestamp last = blocks[begin].last;
    size_t end = begin;
    for (; end < blocks.size() && (end == begin || blocks[end].first <= last); ++end) {
      last = std::max(last, blocks[end].last);
      if (blocks[end].items == 0) continue;
      auto file = readable_copy(blocks[end]);
      if (!file) {
        BALEEN_TRY_DO(leave_out(std::move(file).error().in(blocks[end].items_object.key)));
        continue;
      }
      parquet.files.push_back(*std::move(file));
      block_of_file.push_back(&blocks[end]);
    }
    parquet.since_ns = to_ns(query.since);
    parquet.until_ns = to_ns(query.until);
    bool stopped = false;
    const auto forget = std::unique_ptr<void, std::function<void(void*)>>(this, [&](void*) { decrypted_.clear(); });
    BALEEN_TRY_DO(read_parquet(parquet, [&](const StoredItem& item) {
      ++statistics_.rows;
      arena.clear();
      const auto root = item::parse_json(item.json, arena);
      if (!root || !query.filter.matches_json(*root)) return true;
      ++statistics_.matches;
      stopped = !each(item, *block_of_file[item.file]) || ++found == limit;
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

/// A file with a block's items. What is encrypted is kept so, and read in memory.
Result<std::string> RecordingReader::readable_copy(const BlockRecord& block) {
  BALEEN_TRY(const auto cipher, cipher_of(block, block.items_object, keys_.get()));
  BALEEN_TRY(std::string path, local_copy(block.items_object));
  if (!cipher) return path;
  std::ifstream in(path, std::ios::binary);
  std::string sealed((std::istreambuf_iterator<char>(in)), {});
  BALEEN_TRY(const std::string text, cipher->open_all(sealed));
  UniqueFd memory(::memfd_create("items", MFD_CLOEXEC));
  if (!memory) return errno_error("memfd_create", errno);
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(memory.get(), text.data() + at, text.size() - at);
    if (n < 0) return errno_error("memfd", errno);
    at += static_cast<size_t>(n);
  }
  decrypted_.push_back(std::move(memory));
  return fmt::format("/proc/self/fd/{}", decrypted_.back().get());
}

/// Writes those of a block's streams that are wanted, with the section and interfaces that they belong to: each block
/// brings its own (pcapng allows several sections in a file).
Result<uint64_t> RecordingReader::write_streams(const BlockRecord& block,
                                                const std::function<bool(const StreamPlace&)>& wanted,
                                                const std::function<void(std::string_view)>& write) {
  uint64_t packets = 0;
  std::string header;
  for (const StreamPlace& place : block.streams) {
    if (!wanted(place)) continue;
    const bool first = header.empty();
    if (first) {
      BALEEN_TRY(header, packets_range(block, 0, block.header_length));
    }
    BALEEN_TRY(const std::string bytes, packets_range(block, place.offset, place.length));
    if (first) write(header);
    write(bytes);
    packets += place.packets;
  }
  return packets;
}

Result<uint64_t> RecordingReader::packets(const ReadQuery& query, const std::function<void(std::string_view)>& write) {
  // A stream goes on in later blocks of its run and has begun in earlier ones: look at all of the recording's.
  ReadQuery whole;
  whole.recording = query.recording;
  BALEEN_TRY(const std::vector<BlockRecord> all, blocks(whole));
  std::vector<BlockRecord> chosen;
  for (const BlockRecord& block : all)
    if (may_match(block, query)) chosen.push_back(block);
  // Numbers of streams begin anew in each run.
  const auto run_of = [](const BlockRecord& block) { return block.recording + "/" + block.node + "/" + block.run; };
  std::set<std::pair<std::string, std::string>> wanted;
  BALEEN_TRY_DO(items_of(chosen, query, [&](const StoredItem& item, const BlockRecord& block) {
    wanted.emplace(run_of(block), item.stream);
    return true;
  }));
  uint64_t packets = 0;
  for (const BlockRecord& block : all) {
    const std::string run = run_of(block);
    auto written =
        write_streams(block, [&](const StreamPlace& place) { return wanted.contains({run, place.stream}); }, write);
    if (written) {
      packets += *written;
    } else {
      BALEEN_TRY_DO(leave_out(std::move(written).error().in(block.packets_object.key)));
    }
  }
  return packets;
}

}  // namespace baleen::index
