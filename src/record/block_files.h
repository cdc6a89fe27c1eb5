#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "index/block.h"
#include "index/encryption.h"

// Files of a block while it is written: what is there is there whole and on the disk, or not at all.

namespace baleen::record {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// The names in a folder are on the disk when this returns.
Result<> sync_folder(const std::string& folder);
/// `what` is for messages.
Result<> write_all(int fd, std::string_view bytes, const std::string& what);
/// Written beside `path`, synced, then named so.
Result<> write_file(const std::string& path, std::string_view content);

/// The disk begins with what was written to the files, and nobody waits for it; only a sync counts.
void order_writing(const std::vector<UniqueFd>& files);

/// A whole file in memory, as the kernel has it.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile();
  Bytes bytes() const { return {memory_, size_}; }

 private:
  const uint8_t* memory_ = nullptr;
  size_t size_ = 0;
};

/// An object while it is written: as it is, or in sealed chunks.
class ObjectFile {
 public:
  explicit ObjectFile(std::optional<index::ObjectCipher> cipher) : cipher_(std::move(cipher)) {}
  /// Makes `path`.part.
  Result<> open(const std::string& path);
  /// Takes what can be written of `text`.
  Result<> write(std::string& text, bool last = false);
  /// What the block's record says of it. The file is neither synced nor under its name yet.
  UniqueFd finish(index::ObjectRecord& record);

 private:
  Result<> put_out(std::string_view bytes);

  static constexpr uint64_t kOrderAfter = 8 << 20;
  std::optional<index::ObjectCipher> cipher_;
  std::string path_;
  UniqueFd fd_;
  uint64_t size_ = 0, text_size_ = 0, chunk_ = 0;
  uint64_t ordered_ = 0;  // bytes whose writing to the disk has begun
  uint32_t crc_ = 0;
};

}  // namespace baleen::record
