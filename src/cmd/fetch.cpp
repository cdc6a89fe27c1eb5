#include "cmd/fetch.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "cmd/captures.h"
#include "cmd/printing.h"
#include "record/spool_store.h"
#include "store/retrying_store.h"
#include "worker/stores.h"

namespace baleen::cmd {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostCaptures = 100'000;

/// By its name, as nothing else is known of an object: *.pcap, *.pcapng, *.cap, with what tcpdump puts behind (.pcap3),
/// compressed, or a tar archive.
bool is_capture(std::string_view key) {
  key.remove_prefix(key.rfind('/') + 1);
  bool archive = false;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view ending : {".gz", ".zst", ".tar", ".tgz"}) {
      if (!key.ends_with(ending)) continue;
      archive = archive || ending.starts_with(".t");
      key.remove_suffix(ending.size());
      again = true;
    }
  }
  if (archive) return true;
  while (!key.empty() && key.back() >= '0' && key.back() <= '9') key.remove_suffix(1);
  return key.ends_with(".pcap") || key.ends_with(".pcapng") || key.ends_with(".cap") || key.ends_with(".dmp");
}

/// The captures at a place: the object of that very name, whatever it is called, or those below it.
Result<std::vector<store::ObjectFacts>> list_captures(store::ObjectStore& source, const store::Location& location,
                                                      bool only_one) {
  std::vector<store::ObjectFacts> found;
  store::ListOptions list;
  list.prefix = location.prefix;
  do {
    BALEEN_TRY(store::ListPage page, source.list(list));
    for (store::ObjectFacts& object : page.objects) {
      if (object.key == location.prefix && !object.key.empty()) return std::vector{std::move(object)};
      if (!object.key.starts_with(location.key_prefix()) || !is_capture(object.key)) continue;
      if (found.size() >= kMostCaptures)
        return Error{Code::kInvalid, fmt::format("{} has more than {} captures", location.to_string(), kMostCaptures)};
      found.push_back(std::move(object));
      if (only_one) return found;
    }
    list.page_token = page.next_page_token;
  } while (!list.page_token.empty());
  return found;
}

/// An object into a file, a piece at a time.
Result<> download(store::ObjectStore& source, const store::ObjectFacts& object, const std::string& path) {
  constexpr uint64_t kPiece = 32 << 20;
  std::ofstream out(path, std::ios::binary);
  for (uint64_t at = 0; at < object.size; at += kPiece) {
    const uint64_t length = std::min(kPiece, object.size - at);
    BALEEN_TRY(const std::string bytes, source.get_range(object.key, at, length));
    if (bytes.size() != length) return Error{Code::kIo, object.key + ": it ends too early: has it changed?"};
    out << bytes;
  }
  out.close();
  if (!out) return Error{Code::kIo, path + ": cannot be written: is the disk full?"};
  return {};
}

/// All of them, several at a time, into files whose names keep the objects' order.
Result<> download_all(store::ObjectStore& source, const std::vector<store::ObjectFacts>& objects,
                      const std::string& folder) {
  constexpr size_t kAtOnce = 8;
  Progress progress("fetching captures");
  std::atomic<size_t> next{0}, done{0};
  std::mutex mutex;
  std::atomic<bool> stopped{false};
  std::optional<Error> failed;
  const auto work = [&] {
    for (size_t i = next++; i < objects.size() && !stopped; i = next++) {
      const std::string name = fs::path(objects[i].key).filename().string();
      auto outcome = download(source, objects[i], fmt::format("{}/{:06}-{}", folder, i, name));
      const std::lock_guard lock(mutex);
      if (!outcome && !failed) failed = std::move(outcome).error().in(objects[i].key);
      stopped = failed.has_value();
      progress.update([&] { return fmt::format("{} of {} files", ++done, objects.size()); });
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < std::min(kAtOnce, objects.size()); ++i) others.emplace_back(work);
    work();
  }
  return failed ? Result<>(*std::move(failed)) : Result<>();
}

}  // namespace

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

/// The spool of a worker's data folder, unless recordings lie in the folder itself.
static std::string waiting_in(const store::Location& location) {
  if (location.scheme != "file") return {};
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(location.prefix, ignored))
    if (entry.path().filename().string().starts_with("recording=")) return {};
  return record::SpoolStore::spool_in(location.prefix);
}

Result<OpenedStore> open_location(const std::string& url, Access& access, std::shared_ptr<const index::KeyRing> keys) {
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme == "file" && !fs::is_directory(location.prefix))
    return Error{Code::kNotFound, fmt::format("{}: no such folder", url)};
  if (const std::string spool = waiting_in(location); !spool.empty()) {
    BALEEN_TRY(auto waiting, record::SpoolStore::open(spool, {std::move(keys)}));
    for (const Error& error : waiting->unread())
      fmt::print(stderr, "baleen: left out, a block that is still open: {}\n", error.message);
    BALEEN_TRY(const store::ListPage page, waiting->list({.page_size = 1}));
    if (page.objects.empty() && !waiting->unread().empty())
      return Error{Code::kNotFound, spool + ": no other block waits in this spool"};
    if (page.objects.empty())
      return Error{Code::kNotFound, spool + ": nothing waits in this spool; what was recorded is where it was sent to"};
    return OpenedStore{std::move(waiting), {}};
  }
  BALEEN_TRY(auto store, access.open(location));
  store::RetryPolicy policy;
  policy.total_time = std::chrono::seconds(60);  // somebody is waiting
  policy.attempts = 5;
  return OpenedStore{std::make_unique<store::RetryingStore>(std::move(store), policy), location.key_prefix()};
}

Result<bool> has_captures(const std::string& url, store::ObjectStore& store) {
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme != "file") {
    BALEEN_TRY(const auto found, list_captures(store, location, true));
    return !found.empty();
  }
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(location.prefix, ignored))
    if (entry.is_regular_file(ignored)) return true;  // whoever reads it looks into each
  return false;
}

Result<std::string> local_captures(const std::string& url, Access& access, TemporaryFolder& folder) {
  if (url.find("://") == std::string::npos) return url;
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme == "file") return location.prefix;
  BALEEN_TRY(auto store, access.open(location));
  store::RetryingStore source(std::move(store));
  BALEEN_TRY(const auto objects, list_captures(source, location, false));
  if (objects.empty())
    return Error{Code::kNotFound,
                 fmt::format("{}: no captures (*.pcap, *.pcapng, compressed or in tar archives) there", url)};
  BALEEN_TRY(const std::string target, folder.path());
  BALEEN_TRY_DO(download_all(source, objects, target));
  // One file is read as a file: of a damaged one what comes before the damage is told, then an error.
  return objects.size() == 1 ? fmt::format("{}/000000-{}", target, fs::path(objects[0].key).filename().string())
                             : target;
}

}  // namespace baleen::cmd
