#include "store/environment.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace baleen::store {

const char* env(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != 0 ? value : nullptr;
}

std::string env_text(const char* name) {
  const char* value = env(name);
  return value != nullptr ? value : "";
}

Result<std::string> read_small_file(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return errno_error("read " + path, errno);
  if (!S_ISREG(facts.st_mode) || facts.st_size > 1 << 20)
    return Error{Code::kInvalid, path + ": not a credentials file"};
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error("read " + path, errno);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

std::string trimmed(std::string text) {
  constexpr char kSpace[] = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, text.find_first_not_of(kSpace));
  return text;
}

}  // namespace baleen::store
