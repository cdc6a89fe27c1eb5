#include "cmd/fetch.h"

#include <fmt/core.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "base/units.h"
#include "cmd/printing.h"
#include "store/retrying_store.h"
#include "worker/stores.h"

namespace baleen::cmd {
namespace {

namespace fs = std::filesystem;

bool is_capture(std::string_view key) {
  for (const std::string_view ending : {".gz", ".zst"})
    if (key.ends_with(ending)) key.remove_suffix(ending.size());
  return key.ends_with(".pcap") || key.ends_with(".pcapng") || key.ends_with(".cap");
}

}  // namespace

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<std::string> TemporaryFolder::path() {
  if (!path_.empty()) return path_;
  std::string pattern = (fs::temp_directory_path() / "baleen-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return errno_error(pattern, errno);
  return path_ = pattern;
}

void Access::add_to(CLI::App& command) {
  command.add_option("--config,--config-path", request_.path, "configuration file, for credentials")
      ->option_text("FILE");
  command.add_option("--set", request_.sets, "a configuration key, as in --set gcs.serviceAccountKeyFile=key.json")
      ->option_text("KEY=VALUE")
      ->allow_extra_args(false);
}

Result<> Access::load() {
  worker::LoadedConfig loaded = worker::load_config(request_);
  const bool named = !request_.path.empty() || !request_.sets.empty();
  for (const worker::ConfigProblem& problem : loaded.problems)
    if (problem.fatal) fmt::print(stderr, "baleen: {}\n", worker::render(problem, loaded.file));
  if (!loaded.ok() && named) return Error{Code::kInvalid, "the configuration is wrong"};
  config_ = loaded.ok() ? std::move(loaded.config) : worker::Config();
  return {};
}

Result<std::unique_ptr<store::ObjectStore>> Access::open(const store::Location& location) {
  if (!config_ && location.scheme != "file") BALEEN_TRY_DO(load());
  BALEEN_TRY(const store::OpenOptions options, worker::open_options(config_ ? *config_ : worker::Config(), location));
  return store::open(location, options);
}

Result<worker::Config> Access::config() {
  if (!config_) BALEEN_TRY_DO(load());
  return *config_;
}

Result<OpenedStore> open_location(const std::string& url, Access& access) {
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme == "file" && !fs::is_directory(location.prefix))
    return Error{Code::kNotFound, fmt::format("{}: no such folder", url)};
  BALEEN_TRY(auto store, access.open(location));
  store::RetryPolicy policy;
  policy.total_time = std::chrono::seconds(60);  // somebody is waiting
  policy.attempts = 5;
  return OpenedStore{std::make_unique<store::RetryingStore>(std::move(store), policy), location.key_prefix()};
}

Result<std::string> local_captures(const std::string& url, Access& access, TemporaryFolder& folder) {
  if (url.find("://") == std::string::npos) return url;
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme == "file") return location.prefix;
  BALEEN_TRY(auto store, access.open(location));
  store::RetryingStore source(std::move(store));
  BALEEN_TRY(const std::string target, folder.path());
  Progress progress("fetching captures");
  store::ListOptions list;
  list.prefix = location.prefix;
  size_t found = 0;
  uint64_t bytes = 0;
  do {
    BALEEN_TRY(const store::ListPage page, source.list(list));
    for (const store::ObjectFacts& object : page.objects) {
      if (!is_capture(object.key)) continue;
      BALEEN_TRY(const std::string content, source.get(object.key));
      std::ofstream(fmt::format("{}/{:06}-{}", target, found++, fs::path(object.key).filename().string()),
                    std::ios::binary)
          << content;
      bytes += content.size();
      progress.update(fmt::format("{} files, {}", found, size_to_string(bytes)));
    }
    list.page_token = page.next_page_token;
  } while (!list.page_token.empty());
  if (found == 0) return Error{Code::kNotFound, fmt::format("{}: no captures (*.pcap, *.pcapng) there", url)};
  return target;
}

}  // namespace baleen::cmd
