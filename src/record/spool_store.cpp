#include "record/spool_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "index/block.h"
#include "record/packets_order.h"
#include "record/spool_parts.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostAtOnce = uint64_t{4} << 30;

bool is_spool(const std::string& folder) {
  std::error_code ignored;
  return fs::is_directory(folder + "/ready", ignored) && fs::exists(folder + "/lock", ignored);
}

const Error kReadOnly{Code::kDenied, "a spool is only read: its own process writes it"};

}  // namespace

std::string SpoolStore::spool_in(const std::string& folder) {
  for (const std::string& candidate : {folder, folder + "/spool"})
    if (is_spool(candidate)) return candidate;
  return {};
}

Result<std::unique_ptr<SpoolStore>> SpoolStore::open(const std::string& spool, const Encryption& encryption) {
  std::unique_ptr<SpoolStore> store(new SpoolStore(spool));
  // Those first: one that its worker finishes meanwhile is found among the others, under the same keys, which win.
  std::vector<std::string> copies;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(spool + "/open", failed)) {
    auto copy = store->finish_copy(entry.path().string(), encryption);
    std::error_code ignored;
    if (copy && !copy->empty()) copies.push_back(*std::move(copy));
    if (!copy && fs::exists(entry.path(), ignored)) store->unread_.push_back(std::move(copy).error());
  }
  for (fs::directory_iterator it(spool + "/ready", failed), end; !failed && it != end; it.increment(failed))
    store->add_block(it->path().string());
  if (failed) return errno_error("read " + spool + "/ready", failed.value());
  for (const std::string& copy : copies) store->add_block(copy);
  return store;
}

/// Copies what there is of a block. Its record first: with it all that it names is there. An item's packets are written
/// before it: copied behind it, they are there, too.
static Result<> copy_block(const std::string& folder, const std::string& copy) {
  std::error_code failed;
  fs::remove_all(copy, failed);
  fs::create_directory(copy, failed);
  if (failed) return errno_error(copy, failed.value());
  for (const char* file : {"block.json", "owner.json", "items.journal", "packets.journal", "packets.order",
                           "items.parquet", "packets.pcapng"}) {
    fs::copy_file(folder + "/" + file, copy + "/" + file, failed);
    if (failed && failed != std::errc::no_such_file_or_directory) return errno_error(folder, failed.value());
  }
  return {};
}

/// The folder of the block, finished; empty when there is nothing in it, or when it has gone to the others.
Result<std::string> SpoolStore::finish_copy(const std::string& folder, const Encryption& encryption) {
  BALEEN_TRY(const std::string copies, copies_.path());
  const std::string copy = copies + "/" + fs::path(folder).filename().string();
  BALEEN_TRY_DO(copy_block(folder, copy));
  // Its worker may have finished it meanwhile, and taken the journals away: it is whole then.
  if (!BlockWriter::is_finished(copy) && BlockWriter::is_finished(folder)) BALEEN_TRY_DO(copy_block(folder, copy));
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return std::string();
  if (BlockWriter::is_finished(copy)) return copy;
  auto block = BlockWriter::recover(copy, encryption);
  if (!block) return std::move(block).error().in(folder);
  if ((*block)->empty()) return std::string();
  if (const auto record = (*block)->finish({}, (*block)->ledger_of_recovered()); !record) return record.error();
  return copy;
}

/// One that is damaged, or gone by now, is left out, as it would be in a bucket.
void SpoolStore::add_block(const std::string& folder) {
  struct stat facts;
  const auto text = read_text(folder + "/block.json");
  if (!text || ::stat((folder + "/block.json").c_str(), &facts) != 0) return;
  const auto record = index::BlockRecord::from_json(*text);
  if (!record) return;
  const Timestamp time = timestamp_from_ns(int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec);
  const auto add = [&](const std::string& key, const char* file, uint64_t size, std::optional<uint32_t> crc) {
    store::ObjectFacts object;
    object.key = key;
    object.size = size;
    object.crc32c = crc;
    object.modified = time;
    objects_.emplace(key, Object{folder, file, std::move(object)});
  };
  const index::ObjectRecord &packets = record->packets_object, &items = record->items_object;
  add(packets.key, nullptr, packets.size, packets.crc32c);
  add(items.key, "items.parquet", items.size, items.crc32c);
  add(index::block_keys(record->recording, record->first, record->block).record, "block.json", text->size(),
      std::nullopt);
}

Result<store::ObjectFacts> SpoolStore::put(std::string_view, Bytes, const store::PutOptions&) { return kReadOnly; }
Result<store::ObjectFacts> SpoolStore::put_source(std::string_view, const io::ByteSource&, const store::PutOptions&) {
  return kReadOnly;
}
Result<> SpoolStore::remove(std::string_view) { return kReadOnly; }

Result<const SpoolStore::Object*> SpoolStore::find(std::string_view key) const {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return Error{Code::kNotFound, folder_ + "/" + std::string(key) + ": not there"};
  return &found->second;
}

Result<std::shared_ptr<const io::ByteSource>> SpoolStore::open_object(const Object& object) {
  const std::lock_guard lock(mutex_);
  if (last_key_ == object.facts.key) return last_;
  auto source = object.file == nullptr ? open_packets(object.folder, object.facts.size)
                                       : io::open_source(object.folder + "/" + object.file);
  if (!source && source.error().code == Code::kNotFound)
    return std::move(source).error().in("the block is not in the spool any more, perhaps it is in its bucket now");
  if (!source) return std::move(source).error();
  last_key_ = object.facts.key;
  last_ = *std::move(source);
  return last_;
}

Result<std::string> SpoolStore::get(std::string_view key) { return get_range(key, 0, kMostAtOnce); }

Result<std::string> SpoolStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  BALEEN_TRY(const Object* const object, find(key));
  BALEEN_TRY(const auto source, open_object(*object));
  if (offset >= source->size()) return std::string();
  std::string out(std::min({length, source->size() - offset, kMostAtOnce}), '\0');
  BALEEN_TRY_DO(io::read_all(*source, offset, {reinterpret_cast<uint8_t*>(out.data()), out.size()}));
  return out;
}

Result<store::ObjectFacts> SpoolStore::head(std::string_view key) {
  BALEEN_TRY(const Object* const object, find(key));
  return object->facts;
}

Result<store::ListPage> SpoolStore::list(const store::ListOptions& options) {
  store::ListPage page;
  auto at = objects_.lower_bound(std::max({options.prefix, options.start_offset, options.page_token}));
  while (at != objects_.end() && at->first.starts_with(options.prefix)) {
    if (page.objects.size() + page.prefixes.size() >= options.page_size) {
      page.next_page_token = at->first;
      break;
    }
    const size_t cut =
        options.delimiter.empty() ? std::string::npos : at->first.find(options.delimiter, options.prefix.size());
    if (cut == std::string::npos) {
      page.objects.push_back((at++)->second.facts);
      continue;
    }
    const std::string level = at->first.substr(0, cut + options.delimiter.size());
    page.prefixes.push_back(level);
    while (at != objects_.end() && at->first.starts_with(level)) ++at;
  }
  return page;
}

std::string SpoolStore::local_path(std::string_view key) const {
  const auto object = find(key);
  return object && (*object)->file != nullptr ? (*object)->folder + "/" + (*object)->file : std::string();
}

}  // namespace baleen::record
