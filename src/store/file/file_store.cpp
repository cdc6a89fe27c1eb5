// Everything goes through descriptors that openat2() confines to the folder (RESOLVE_BENEATH): a symbolic link that
// someone planted inside cannot lead a key outside. Kernels before 5.6 lack it; there the lexical check of the key is
// what is left.
//
// The order of writes is what makes put() durable: the content is on the disk before its name is, and the name is on
// the disk (fsync of its folder, and of the folder above each folder that was made for it) before put() returns.

#include "store/file/file_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "io/bandwidth.h"
#include "io/byte_source.h"
#include "io/crypto.h"
#include "store/file/walk.h"

namespace baleen::store::file {
namespace {

constexpr size_t kPiece = 256 * 1024;
constexpr time_t kStaleSeconds = 24 * 3600;
constexpr uint64_t kGetLimit = uint64_t{4} << 30;

UniqueFd open_beneath(int folder, const std::string& path, int flags) {
  struct open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const long fd = ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) return UniqueFd(::openat(folder, path.c_str(), flags | O_CLOEXEC));
  return UniqueFd(static_cast<int>(fd));
}

Error key_error(std::string_view what, std::string_view key, int saved_errno) {
  Error error = errno_error(std::string(what) + " \"" + std::string(key) + "\"", saved_errno);
  if (saved_errno == ENOTDIR) error.code = Code::kNotFound;  // "a/b" where "a" is an object
  if (saved_errno == ENAMETOOLONG || saved_errno == ELOOP) error.code = Code::kInvalid;
  if (saved_errno == EXDEV) error = Error{Code::kDenied, "\"" + std::string(key) + "\" leads out of the folder"};
  return error;
}

Result<> sync_folder(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return errno_error("sync folder " + path, errno);
  return {};
}

/// mkdir -p, with every new name on the disk before it returns.
Result<> make_folders(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0) {
    if (errno == EEXIST) return {};
    if (errno != ENOENT) return errno_error("make folder " + path, errno);
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos || slash == 0) return errno_error("make folder " + path, ENOENT);
    BALEEN_TRY_DO(make_folders(path.substr(0, slash)));
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return errno_error("make folder " + path, errno);
  }
  const size_t slash = path.find_last_of('/');
  return sync_folder(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash));
}

Result<> write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("write", errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

/// Attributes are a convenience: a file system without them is no error.
void keep_attributes(int fd, const PutOptions& options, uint32_t crc) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc);
  (void)::fsetxattr(fd, "user.baleen.crc32c", text, 8, 0);
  (void)::fsetxattr(fd, "user.baleen.content-type", options.content_type.data(), options.content_type.size(), 0);
  for (const auto& [key, value] : options.metadata)
    (void)::fsetxattr(fd, ("user.baleen.meta." + key).c_str(), value.data(), value.size(), 0);
}

/// Files that a crashed put() left; two processes may clean at once.
void remove_stale(const std::string& folder) {
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir)) {
    struct stat facts{};
    if (entry->d_name[0] == '.' || ::fstatat(::dirfd(dir), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(facts.st_mode) && ::time(nullptr) - facts.st_mtime > kStaleSeconds)
      (void)::unlinkat(::dirfd(dir), entry->d_name, 0);
  }
  ::closedir(dir);
}

struct Unlink {
  std::string path;
  ~Unlink() {
    if (!path.empty()) (void)::unlink(path.c_str());
  }
};

Result<std::string> read_range(int fd, uint64_t offset, uint64_t length) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return errno_error("stat", errno);
  if (!S_ISREG(facts.st_mode)) return Error{Code::kNotFound, "not an object but a folder"};
  const uint64_t size = static_cast<uint64_t>(facts.st_size);
  if (offset >= size) return std::string();
  length = std::min(length, size - offset);
  if (length > kGetLimit) return Error{Code::kInvalid, "more than 4 GiB at once"};
  std::string out(length, '\0');
  uint64_t have = 0;
  while (have < length) {
    const ssize_t n = ::pread(fd, out.data() + have, length - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read", errno);
    if (n == 0) break;
    have += static_cast<uint64_t>(n);
  }
  out.resize(have);
  return out;
}

}  // namespace

Result<> check_key(std::string_view key) {
  const auto bad = [&](const char* why) { return Error{Code::kInvalid, "key \"" + std::string(key) + "\": " + why}; };
  if (key.empty()) return bad("it is empty");
  if (key.size() > 1024) return bad("it is longer than 1024 bytes");
  if (key.find('\0') != std::string_view::npos) return bad("it has a NUL");
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty()) return bad("a folder's part is empty");
    if (part == "." || part == "..") return bad("\".\" and \"..\" are not allowed");
    if (part.size() > 255) return bad("a part is longer than 255 bytes");
    if (begin == 0 && part == kTemporaryFolder) return bad("that folder is for temporary files");
    begin = end + 1;
  }
  return {};
}

Result<std::unique_ptr<ObjectStore>> FileStore::open(const std::string& folder) {
  if (folder.empty()) return Error{Code::kInvalid, "no folder"};
  std::string path = folder;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  struct stat facts{};
  if (::stat(path.c_str(), &facts) == 0 && !S_ISDIR(facts.st_mode))
    return Error{Code::kInvalid, path + ": not a folder"};
  return std::unique_ptr<ObjectStore>(new FileStore(std::move(path)));
}

std::string FileStore::name() const { return folder_.starts_with('/') ? "file://" + folder_ : folder_; }

template <class Write>
Result<ObjectFacts> FileStore::put_with(std::string_view key, const PutOptions& options, Write write) {
  BALEEN_TRY_DO(check_key(key));
  if (options.only_if_absent) {  // saves the copy; the link below decides
    if (auto there = head(key); there)
      return Error{Code::kConflict, name() + "/" + std::string(key) + ": it is there already"};
  }
  const std::string temporary_folder = folder_ + "/" + std::string(kTemporaryFolder);
  if (::access(temporary_folder.c_str(), F_OK) == 0) remove_stale(temporary_folder);
  BALEEN_TRY_DO(make_folders(temporary_folder));
  Unlink temporary{temporary_folder + "/" + io::random_hex(12)};
  const UniqueFd fd(::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd) return errno_error("create " + temporary.path, errno);
  uint32_t crc = 0;
  BALEEN_TRY_DO(write(fd.get(), crc));
  if (options.crc32c && *options.crc32c != crc)
    return Error{Code::kInvalid, "\"" + std::string(key) + "\": the content's CRC is not the one that was expected"};
  keep_attributes(fd.get(), options, crc);
  if (::fsync(fd.get()) != 0) return errno_error("sync " + temporary.path, errno);
  BALEEN_TRY_DO(place(temporary.path, key, options.only_if_absent));
  struct stat facts{};
  if (::fstat(fd.get(), &facts) != 0) return key_error("stat", key, errno);
  ObjectFacts object = facts_of(std::string(key), facts);
  object.crc32c = crc;
  return object;
}

/// Gives the finished file its name. The folder may vanish between its making and the naming, when remove() of its last
/// object comes in between; then it is made again.
Result<> FileStore::place(const std::string& temporary, std::string_view key, bool only_if_absent) const {
  const std::string target = folder_ + "/" + std::string(key);
  const std::string parent = target.substr(0, target.find_last_of('/'));
  for (int attempt = 0;; ++attempt) {
    if (auto made = make_folders(parent); !made) {
      if (made.error().code == Code::kConflict || made.error().message.ends_with(std::strerror(ENOTDIR)))
        return Error{Code::kInvalid, "\"" + std::string(key) + "\": a part of it is an object already"};
      return made;
    }
    // The folder is opened confined, so that a link inside it cannot lead the name elsewhere.
    const UniqueFd root(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::string below = parent.size() > folder_.size() ? parent.substr(folder_.size() + 1) : ".";
    const UniqueFd folder = open_beneath(root.get(), below, O_RDONLY | O_DIRECTORY);
    const std::string leaf = target.substr(parent.size() + 1);
    if (folder) {
      int moved = only_if_absent
                      ? ::renameat2(AT_FDCWD, temporary.c_str(), folder.get(), leaf.c_str(), RENAME_NOREPLACE)
                      : ::renameat(AT_FDCWD, temporary.c_str(), folder.get(), leaf.c_str());
      if (moved != 0 && only_if_absent && (errno == EINVAL || errno == ENOSYS))  // a file system without NOREPLACE
        moved = ::linkat(AT_FDCWD, temporary.c_str(), folder.get(), leaf.c_str(), 0);
      if (moved == 0) {
        if (::fsync(folder.get()) != 0) return errno_error("sync folder " + parent, errno);
        return {};
      }
    }
    const int saved = errno;
    if (saved == EEXIST) return Error{Code::kConflict, name() + "/" + std::string(key) + ": it is there already"};
    if (saved == EISDIR || saved == ENOTDIR)
      return Error{Code::kInvalid, "\"" + std::string(key) + "\": there are objects below it already"};
    if (saved != ENOENT || attempt == 8) return key_error("put", key, saved);
  }
}

Result<ObjectFacts> FileStore::put(std::string_view key, Bytes content, const PutOptions& options) {
  return put_with(key, options, [&](int fd, uint32_t& crc) -> Result<> {
    crc = crc32c(content);
    BALEEN_TRY_DO(write_all(fd, content));
    if (options.on_progress) options.on_progress(content.size());
    return {};
  });
}

Result<ObjectFacts> FileStore::put_source(std::string_view key, const io::ByteSource& source,
                                          const PutOptions& options) {
  return put_with(key, options, [&](int fd, uint32_t& crc) -> Result<> {
    std::vector<uint8_t> buffer(kPiece);
    for (uint64_t done = 0; done < source.size();) {
      if (options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed))
        return Error{Code::kIo, "cancelled"};
      const size_t piece =
          options.bandwidth == nullptr ? kPiece : std::min<uint64_t>(kPiece, options.bandwidth->piece());
      BALEEN_TRY(const size_t n, source.read(done, {buffer.data(), std::min<uint64_t>(piece, source.size() - done)}));
      const Bytes bytes(buffer.data(), n);
      if (options.bandwidth != nullptr) options.bandwidth->take(bytes.size());
      crc = crc32c(bytes, crc);
      BALEEN_TRY_DO(write_all(fd, bytes));
      done += bytes.size();
      if (options.on_progress) options.on_progress(done);
    }
    return {};
  });
}

Result<UniqueFd> FileStore::open_object(std::string_view key, int flags) const {
  BALEEN_TRY_DO(check_key(key));
  const UniqueFd root(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_error("open " + folder_, errno);
  UniqueFd fd = open_beneath(root.get(), std::string(key), flags);
  if (!fd) return key_error("open", key, errno);
  return fd;
}

std::string FileStore::local_path(std::string_view key) const {
  return check_key(key) ? folder_ + "/" + std::string(key) : std::string();
}

Result<std::string> FileStore::get(std::string_view key) { return get_range(key, 0, kGetLimit + 1); }

Result<std::string> FileStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  BALEEN_TRY(const UniqueFd fd, open_object(key, O_RDONLY));
  auto content = read_range(fd.get(), offset, length);
  if (!content) return std::move(content).error().in(name() + "/" + std::string(key));
  return content;
}

Result<ObjectFacts> FileStore::head(std::string_view key) {
  BALEEN_TRY(const UniqueFd fd, open_object(key, O_RDONLY));
  struct stat facts{};
  if (::fstat(fd.get(), &facts) != 0) return key_error("stat", key, errno);
  if (!S_ISREG(facts.st_mode))
    return Error{Code::kNotFound, name() + "/" + std::string(key) + ": not an object but a folder"};
  ObjectFacts object = facts_of(std::string(key), facts);
  char text[9] = "";
  if (::fgetxattr(fd.get(), "user.baleen.crc32c", text, 8) == 8) {
    object.crc32c = static_cast<uint32_t>(std::strtoul(text, nullptr, 16));
  } else {  // put there by other means, or a file system without attributes: count it now
    std::vector<uint8_t> buffer(kPiece);
    uint32_t crc = 0;
    for (ssize_t n; (n = ::read(fd.get(), buffer.data(), buffer.size())) != 0;) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return key_error("read", key, errno);
      crc = crc32c(Bytes(buffer.data(), static_cast<size_t>(n)), crc);
    }
    object.crc32c = crc;
  }
  return object;
}

Result<ListPage> FileStore::list(const ListOptions& options) { return walk(folder_, options); }

Result<> FileStore::remove(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  const UniqueFd root(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_error("open " + folder_, errno);
  std::string folder(key.substr(0, key.find('/') == std::string_view::npos ? 0 : key.find_last_of('/')));
  const std::string leaf(key.substr(folder.empty() ? 0 : folder.size() + 1));
  const UniqueFd parent = open_beneath(root.get(), folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (!parent) return key_error("remove", key, errno);
  if (::unlinkat(parent.get(), leaf.c_str(), 0) != 0) {
    Error error = key_error("remove", key, errno);
    if (errno == EISDIR) error.code = Code::kNotFound;
    return error;
  }
  if (::fsync(parent.get()) != 0) return errno_error("sync folder " + folder, errno);
  // A bucket has no empty folders. rmdir refuses the first that is not empty.
  while (!folder.empty() && ::unlinkat(root.get(), folder.c_str(), AT_REMOVEDIR) == 0)
    folder.resize(folder.find('/') == std::string::npos ? 0 : folder.find_last_of('/'));
  return {};
}

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions&) {
  return FileStore::open(location.prefix);
}

}  // namespace baleen::store::file
