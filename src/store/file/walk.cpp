// Depth first, each folder's entries sorted with "/" after a folder's name: that is the order of the whole keys, since
// two keys of one folder differ at the latest where the shorter name ends ("a-b" < "a/x" < "a0"). So a page needs no
// more memory than the folders on the way, and folders that cannot hold a key of the page are not opened at all.

#include "store/file/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/unique_fd.h"

namespace baleen::store::file {
namespace {

constexpr int kMaxDepth = 128;

/// Could a key that begins with `folder` begin with `prefix`?
bool may_hold(std::string_view folder, std::string_view prefix) {
  const size_t n = std::min(folder.size(), prefix.size());
  return folder.substr(0, n) == prefix.substr(0, n);
}

class Walk {
 public:
  explicit Walk(const ListOptions& options) : options_(options) {
    limit_ = std::clamp<uint32_t>(options.page_size, 1, 100'000);
    // The token is the last key or prefix of the page before.
    after_ = options.page_token;
  }

  Result<> folder(UniqueFd fd, const std::string& path, int depth) {
    if (depth > kMaxDepth)
      return Error{Code::kInvalid, fmt::format("\"{}\": more than {} folders deep", path, kMaxDepth)};
    DIR* dir = ::fdopendir(fd.release());
    if (dir == nullptr) return errno_error("list \"" + path + "\"", errno);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == ".." || (depth == 0 && name == kTemporaryFolder)) continue;
      struct stat facts{};
      if (entry->d_type == DT_UNKNOWN && ::fstatat(::dirfd(dir), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0)
        continue;
      const bool is_folder = entry->d_type == DT_DIR || (entry->d_type == DT_UNKNOWN && S_ISDIR(facts.st_mode));
      const bool is_file = entry->d_type == DT_REG || (entry->d_type == DT_UNKNOWN && S_ISREG(facts.st_mode));
      if (is_folder || is_file) names.push_back(std::string(name) + (is_folder ? "/" : ""));
    }
    std::sort(names.begin(), names.end());
    Result<> result;
    for (const std::string& name : names) {
      result = name.back() == '/' ? enter(::dirfd(dir), name, path, depth) : file(::dirfd(dir), name, path);
      if (!result || full_) break;
    }
    ::closedir(dir);
    return result;
  }

  ListPage page;

 private:
  Result<> enter(int parent, const std::string& name, const std::string& path, int depth) {
    const std::string key = path + name;
    if (!may_hold(key, options_.prefix)) return {};
    // All keys below are smaller than where the page begins.
    if (key < after_ && !after_.starts_with(key)) return {};
    if (key < options_.start_offset && !options_.start_offset.starts_with(key)) return {};
    if (fold(key)) return {};
    UniqueFd fd(
        ::openat(parent, name.substr(0, name.size() - 1).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return {};  // it went away while we looked
      return errno_error("list \"" + key + "\"", errno);
    }
    return folder(std::move(fd), key, depth + 1);
  }

  Result<> file(int parent, const std::string& name, const std::string& path) {
    std::string key = path + name;
    if (!key.starts_with(options_.prefix) || key < options_.start_offset || (!after_.empty() && key <= after_))
      return {};
    if (fold(key)) return {};
    struct stat facts{};
    if (::fstatat(parent, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return {};
    if (count() == limit_) return finish();
    page.objects.push_back(facts_of(key, facts));
    last_ = std::move(key);
    return {};
  }

  /// With a delimiter, keys that have it after the prefix are one entry. False when `key` is not such a key.
  bool fold(const std::string& key) {
    if (options_.delimiter.empty() || !key.starts_with(options_.prefix)) return false;
    const size_t at = key.find(options_.delimiter, options_.prefix.size());
    if (at == std::string::npos) return false;
    std::string prefix = key.substr(0, at + options_.delimiter.size());
    // Listed on an earlier page: the token is this very prefix.
    if (!after_.empty() && prefix <= after_) return true;
    if (!page.prefixes.empty() && page.prefixes.back() == prefix) return true;
    if (count() == limit_) {
      (void)finish();
      return true;
    }
    last_ = prefix;
    page.prefixes.push_back(std::move(prefix));
    return true;
  }

  size_t count() const { return page.objects.size() + page.prefixes.size(); }
  Result<> finish() {
    full_ = true;
    page.next_page_token = last_;
    return {};
  }

  const ListOptions& options_;
  std::string after_, last_;
  size_t limit_;
  bool full_ = false;
};

}  // namespace

ObjectFacts facts_of(std::string key, const struct stat& facts) {
  ObjectFacts object;
  object.key = std::move(key);
  object.size = static_cast<uint64_t>(facts.st_size);
  object.modified = timestamp_from_ns(int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec);
  object.generation = fmt::format("{}-{}.{:09}", facts.st_ino, facts.st_ctim.tv_sec, facts.st_ctim.tv_nsec);
  object.etag = object.generation;
  return object;
}

Result<ListPage> walk(const std::string& folder, const ListOptions& options) {
  Walk walk(options);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return ListPage{};
    return errno_error("list " + folder, errno);
  }
  BALEEN_TRY_DO(walk.folder(std::move(fd), "", 0));
  return std::move(walk.page);
}

}  // namespace baleen::store::file
