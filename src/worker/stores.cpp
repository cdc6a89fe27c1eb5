#include "worker/stores.h"

#include <cerrno>
#include <fstream>
#include <iterator>

namespace baleen::worker {

Result<store::OpenOptions> open_options(const Config& config, const store::Location& location) {
  store::OpenOptions options;
  if (location.scheme != "gs" || config.gcs_key_file.empty()) return options;
  std::ifstream in(config.gcs_key_file, std::ios::binary);
  if (!in) return errno_error("gcs.serviceAccountKeyFile: " + config.gcs_key_file, errno);
  options.gcs_service_account_json.assign(std::istreambuf_iterator<char>(in), {});
  return options;
}

}  // namespace baleen::worker
