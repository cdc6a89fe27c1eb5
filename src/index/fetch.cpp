#include "index/fetch.h"

#include <fmt/core.h>

namespace baleen::index {

std::vector<Result<std::string>> fetch_all(store::ObjectStore& store, std::span<const Wanted> wanted) {
  std::vector<Result<std::string>> out(wanted.size(), std::string());
  const auto fetch = [&](const Wanted& w) -> Result<std::string> {
    if (w.length == 0) return store.get(w.key);
    BALEEN_TRY(std::string bytes, store.get_range(w.key, w.offset, w.length));
    if (bytes.size() != w.length)
      return Error{Code::kIo, fmt::format("{} bytes at {} expected, {} found", w.length, w.offset, bytes.size())};
    return bytes;
  };
  in_parallel(wanted.size(), kFetchesAtOnce, [&](size_t i) { out[i] = fetch(wanted[i]); });
  return out;
}

std::vector<Result<store::FileSum>> sum_all(std::span<const std::string> paths) {
  std::vector<Result<store::FileSum>> out(paths.size(), store::FileSum());
  in_parallel(paths.size(), std::max(1U, std::thread::hardware_concurrency()),
              [&](size_t i) { out[i] = store::sum_file(paths[i]); });
  return out;
}

}  // namespace baleen::index
