#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "io/aes.h"
#include "record/block_files.h"

namespace baleen::record {

/// A file that records are appended to, each whole or not at all: they wait in memory until flush() brings them to the
/// disk, in frames of a size (32 bits), a nonce and the sealed records when there is a key. One thread.
class Journal {
 public:
  static constexpr size_t kBuffer = 1 << 20;       // waits for so much
  static constexpr size_t kBufferLimit = 8 << 20;  // in memory, while the disk takes nothing
  static constexpr size_t kFrameHead = 4 + 12;

  explicit Journal(const char* name) : name_(name) {}
  /// Opens it, or makes it. `key` is the block's; null: nothing is encrypted.
  Result<> open(const std::string& folder, const io::Key256* block_key);
  /// It begins anew in `path`, which is to be renamed to its name; what has that name stays until then.
  Result<> begin_anew(const std::string& path);
  /// What is on the disk are `size` bytes of whole records in `on_disk` bytes of the file: the rest goes.
  Result<> cut_off(uint64_t size, uint64_t on_disk);

  /// For one more record. A disk that takes nothing is asked again by flush(), not by every record.
  Result<> make_room();
  /// To append whole records to, after make_room().
  std::string& buffer() { return buffer_; }
  /// One that counts was appended: unwritten() until it is in the file.
  void count() { ++unwritten_; }
  uint64_t unwritten() const { return unwritten_; }
  /// What was appended is in the file when this returns.
  Result<> flush();
  Result<> sync();

  const char* name() const { return name_; }
  std::string path() const { return folder_ + "/" + name_; }
  int fd() const { return fd_.get(); }
  /// Bytes of records so far.
  uint64_t size() const { return written_ + buffer_.size(); }
  /// What flush() has brought to the file: bytes of records, and what they take there.
  uint64_t written() const { return written_; }
  uint64_t on_disk() const { return on_disk_; }

 private:
  std::string framed() const;

  const char* name_;
  std::string folder_;
  std::optional<io::Key256> key_;
  UniqueFd fd_;
  std::string buffer_;
  uint64_t written_ = 0, on_disk_ = 0, unwritten_ = 0;
  bool disk_full_ = false;  // the last write failed
};

/// A journal's records: mapped as they lie, or decrypted into memory (blocks are small).
class JournalText {
 public:
  static Result<JournalText> open(const std::string& folder, const char* name, const io::Key256* block_key);
  Bytes bytes() const { return encrypted_ ? as_bytes(text_) : file_->bytes(); }
  /// What the file has for `size` bytes of records.
  uint64_t on_disk(uint64_t size) const { return encrypted_ ? on_disk_ : size; }

 private:
  std::unique_ptr<MappedFile> file_;
  std::string text_;
  uint64_t on_disk_ = 0;  // of the file, that are whole frames
  bool encrypted_ = false;
};

}  // namespace baleen::record
