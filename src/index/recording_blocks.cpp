#include "index/recording_blocks.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

namespace baleen::index {

RecordingReader::Blocks::Blocks(RecordingReader& reader, const std::vector<IndexedRecord>& blocks,
                                const ItemPruning& pruning, std::vector<std::string> columns, bool as_they_lie)
    : reader_(reader), pruning_(pruning), columns_(std::move(columns)), as_they_lie_(as_they_lie) {
  for (const IndexedRecord& block : blocks)
    if (block.record.items != 0) {
      blocks_.push_back(&block.record);
      names_.push_back(block.key);
    }
  files_.resize(blocks_.size());
}

Result<std::vector<std::string>> RecordingReader::Blocks::fetch(size_t begin, size_t end) {
  std::vector<ObjectRecord> objects;
  for (size_t i = begin; i < end; ++i) objects.push_back(blocks_[i]->items_object);
  auto local = reader_.cache_.local(objects, pruning_, columns_, as_they_lie_);
  std::vector<std::string> out(local.size());
  for (size_t i = 0; i < local.size(); ++i) {
    if (local[i] && local[i]->empty()) continue;
    File& file = files_[begin + i];
    Result<> readable = local[i] ? Result<>() : Result<>(local[i].error());
    if (local[i]) {
      file.path = *local[i];
      readable = open(*blocks_[begin + i], file);
    }
    if (readable) {
      out[i] = file.memory ? fmt::format("/proc/self/fd/{}", file.memory.get()) : file.path;
    } else {
      BALEEN_TRY_DO(failed(begin + i, std::move(readable).error()));
    }
  }
  return out;
}

void RecordingReader::Blocks::done(size_t block) {
  if (!files_[block].path.empty()) reader_.cache_.forget(files_[block].path);
  files_[block] = {};
}

Result<> RecordingReader::Blocks::failed(size_t block, Error error) {
  return reader_.leave_out(std::move(error).in(blocks_[block]->items_object.key));
}

Result<> RecordingReader::Blocks::open(const BlockRecord& block, File& file) const {
  BALEEN_TRY(const auto cipher, cipher_of(block, block.items_object, reader_.keys_.get()));
  if (!cipher) return {};
  std::ifstream in(file.path, std::ios::binary);
  const std::string sealed((std::istreambuf_iterator<char>(in)), {});
  BALEEN_TRY(const std::string text, cipher->open_all(sealed));
  file.memory.reset(::memfd_create("items", MFD_CLOEXEC));
  if (!file.memory) return errno_error("memfd_create", errno);
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(file.memory.get(), text.data() + at, text.size() - at);
    if (n < 0) return errno_error("memfd", errno);
    at += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace baleen::index
