#include "script/data_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>
#include <cerrno>
#include <vector>

#include "script/tar.h"

namespace baleen::script {
namespace {

constexpr int kMaxDepth = 64;

Error outside(std::string_view path) {
  return {Code::kDenied, "\"" + std::string(path.substr(0, 256)) + "\" is outside of the data folder"};
}

Error failed(std::string_view what, std::string_view path) {
  const int saved = errno;
  const std::string shown(path.substr(0, 256));
  if (saved == ELOOP || (saved == ENOTDIR && what == "open"))
    return {Code::kDenied, "\"" + shown + "\" leads through a link or a file"};
  return errno_error(std::string(what) + " " + shown, saved);
}

Result<> write_all(int fd, std::string_view content, std::string_view path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write", path);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

std::string random_digits() {
  uint64_t n = 0;
  if (::getrandom(&n, sizeof n, 0) != static_cast<ssize_t>(sizeof n))
    n = static_cast<uint64_t>(::getpid()) * 2654435761U;
  return std::to_string(n % 10'000'000'000U);
}

Result<> remove_below(int parent, const std::string& name, int depth) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return failed("delete", name);
  if (depth > kMaxDepth) return Error{Code::kInvalid, "delete: the folders nest too deep"};
  UniqueFd folder(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return failed("open", name);
  DIR* list = ::fdopendir(::dup(folder.get()));
  if (list == nullptr) return failed("read", name);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(list)) {
    const std::string_view n = entry->d_name;
    if (n != "." && n != "..") names.emplace_back(n);
  }
  ::closedir(list);
  for (const std::string& n : names) BALEEN_TRY_DO(remove_below(folder.get(), n, depth + 1));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return failed("delete", name);
  return {};
}

}  // namespace

Result<DataFolder> DataFolder::open(const std::string& path) {
  std::string parents = path;
  for (size_t at = 1; (at = parents.find('/', at)) != std::string::npos; ++at)
    if (::mkdir(parents.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) return failed("mkdir", path);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return failed("mkdir", path);
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return failed("open", path);
  DataFolder folder;
  folder.path_ = real;
  ::free(real);
  folder.root_.reset(::open(folder.path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder.root_) return failed("open", path);
  return folder;
}

Result<std::string> DataFolder::relative(std::string_view path) const {
  const std::string_view original = path;
  if (path.size() > 4096) return Error{Code::kInvalid, "the path is longer than 4096 bytes"};
  if (path.find('\0') != std::string_view::npos) return Error{Code::kInvalid, "the path holds a NUL byte"};
  if (path.starts_with('/')) {
    if (!path.starts_with(path_) || (path.size() > path_.size() && path[path_.size()] != '/')) return outside(original);
    path.remove_prefix(path_.size());
  }
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return outside(original);
    } else {
      parts.pop_back();
    }
  }
  if (parts.size() > kMaxDepth) return Error{Code::kInvalid, "the path nests too deep"};
  std::string out;
  for (std::string_view part : parts) out.append(out.empty() ? "" : "/").append(part);
  return out;
}

Result<DataFolder::Place> DataFolder::place(std::string_view path, bool make_parents) const {
  BALEEN_TRY(const std::string relative_path, relative(path));
  if (relative_path.empty()) return Error{Code::kInvalid, "\"" + std::string(path) + "\" is the data folder itself"};
  Place place{UniqueFd(::dup(root_.get())), {}};
  std::string_view rest = relative_path;
  for (size_t slash; (slash = rest.find('/')) != std::string_view::npos; rest.remove_prefix(slash + 1)) {
    const std::string part(rest.substr(0, slash));
    if (make_parents && ::mkdirat(place.parent.get(), part.c_str(), 0755) != 0 && errno != EEXIST)
      return failed("mkdir", path);
    UniqueFd next(::openat(place.parent.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return failed("open", path);
    place.parent = std::move(next);
  }
  place.name = rest;
  return place;
}

Result<std::string> DataFolder::existing(std::string_view path) const {
  BALEEN_TRY(const std::string relative_path, relative(path));
  if (relative_path.empty()) return path_;
  BALEEN_TRY(const Place at, place(path));
  struct stat facts;
  if (::fstatat(at.parent.get(), at.name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return failed("open", path);
  if (!S_ISREG(facts.st_mode) && !S_ISDIR(facts.st_mode))
    return Error{Code::kDenied, "\"" + std::string(path) + "\" is neither a file nor a folder"};
  return path_ + "/" + relative_path;
}

bool DataFolder::exists(std::string_view path) const { return existing(path).has_value(); }

Result<> DataFolder::enough_room() const {
  struct statvfs disk;
  if (::statvfs(path_.c_str(), &disk) == 0 && uint64_t{disk.f_bavail} * disk.f_frsize < kMinFreeBytes)
    return Error{Code::kUnavailable, "the data folder's disk is full"};
  return {};
}

Result<> DataFolder::write(std::string_view path, std::string_view content, bool append) const {
  BALEEN_TRY_DO(enough_room());
  BALEEN_TRY(const Place at, place(path));
  const int how = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (append ? O_APPEND : O_TRUNC);
  UniqueFd file(::openat(at.parent.get(), at.name.c_str(), how, 0644));
  if (!file) return failed(append ? "append" : "write", path);
  return write_all(file.get(), content, path);
}

Result<> DataFolder::copy(std::string_view from, std::string_view to) const {
  BALEEN_TRY_DO(enough_room());
  BALEEN_TRY(const Place source, place(from));
  UniqueFd in(::openat(source.parent.get(), source.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!in) return failed("copy", from);
  struct stat facts;
  if (::fstat(in.get(), &facts) != 0) return failed("copy", from);
  if (!S_ISREG(facts.st_mode)) return Error{Code::kInvalid, "copy: \"" + std::string(from) + "\" is not a file"};
  BALEEN_TRY(const std::string target_path, relative(to));
  struct stat there;
  std::string target = target_path;
  if (target.empty()) {
    target = source.name;
  } else {
    BALEEN_TRY(const Place at, place(target));
    if (::fstatat(at.parent.get(), at.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISDIR(there.st_mode)) target += "/" + source.name;
      // Opening it for writing would empty it first.
      else if (there.st_dev == facts.st_dev && there.st_ino == facts.st_ino)
        return {};
    }
  }
  BALEEN_TRY(const Place at, place(target));
  UniqueFd out(::openat(at.parent.get(), at.name.c_str(),
                        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!out) return failed("copy", to);
  std::vector<char> buffer(256 * 1024);
  while (true) {
    const ssize_t n = ::read(in.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", from);
    if (n == 0) return {};
    BALEEN_TRY_DO(write_all(out.get(), {buffer.data(), static_cast<size_t>(n)}, to));
  }
}

Result<> DataFolder::move(std::string_view from, std::string_view to) const {
  BALEEN_TRY(const Place source, place(from));
  BALEEN_TRY(std::string target, relative(to));
  if (target.empty()) {
    target = source.name;
  } else {
    BALEEN_TRY(const Place at, place(target));
    struct stat there;
    if (::fstatat(at.parent.get(), at.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
      target += "/" + source.name;
  }
  BALEEN_TRY(const Place at, place(target));
  if (::renameat(source.parent.get(), source.name.c_str(), at.parent.get(), at.name.c_str()) != 0)
    return failed("move", from);
  return {};
}

Result<> DataFolder::remove(std::string_view path) const {
  auto at = place(path);
  if (!at) return at.error().code == Code::kNotFound ? Result<>() : Result<>(std::move(at).error());
  return remove_below(at->parent.get(), at->name, 0);
}

Result<> DataFolder::make_folder(std::string_view path) const {
  BALEEN_TRY(const std::string relative_path, relative(path));
  if (relative_path.empty()) return {};
  BALEEN_TRY(const Place at, place(path, true));
  if (::mkdirat(at.parent.get(), at.name.c_str(), 0755) == 0) return {};
  if (errno != EEXIST) return failed("mkdir", path);
  struct stat there;
  if (::fstatat(at.parent.get(), at.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
    return {};
  return Error{Code::kConflict, "mkdir: \"" + std::string(path) + "\" is a file"};
}

Result<std::string> DataFolder::make_temporary_folder(std::string_view name, std::string_view in) const {
  for (int i = 0; i < 100; ++i) {
    BALEEN_TRY(const std::string path,
               relative(std::string(in) + (in.empty() ? "" : "/") + std::string(name) + random_digits()));
    BALEEN_TRY(const Place at, place(path));
    if (::mkdirat(at.parent.get(), at.name.c_str(), 0755) == 0) return path;
    if (errno != EEXIST) return failed("mkdirTemp", path);
  }
  return Error{Code::kConflict, "mkdirTemp: no name is free"};
}

Result<std::string> DataFolder::make_temporary_file(std::string_view name, std::string_view in,
                                                    std::string_view extension) const {
  std::string ending(extension.empty() ? "txt" : extension);
  if (!ending.starts_with('.')) ending.insert(0, ".");
  for (int i = 0; i < 100; ++i) {
    BALEEN_TRY(const std::string path,
               relative(std::string(in) + (in.empty() ? "" : "/") + std::string(name) + random_digits() + ending));
    BALEEN_TRY(const Place at, place(path));
    UniqueFd file(
        ::openat(at.parent.get(), at.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (file) return path;
    if (errno != EEXIST) return failed("temp", path);
  }
  return Error{Code::kConflict, "temp: no name is free"};
}

Result<std::string> DataFolder::reserve(const std::string& stem, std::string_view ending) const {
  if (std::string both = stem + std::string(ending); both != last_reserved_) {
    last_reserved_ = std::move(both);
    next_number_ = 0;
  }
  for (int tries = 0; tries < 10'000; ++tries) {
    const int i = next_number_++;
    const std::string name = stem + (i == 0 ? "" : "_" + std::to_string(i)) + std::string(ending);
    UniqueFd file(::openat(root_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (file) return name;
    if (errno != EEXIST) return failed("create", name);
  }
  return Error{Code::kConflict, "no name is free for " + stem};
}

Result<std::string> DataFolder::archive(std::string_view folder, int64_t unix_seconds) const {
  BALEEN_TRY_DO(enough_room());
  BALEEN_TRY(const std::string relative_path, relative(folder));
  UniqueFd source(::openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!relative_path.empty()) {
    BALEEN_TRY(const Place at, place(folder));
    source.reset(::openat(at.parent.get(), at.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!source) return failed("tar", folder);
  BALEEN_TRY(const std::string name, reserve("kubeshark_" + std::to_string(unix_seconds), ".tar.gz"));
  UniqueFd out(::openat(root_.get(), name.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
  if (!out) return failed("tar", name);
  if (auto done = write_tar_gz(source.get(), out.get(), name); !done) {
    ::unlinkat(root_.get(), name.c_str(), 0);
    return std::move(done).error().in("tar");
  }
  return name;
}

}  // namespace baleen::script
