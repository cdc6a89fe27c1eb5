#include "worker/descriptor_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"

namespace baleen::worker {
namespace {

Result<std::string> content_of(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("protobuf descriptors " + path, errno);
  std::string content;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("protobuf descriptors " + path, errno);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > codec::SchemaBuilder::kMostBytes)
      return Error{Code::kInvalid, path + ": larger than 64 MiB, which no set of descriptors is"};
  }
}

/// What to do about a file that is something else.
std::string advice(std::string_view content) {
  const bool source =
      content.find('\0') == std::string_view::npos && content.find("message ") != std::string_view::npos;
  return source ? " (it looks like a .proto file; protoc --include_imports --descriptor_set_out=FILE makes one of it)"
                : " (protoc --include_imports --descriptor_set_out=FILE makes one)";
}

}  // namespace

DescriptorFiles::Mark DescriptorFiles::mark_of(const std::string& path) {
  struct stat there;
  if (::stat(path.c_str(), &there) != 0) return {};
  return {there.st_ino, there.st_mtim.tv_sec, there.st_mtim.tv_nsec, static_cast<uint64_t>(there.st_size)};
}

Result<> DescriptorFiles::read() {
  marks_.clear();
  for (const std::string& path : paths_) marks_.push_back(mark_of(path));
  if (paths_.empty()) return descriptors_.set(nullptr), Result<>();
  codec::SchemaBuilder builder;
  for (const std::string& path : paths_) {
    BALEEN_TRY(const std::string content, content_of(path));
    if (const auto added = builder.add_set(as_bytes(content)); !added) {
      Error error = added.error().in(path + " is no set of protobuf descriptors");
      error.message += advice(content);
      return error;
    }
  }
  auto schema = builder.build(false);
  if (!schema) return std::move(schema).error().in("protobuf descriptors " + paths_.front());
  descriptors_.set(*std::move(schema));
  return {};
}

Result<> DescriptorFiles::use(const std::vector<std::string>& paths) {
  paths_ = paths;
  return read();
}

Result<bool> DescriptorFiles::refresh() {
  const bool same = std::equal(paths_.begin(), paths_.end(), marks_.begin(), marks_.end(),
                               [](const std::string& path, const Mark& mark) { return mark_of(path) == mark; });
  if (same) return false;
  BALEEN_TRY_DO(read());
  return true;
}

}  // namespace baleen::worker
