#include "record/journal.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "io/crypto.h"

namespace baleen::record {
namespace {

io::Key256 journal_key(const io::Key256& block_key) {
  return io::hmac_sha256(block_key, as_bytes(std::string_view("baleen journal key 1")));
}

std::string frame_associated(std::string_view name, uint64_t at) { return fmt::format("{} {}", name, at); }

Result<UniqueFd> open_file(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600));
  if (!fd) return errno_error(path, errno);
  return fd;
}

}  // namespace

Result<> Journal::open(const std::string& folder, const io::Key256* block_key) {
  folder_ = folder;
  if (block_key != nullptr) key_ = journal_key(*block_key);
  BALEEN_TRY(fd_, open_file(path(), 0));
  return {};
}

Result<> Journal::begin_anew(const std::string& path) {
  BALEEN_TRY(fd_, open_file(path, O_TRUNC));
  buffer_.clear();
  written_ = on_disk_ = unwritten_ = 0;
  return {};
}

Result<> Journal::cut_off(uint64_t size, uint64_t on_disk) {
  written_ = size;
  on_disk_ = on_disk;
  return ::ftruncate(fd_.get(), static_cast<off_t>(on_disk)) == 0 ? Result<>() : Result<>(errno_error(path(), errno));
}

/// What waits, sealed. Each with a nonce of its own: what the disk did not take is sealed anew.
std::string Journal::framed() const {
  std::string out;
  put(out, static_cast<uint32_t>(buffer_.size()));
  io::Nonce96 nonce;
  io::fill_random(nonce);
  out.append(nonce.begin(), nonce.end());
  io::gcm_seal(*key_, nonce, frame_associated(name_, written_), buffer_, out);
  return out;
}

Result<> Journal::flush() {
  if (buffer_.empty()) return {};
  const std::string sealed = key_ ? framed() : std::string();
  const std::string& bytes = key_ ? sealed : buffer_;
  const Result<> outcome = write_all(fd_.get(), bytes, folder_);
  disk_full_ = !outcome;
  if (!outcome) {
    // Cut off what was written of it: the journal stays a row of whole records, and the buffer is tried again.
    if (::ftruncate(fd_.get(), static_cast<off_t>(on_disk_)) != 0) return errno_error(folder_, errno);
    return outcome;
  }
  on_disk_ += bytes.size();
  written_ += buffer_.size();
  buffer_.clear();
  unwritten_ = 0;
  return {};
}

Result<> Journal::make_room() {
  if (buffer_.size() < kBuffer) return {};
  if (!disk_full_ && flush()) return {};
  if (buffer_.size() < kBufferLimit) return {};
  return Error{Code::kIo, folder_ + ": the disk takes nothing, and memory has its limit"};
}

Result<> Journal::sync() {
  BALEEN_TRY_DO(flush());
  return ::fdatasync(fd_.get()) == 0 ? Result<>() : Result<>(errno_error(folder_, errno));
}

Result<JournalText> JournalText::open(const std::string& folder, const char* name, const io::Key256* block_key) {
  JournalText out;
  BALEEN_TRY(out.file_, MappedFile::open(folder + "/" + name));
  if (block_key == nullptr) return out;
  out.encrypted_ = true;
  const io::Key256 key = journal_key(*block_key);
  ByteReader r(out.file_->bytes());
  while (r.remaining() >= Journal::kFrameHead) {
    const uint64_t size = r.le32();
    io::Nonce96 nonce;
    const Bytes n = r.bytes(nonce.size());
    std::copy(n.begin(), n.end(), nonce.begin());
    if (size + io::kGcmTag > r.remaining()) break;
    const std::string_view sealed = r.text(static_cast<size_t>(size + io::kGcmTag));
    if (!io::gcm_open(key, nonce, frame_associated(name, out.text_.size()), sealed, out.text_)) break;
    out.on_disk_ = r.position();
  }
  return out;
}

}  // namespace baleen::record
