#include "cmd/query_source.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "base/units.h"
#include "cmd/byte_sink.h"
#include "cmd/captures.h"
#include "cmd/places.h"
#include "cmd/printing.h"
#include "dissect/registry.h"
#include "dissect/selection.h"
#include "offline/import.h"
#include "worker/descriptor_files.h"
#include "worker/key_log_file.h"

namespace baleen::cmd {
namespace {

namespace fs = std::filesystem;

/// What a store takes for requests and for bytes that leave it, in US dollars: published list prices of the usual class
/// (Standard, Standard, Hot LRS) in a region of the USA, at the end of 2025, for the first bytes of a month to the
/// Internet.
struct Prices {
  const char *scheme, *name;
  double thousand_lists, thousand_reads, gib_out;
};
constexpr Prices kPrices[] = {
    {"gs", "Cloud Storage", 0.005, 0.0004, 0.12},
    {"s3", "S3", 0.005, 0.0004, 0.09},
    {"azblob", "Azure Blob", 0.005, 0.0004, 0.087},
};

/// XDG Base Directory Specification: what may be removed at any time. Empty when there is no home.
std::string default_cache() {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/baleen/items";
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/baleen/items";
  return {};
}

/// Each block in hand is an open file.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<> copy_standard_input(const std::string& path) {
  BALEEN_TRY(ByteSink file, ByteSink::open(path));
  std::string piece(1 << 20, '\0');
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("standard input", errno);
    if (n == 0) return file.flush();
    file.write(std::string_view(piece).substr(0, static_cast<size_t>(n)));
    if (file.closed()) return file.flush();
  }
}

}  // namespace

void SourceOptions::add_to(CLI::App& command) {
  command
      .add_option("--from", from,
                  "gs://bucket/prefix, s3://, azblob://, a folder, a worker's data folder (what waits for its bucket "
                  "there), or captures: files (pcap, pcapng, compressed, tar), folders of them, '-'")
      ->required()
      ->option_text("LOCATION");
  command.add_option("--since", since, "from this time on: RFC 3339, Unix seconds, or an age as 15m")
      ->option_text("TIME");
  command.add_option("--until", until, "up to this time")->option_text("TIME");
  command.add_option("--recording", recording, "only this recording")->option_text("NAME");
  command
      .add_option("--cache", cache,
                  "keep what is fetched from buckets in this folder (default: $XDG_CACHE_HOME/baleen/items)")
      ->option_text("FOLDER");
  command.add_option("--cache-limit", cache_limit, "bytes that the cache may keep; what was used last stays")
      ->option_text("SIZE")
      ->default_str("4Gi");
  command.add_flag("--no-cache", no_cache, "keep nothing after this call");
  command
      .add_option("--decryption-key", keys,
                  "a key of what is encrypted (file of 32 bytes, hexadecimal or base64); several times for several")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command.add_option("--tls-keylog", key_logs, "of captures: file with TLS secrets (SSLKEYLOGFILE)")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command
      .add_option("--proto-descriptors", descriptors,
                  "of captures: set of protobuf descriptors (protoc --include_imports --descriptor_set_out) for gRPC")
      ->option_text("FILE")
      ->allow_extra_args(false);
  access.add_to(command);
}

Result<> QuerySource::read_options(const SourceOptions& options, index::ReadQuery& query) {
  const auto time = [](const char* name, const std::string& text, Timestamp& out) -> Result<> {
    if (text.empty()) return {};
    const auto found = parse_time(text, now());
    if (!found)
      return Error{
          Code::kInvalid,
          fmt::format("{}: expected a time as 2026-11-23T12:00:00Z, or an age as 15m; found '{}'", name, text)};
    out = *found;
    return {};
  };
  BALEEN_TRY_DO(time("--since", options.since, query.since));
  BALEEN_TRY_DO(time("--until", options.until, query.until));
  query.recording = options.recording;
  return {};
}

Result<std::unique_ptr<QuerySource>> QuerySource::open(SourceOptions& options, const SourceQuery& wanted) {
  const auto limit = parse_size(options.cache_limit);
  if (!limit)
    return Error{Code::kInvalid, fmt::format("--cache-limit: expected a size as 4Gi, found '{}'", options.cache_limit)};
  auto keys = std::make_shared<index::KeyRing>();
  for (const std::string& file : options.keys) {
    if (auto added = keys->add_file(file); !added)
      return Error{Code::kInvalid, "--decryption-key: " + added.error().message};
  }
  raise_file_limit();
  std::unique_ptr<QuerySource> source(new QuerySource);
  std::error_code ignored;
  std::string cache;
  if (options.from == "-") {
    BALEEN_TRY_DO(source->open_captures(options, wanted));
  } else {
    BALEEN_TRY(const store::Location location, store::Location::parse(options.from));
    source->scheme_ = location.scheme;
    if (location.scheme == "file" && fs::is_regular_file(location.prefix, ignored)) {
      BALEEN_TRY_DO(source->open_captures(options, wanted));
    } else {
      BALEEN_TRY(source->store_, open_location(options.from, options.access, keys));
      if (location.scheme != "file" && !options.no_cache)
        cache = options.cache.empty() ? default_cache() : options.cache;
      if (options.recording.empty()) {
        ++source->probes_;
        BALEEN_TRY(const auto recordings, recording_names(*source->store_.store, source->store_.prefix));
        if (recordings.empty()) {
          ++source->probes_;
          BALEEN_TRY_DO(check_no_recordings_near(options.from, *source->store_.store, source->store_.prefix));
          BALEEN_TRY(const bool captures, has_captures(options.from, *source->store_.store));
          if (captures) BALEEN_TRY_DO(source->open_captures(options, wanted));
        }
      } else if (!wanted.may_come) {
        ++source->probes_;
        BALEEN_TRY_DO(find_recording(*source->store_.store, source->store_.prefix, options.from, options.recording));
      }
    }
  }
  if (source->captures_) cache.clear();
  source->reader_ =
      std::make_unique<index::RecordingReader>(*source->store_.store, source->store_.prefix, cache, *limit);
  source->reader_->set_protocols(dissect::cards());
  source->reader_->set_keys(std::move(keys));
  return source;
}

Result<> QuerySource::open_captures(SourceOptions& options, const SourceQuery& wanted) {
  captures_ = true;
  offline::ImportOptions importing;
  if (options.from == "-") {
    BALEEN_TRY(const std::string folder, fetched_.path());
    importing.path = folder + "/standard-input";
    BALEEN_TRY_DO(copy_standard_input(importing.path));
  } else {
    BALEEN_TRY(importing.path, local_captures(options.from, options.access, fetched_));
  }
  BALEEN_TRY(importing.folder, made_.path());
  importing.filter = wanted.query.filter;
  importing.since = wanted.query.since;
  importing.until = wanted.query.until;
  importing.packets = wanted.packets;
  importing.dissectors = dissect::select_dissectors({});
  dissect::add_what_is_asked(wanted.filter_text, importing.dissectors);
  dissect::tls::KeyLog key_log;
  for (const std::string& path : options.key_logs) BALEEN_TRY_DO(worker::read_key_log(path, key_log));
  importing.key_log = &key_log;
  dissect::grpc::Descriptors descriptors;
  BALEEN_TRY_DO(worker::DescriptorFiles(descriptors).use(options.descriptors));
  importing.descriptors = &descriptors;
  Progress progress(options.from);
  importing.on_progress = [&](uint64_t bytes, uint64_t items) {
    progress.update([&] { return fmt::format("{}, {} items", size_to_string(bytes), items); });
  };
  BALEEN_TRY(const offline::Imported imported, offline::import_captures(importing));
  problems_ = imported.problems;
  if (imported.packets == 0 && !problems_.empty()) return problems_.front();
  read_ = fmt::format("{} packets, {} of captures dissected; {} items kept", imported.packets,
                      size_to_string(imported.bytes), imported.items);
  BALEEN_TRY(store_, open_location(importing.folder, options.access));
  return {};
}

bool QuerySource::complain() const {
  for (const Error& problem : problems_) fmt::print(stderr, "baleen: warning: {}\n", problem.message);
  for (const Error& problem : reader_->problems()) fmt::print(stderr, "baleen: left out: {}\n", problem.message);
  return !problems_.empty() || !reader_->problems().empty();
}

void QuerySource::explain() const {
  index::ReadStatistics s = reader_->statistics();
  s.requests += probes_;
  s.lists += probes_;
  if (captures_) return fmt::print(stderr, "{}; {} rows looked at, {} matched\n", read_, s.rows, s.matches);
  fmt::print(stderr,
             "{} requests, {} read, {} blocks ({} known from the index) of which {} skipped, {} taken from the "
             "cache; {} row groups of which {} skipped; {} rows looked at, {} matched\n",
             s.requests, size_to_string(s.bytes), s.blocks, s.blocks_indexed, s.blocks_skipped, s.cached, s.row_groups,
             s.row_groups_skipped, s.rows, s.matches);
  if (s.blocks_skipped != 0)
    fmt::print(stderr,
               "blocks skipped: {} outside of the time, {} where the filter matches nothing, {} without the stream\n",
               s.skipped_time, s.skipped_filter, s.skipped_stream);
  for (const Prices& p : kPrices) {
    if (scheme_ != p.scheme) continue;
    const double gib = static_cast<double>(s.bytes) / (1 << 30);
    const uint64_t reads = s.requests - s.lists;
    const double cost = static_cast<double>(s.lists) / 1000 * p.thousand_lists +
                        static_cast<double>(reads) / 1000 * p.thousand_reads + gib * p.gib_out;
    fmt::print(
        stderr,
        "estimated cost: ${:.6f}, by {}'s list prices of 2025 in the USA: {} lists at ${} and {} reads at ${} per "
        "1,000, {} at ${} per GiB (nothing within the region)\n",
        cost, p.name, s.lists, p.thousand_lists, reads, p.thousand_reads, size_to_string(s.bytes), p.gib_out);
  }
}

}  // namespace baleen::cmd
