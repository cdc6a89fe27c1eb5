#include "base/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace baleen {

Result<> replace_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".part";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error(temporary, errno);
  for (size_t at = 0; at < content.size();) {
    const ssize_t n = ::write(fd.get(), content.data() + at, content.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error(temporary, n == 0 ? EIO : errno);
    at += static_cast<size_t>(n);
  }
  if (::fsync(fd.get()) != 0) return errno_error(temporary, errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return errno_error(folder, errno);
  return {};
}

}  // namespace baleen
