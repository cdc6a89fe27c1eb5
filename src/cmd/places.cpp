#include "cmd/places.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/suggest.h"

namespace baleen::cmd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRecording = "recording=";
constexpr size_t kMostLooked = 5000;
constexpr int kDeepest = 3;
constexpr size_t kMostNamed = 10;

std::string without_slash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

/// What stands before the first part "recording=…" of a path; nothing when it has none.
std::optional<std::string> before_recording(std::string_view path) {
  for (size_t at = path.find(kRecording); at != std::string_view::npos; at = path.find(kRecording, at + 1))
    if (at == 0 || path[at - 1] == '/') return std::string(path.substr(0, at));
  return std::nullopt;
}

std::optional<std::string> below_folder(const std::string& folder) {
  std::error_code failed;
  size_t looked = 0;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, failed);
  for (; !failed && entry != fs::recursive_directory_iterator() && ++looked < kMostLooked; entry.increment(failed)) {
    if (!entry->is_directory(failed)) continue;
    if (entry->path().filename().string().starts_with(kRecording)) return entry->path().parent_path().string();
    if (entry.depth() >= kDeepest) entry.disable_recursion_pending();
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<std::string>> recording_names(store::ObjectStore& store, const std::string& prefix) {
  store::ListOptions options;
  options.prefix = prefix + std::string(kRecording);
  options.delimiter = "/";
  BALEEN_TRY(const store::ListPage page, store.list(options));
  std::vector<std::string> names;
  for (const std::string& found : page.prefixes) names.push_back(without_slash(found.substr(options.prefix.size())));
  return names;
}

Result<> find_recording(store::ObjectStore& store, const std::string& prefix, const std::string& url,
                        const std::string& name) {
  store::ListOptions options;
  options.prefix = prefix + std::string(kRecording) + name + "/";
  options.page_size = 1;
  BALEEN_TRY(const store::ListPage page, store.list(options));
  if (!page.objects.empty()) return {};
  BALEEN_TRY(const std::vector<std::string> names, recording_names(store, prefix));
  std::string message = fmt::format("{}: there is no recording '{}'", url, name);
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (const std::string_view near = suggest(name, views); !near.empty()) {
    message += fmt::format("; did you mean '{}'?", near);
  } else {
    for (size_t i = 0; i < std::min(names.size(), kMostNamed); ++i)
      message += fmt::format("{}'{}'", i == 0 ? "; there are " : ", ", names[i]);
    if (names.size() > kMostNamed) message += fmt::format(" and {} more", names.size() - kMostNamed);
  }
  return Error{Code::kNotFound, std::move(message)};
}

Result<> check_no_recordings_near(const std::string& url, store::ObjectStore& store, const std::string& prefix) {
  BALEEN_TRY(store::Location location, store::Location::parse(url));
  std::optional<std::string> place = before_recording(location.prefix);
  const bool within = place.has_value();
  if (!place && location.scheme == "file") {
    place = below_folder(location.prefix);
  } else if (!place) {
    store::ListOptions options;
    options.prefix = prefix;
    BALEEN_TRY(const store::ListPage page, store.list(options));
    for (const store::ObjectFacts& object : page.objects)
      if (place = before_recording(object.key); place) break;
  }
  if (!place) return {};
  location.prefix = without_slash(*place);
  const std::string there = location.scheme == "file" ? (location.prefix.empty() ? "." : location.prefix)
                                                      : without_slash(location.to_string());
  return Error{Code::kNotFound, within
                                    ? fmt::format("{}: this is a part of a recording: --from {} reads it", url, there)
                                    : fmt::format("{}: recordings lie below: --from {} reads them", url, there)};
}

}  // namespace baleen::cmd
