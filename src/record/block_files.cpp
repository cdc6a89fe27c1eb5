#include "record/block_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/crc32c.h"

namespace baleen::record {

Result<> sync_folder(const std::string& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return errno_error(folder, errno);
  return {};
}

Result<> write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(what, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

void order_writing(const std::vector<UniqueFd>& files) {
  for (const UniqueFd& fd : files) (void)::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

Result<> write_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".part";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error(temporary, errno);
  BALEEN_TRY_DO(write_all(fd.get(), content, temporary));
  if (::fsync(fd.get()) != 0) return errno_error(temporary, errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  return {};
}

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts;
  if (!fd || ::fstat(fd.get(), &facts) != 0) return errno_error(path, errno);
  auto file = std::make_unique<MappedFile>();
  if (facts.st_size == 0) return file;
  const auto size = static_cast<size_t>(facts.st_size);
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return errno_error(path, errno);
  file->memory_ = static_cast<const uint8_t*>(memory);
  file->size_ = size;
  // All of it will be read, and not in its order: faults would come one by one. What the disk cannot read is an error
  // here and a signal later. A kernel before 5.14 does not know the advice (EINVAL).
  if (::madvise(memory, size, MADV_POPULATE_READ) != 0 && errno != EINVAL) return errno_error(path, errno);
  return file;
}

MappedFile::~MappedFile() {
  if (memory_ != nullptr) ::munmap(const_cast<uint8_t*>(memory_), size_);
}

Result<> ObjectFile::open(const std::string& path) {
  path_ = path + ".part";
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return fd_ ? Result<>() : Result<>(errno_error(path_, errno));
}

Result<> ObjectFile::write(std::string& text, bool last) {
  if (!cipher_) {
    BALEEN_TRY_DO(put_out(text));
    text.clear();
    return {};
  }
  std::string_view rest = text;
  std::string sealed;
  // The last chunk says that it is the last: so one is held back until that is known.
  while (rest.size() > index::ObjectCipher::kChunk || last) {
    const std::string_view piece = rest.substr(0, index::ObjectCipher::kChunk);
    rest.remove_prefix(piece.size());
    cipher_->seal(chunk_++, last && rest.empty(), piece, sealed);
    text_size_ += piece.size();
    if (last && rest.empty()) break;
  }
  text.erase(0, text.size() - rest.size());
  return put_out(sealed);
}

UniqueFd ObjectFile::finish(index::ObjectRecord& record) {
  record.size = size_;
  record.crc32c = crc_;
  record.encryption.reset();
  if (cipher_) {
    cipher_->set_text_size(text_size_);
    record.encryption = cipher_->encryption();
  }
  return std::move(fd_);
}

Result<> ObjectFile::put_out(std::string_view bytes) {
  crc_ = crc32c(as_bytes(bytes), crc_);
  size_ += bytes.size();
  BALEEN_TRY_DO(write_all(fd_.get(), bytes, path_));
  if (size_ - ordered_ < kOrderAfter) return {};
  // The disk begins while the rest is made: the sync at the end waits for little. Only it counts.
  (void)::sync_file_range(fd_.get(), static_cast<off_t>(ordered_), static_cast<off_t>(size_ - ordered_),
                          SYNC_FILE_RANGE_WRITE);
  ordered_ = size_;
  return {};
}

}  // namespace baleen::record
