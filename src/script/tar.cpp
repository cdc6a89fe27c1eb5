#include "script/tar.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace baleen::script {
namespace {

constexpr size_t kBlock = 512;
constexpr int kMaxDepth = 64;

class Writer {
 public:
  explicit Writer(int out) : gz_(::gzdopen(::dup(out), "wb6")) {}
  ~Writer() {
    if (gz_ != nullptr) ::gzclose(gz_);
  }
  Writer(const Writer&) = delete;

  Result<> put(const void* bytes, size_t n) {
    if (gz_ == nullptr || (n != 0 && ::gzwrite(gz_, bytes, static_cast<unsigned>(n)) != static_cast<int>(n)))
      return Error{Code::kIo, "the archive cannot be written"};
    return {};
  }
  Result<> pad(uint64_t size) {
    static constexpr std::array<char, kBlock> kZeros{};
    return put(kZeros.data(), (kBlock - size % kBlock) % kBlock);
  }
  Result<> finish() {
    static constexpr std::array<char, 2 * kBlock> kEnd{};
    BALEEN_TRY_DO(put(kEnd.data(), kEnd.size()));
    const bool ok = ::gzclose(std::exchange(gz_, nullptr)) == Z_OK;
    if (!ok) return Error{Code::kIo, "the archive cannot be written"};
    return {};
  }

 private:
  gzFile gz_;
};

void octal(char* field, size_t width, uint64_t n) {
  field[width - 1] = '\0';
  for (size_t i = width - 1; i-- > 0; n >>= 3) field[i] = static_cast<char>('0' + (n & 7));
}

/// IEEE 1003.1 ustar; what does not fit (long names, 8 GB and more) is said in a pax record in front.
Result<> put_header(Writer& out, std::string_view name, char type, const struct stat& facts, uint64_t size) {
  std::array<char, kBlock> h{};
  std::memcpy(h.data(), name.data(), std::min<size_t>(name.size(), 100));
  octal(&h[100], 8, facts.st_mode & 0777U);
  octal(&h[108], 8, 0);
  octal(&h[116], 8, 0);
  octal(&h[124], 12, std::min<uint64_t>(size, 077777777777ULL));
  octal(&h[136], 12, static_cast<uint64_t>(std::max<int64_t>(facts.st_mtime, 0)));
  h[156] = type;
  std::memcpy(&h[257], "ustar\00000", 8);
  std::memset(&h[148], ' ', 8);
  unsigned sum = 0;
  for (char c : h) sum += static_cast<unsigned char>(c);
  octal(&h[148], 7, sum);
  return out.put(h.data(), h.size());
}

std::string pax_record(std::string_view key, std::string_view value) {
  const size_t body = key.size() + value.size() + 3;
  size_t total = body + 1;
  while (std::to_string(total).size() + body != total) total = std::to_string(total).size() + body;
  return std::to_string(total) + " " + std::string(key) + "=" + std::string(value) + "\n";
}

Result<> put_entry(Writer& out, std::string_view name, char type, const struct stat& facts, uint64_t size) {
  std::string records;
  if (name.size() > 100) records += pax_record("path", name);
  if (size > 077777777777ULL) records += pax_record("size", std::to_string(size));
  if (!records.empty()) {
    BALEEN_TRY_DO(put_header(out, "PaxHeader", 'x', facts, records.size()));
    BALEEN_TRY_DO(out.put(records.data(), records.size()));
    BALEEN_TRY_DO(out.pad(records.size()));
  }
  return put_header(out, name, type, facts, size);
}

Result<> put_file(Writer& out, int fd, std::string_view name, const struct stat& facts) {
  // The header promises a size: a file that grows is cut, one that shrinks is filled with zeros.
  uint64_t left = static_cast<uint64_t>(facts.st_size);
  BALEEN_TRY_DO(put_entry(out, name, '0', facts, left));
  std::vector<char> buffer(128 * 1024);
  while (left > 0) {
    ssize_t n = ::read(fd, buffer.data(), std::min<uint64_t>(left, buffer.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read " + std::string(name), errno);
    if (n == 0) {
      n = static_cast<ssize_t>(std::min<uint64_t>(left, buffer.size()));
      std::fill(buffer.begin(), buffer.begin() + n, '\0');
    }
    BALEEN_TRY_DO(out.put(buffer.data(), static_cast<size_t>(n)));
    left -= static_cast<uint64_t>(n);
  }
  return out.pad(static_cast<uint64_t>(facts.st_size));
}

Result<> put_folder(Writer& out, int folder, const std::string& prefix, std::string_view skip, int depth) {
  if (depth > kMaxDepth) return Error{Code::kInvalid, "the folders nest too deep"};
  DIR* list = ::fdopendir(::dup(folder));
  if (list == nullptr) return errno_error("read the folder", errno);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(list)) {
    const std::string_view n = entry->d_name;
    if (n != "." && n != ".." && n != skip) names.emplace_back(n);
  }
  ::closedir(list);
  std::sort(names.begin(), names.end());
  for (const std::string& n : names) {
    UniqueFd file(::openat(folder, n.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat facts;
    if (!file || ::fstat(file.get(), &facts) != 0) continue;  // a link, or gone meanwhile
    if (S_ISDIR(facts.st_mode)) {
      BALEEN_TRY_DO(put_entry(out, prefix + n + "/", '5', facts, 0));
      BALEEN_TRY_DO(put_folder(out, file.get(), prefix + n + "/", {}, depth + 1));
    } else if (S_ISREG(facts.st_mode)) {
      BALEEN_TRY_DO(put_file(out, file.get(), prefix + n, facts));
    }
  }
  return {};
}

}  // namespace

Result<> write_tar_gz(int folder, int out, std::string_view skip) {
  Writer writer(out);
  BALEEN_TRY_DO(put_folder(writer, folder, {}, skip, 0));
  return writer.finish();
}

}  // namespace baleen::script
