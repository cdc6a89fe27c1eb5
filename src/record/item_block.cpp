#include "record/item_block.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <tuple>

#include "base/crc32c.h"
#include "index/parquet.h"
#include "store/object_store.h"

namespace baleen::record {
namespace {

constexpr size_t kZoneMapLimit = 1000;
constexpr size_t kWriteAt = 1 << 20;

/// Reads a whole file, which is memory.
std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Sealed in chunks, as the whole object.
Result<> write_sealed(const std::string& text, const io::Key256& key, const std::string& block, const std::string& path,
                      index::ObjectRecord& object) {
  index::ObjectCipher cipher = index::ObjectCipher::fresh(key, block, "items");
  cipher.set_text_size(text.size());
  std::string sealed;
  const std::string_view all = text;
  for (size_t at = 0, chunk = 0; at == 0 || at < all.size(); at += index::ObjectCipher::kChunk, ++chunk)
    cipher.seal(chunk, at + index::ObjectCipher::kChunk >= all.size(), all.substr(at, index::ObjectCipher::kChunk),
                sealed);
  std::ofstream out(path, std::ios::binary);
  out << sealed;
  out.close();
  if (!out) return Error{Code::kIo, path + ": cannot be written: is the disk full?"};
  object.size = sealed.size();
  object.crc32c = crc32c(as_bytes(sealed));
  object.encryption = cipher.encryption();
  return {};
}

}  // namespace

void note(const index::ItemRow& row, index::BlockRecord& record) {
  ++record.items_by_protocol[row.protocol];
  for (const std::string* name_space : {&row.src_namespace, &row.dst_namespace})
    if (!name_space->empty()) record.namespaces.insert(*name_space);
  for (const std::string* pod : {&row.src_pod, &row.dst_pod})
    if (!pod->empty()) record.pods.insert(*pod);
  if (row.status >= 100 && row.status < 1000) record.status_classes.insert(fmt::format("{}xx", row.status / 100));
}

void limit_zone_map(index::BlockRecord& record) {
  if (record.namespaces.size() <= kZoneMapLimit && record.pods.size() <= kZoneMapLimit) return;
  record.namespaces.clear();
  record.pods.clear();
  record.zone_map_complete = false;
}

Result<std::unique_ptr<ItemBlock>> ItemBlock::create(std::string folder, std::string recording, std::string filter,
                                                     const index::BlockRecord& packets_of,
                                                     std::optional<index::BlockKey> key) {
  std::unique_ptr<ItemBlock> block(new ItemBlock);
  block->path_ = folder + "/items.parquet";
  block->journal_.reset(key ? ::memfd_create("rows", MFD_CLOEXEC)
                            : ::open((folder + "/rows").c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (!block->journal_) return errno_error(folder + "/rows", errno);
  block->key_ = std::move(key);
  index::BlockRecord& r = block->record_;
  r = packets_of;
  r.recording = std::move(recording);
  r.filter = std::move(filter);
  r.items = 0;
  r.items_by_protocol.clear();
  r.namespaces.clear();
  r.pods.clear();
  r.status_classes.clear();
  r.zone_map_complete = true;
  r.items_object = {};
  // In the folder of the other's hour, whatever the times of its items are.
  r.items_object.key = index::block_keys(r.recording, r.first, r.block).items;
  return block;
}

Result<> ItemBlock::write_out() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t n =
        ::pwrite(journal_.get(), buffer_.data() + at, buffer_.size() - at, static_cast<off_t>(written_ + at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error(path_, errno);
    at += static_cast<size_t>(n);
  }
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<> ItemBlock::add(const item::Item& item) {
  const index::ItemRow row = index::row_from(item, record_.recording);
  const size_t begin = buffer_.size();
  index::append_row(row, buffer_);
  // append_row() puts the size of a row (32 bits) in front of it.
  places_.push_back(
      {row.time_ns, row.index, row.stream, written_ + begin + 4, static_cast<uint32_t>(buffer_.size() - begin - 4)});
  note(row, record_);
  ++record_.items;
  record_.first = std::min(record_.first, timestamp_from_ns(row.time_ns));
  record_.last = std::max(record_.last, timestamp_from_ns(row.time_ns));
  return buffer_.size() < kWriteAt ? Result<>() : write_out();
}

/// In the order in which readers hand them on.
Result<> ItemBlock::write_rows(const std::string& path) const {
  auto next = places_.begin();
  std::string bytes;
  bool whole = true;
  BALEEN_TRY_DO(index::write_parquet(
      path,
      [&](index::ItemRow& row) {
        if (next == places_.end()) return false;
        bytes.resize(next->length);
        const ssize_t n = ::pread(journal_.get(), bytes.data(), bytes.size(), static_cast<off_t>(next->offset));
        ++next;
        whole = n == static_cast<ssize_t>(bytes.size()) && index::read_row(bytes, row);
        return whole;
      },
      record_.streams, record_.packets_object.key));
  return whole ? Result<>() : Result<>(Error{Code::kInternal, path_ + ": its journal is not what was written"});
}

Result<index::BlockRecord> ItemBlock::finish() {
  BALEEN_TRY_DO(write_out());
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return std::tie(a.time_ns, a.stream, a.index) < std::tie(b.time_ns, b.stream, b.index);
  });
  limit_zone_map(record_);
  if (key_) {
    const UniqueFd memory(::memfd_create("items", MFD_CLOEXEC));
    if (!memory) return errno_error("memfd_create", errno);
    const std::string rows = fmt::format("/proc/self/fd/{}", memory.get());
    BALEEN_TRY_DO(write_rows(rows));
    BALEEN_TRY_DO(write_sealed(content_of(rows), key_->key, record_.block, path_, record_.items_object));
    return record_;
  }
  BALEEN_TRY_DO(write_rows(path_));
  BALEEN_TRY(const store::FileSum sum, store::sum_file(path_));
  record_.items_object.size = sum.size;
  record_.items_object.crc32c = sum.crc32c;
  return record_;
}

}  // namespace baleen::record
