#include "io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace baleen::io {

namespace {

class FileSource final : public ByteSource {
 public:
  FileSource(std::string path, UniqueFd file, uint64_t size)
      : path_(std::move(path)), file_(std::move(file)), size_(size) {}
  uint64_t size() const override { return size_; }
  Result<size_t> read(uint64_t offset, std::span<uint8_t> out) const override {
    for (;;) {
      const ssize_t n = ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error("read " + path_, errno);
      if (n == 0) return Error{Code::kIo, path_ + " has become shorter"};
      return static_cast<size_t>(n);
    }
  }

 private:
  std::string path_;
  UniqueFd file_;
  uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_source(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts;
  if (!file || ::fstat(file.get(), &facts) != 0) return errno_error("open " + path, errno);
  return std::unique_ptr<ByteSource>(
      std::make_unique<FileSource>(path, std::move(file), static_cast<uint64_t>(facts.st_size)));
}

Result<> read_all(const ByteSource& source, uint64_t offset, std::span<uint8_t> out) {
  while (!out.empty()) {
    BALEEN_TRY(const size_t n, source.read(offset, out));
    offset += n;
    out = out.subspan(n);
  }
  return {};
}

}  // namespace baleen::io
