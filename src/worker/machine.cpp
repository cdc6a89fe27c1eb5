#include "worker/machine.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "record/spool.h"

namespace baleen::worker {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string own_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return "127.0.0.1";
  std::string found = "127.0.0.1";
  for (const ifaddrs* a = all; a != nullptr; a = a->ifa_next) {
    if (a->ifa_addr == nullptr || a->ifa_addr->sa_family != AF_INET || (a->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(a->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
    break;
  }
  ::freeifaddrs(all);
  return found;
}

std::string random_id() {
  std::random_device random;
  return fmt::format("{:08x}", random());
}

std::string data_folder_of(const std::string& configured) {
  std::string folder = configured;
  if (folder.empty()) {
    const char* home = std::getenv("HOME");
    folder = ::geteuid() == 0 || home == nullptr ? "/var/lib/baleen" : std::string(home) + "/.local/share/baleen";
  }
  std::error_code failed;
  return fs::absolute(folder, failed).lexically_normal().string();
}

Result<std::string> choose_data_folder(const std::string& configured) {
  const std::string folder = data_folder_of(configured);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    return Error{Code::kIo,
                 fmt::format("data folder {}: {}; choose another with --set dataDir=FOLDER", folder, failed.message())};
  return folder;
}

uint64_t spool_limit(const Config& config, const std::string& folder) {
  if (config.spool_limit != 0) return config.spool_limit;
  std::error_code failed;
  fs::create_directories(folder, failed);
  uint64_t free = fs::space(folder, failed).available;
  if (failed) free = config.storage_limit;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code gone;
    if (const uint64_t size = it->is_regular_file(gone) ? it->file_size(gone) : 0; !gone) free += size;
  }
  return std::max(std::min(config.storage_limit, free) / 2, record::SpoolOptions::kSmallestLimit);
}

}  // namespace baleen::worker
