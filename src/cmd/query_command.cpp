#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/har.h"
#include "cmd/printing.h"
#include "dissect/registry.h"
#include "index/recording_reader.h"
#include "item/json.h"

namespace baleen::cmd {
namespace {

struct QueryOptions {
  std::string from, filter, since, until, recording, output = "table", cache;
  std::vector<std::string> keys;  // files
  uint64_t limit = 0;
  bool explain = false;
  Access access;
};

std::optional<Timestamp> time_option(const char* name, const std::string& text, Timestamp otherwise) {
  if (text.empty()) return otherwise;
  const auto time = parse_time(text, now());
  if (!time)
    fmt::print(stderr, "baleen query: {}: expected a time as 2026-11-23T12:00:00Z, or an age as 15m; found '{}'\n",
               name, text);
  return time;
}

class Query {
 public:
  void set_keys(std::shared_ptr<const index::KeyRing> keys) { reader_.set_keys(std::move(keys)); }
  Query(const QueryOptions& options, OpenedStore opened, index::ReadQuery query)
      : options_(options),
        opened_(std::move(opened)),
        query_(std::move(query)),
        reader_(*opened_.store, opened_.prefix, options.cache) {
    reader_.set_protocols(dissect::cards());
  }

  Result<> run() {
    if (options_.output == "pcapng") return packets();
    if (options_.output == "har") return har();
    if (options_.output == "count") return count();
    ItemPrinter printer(options_.output == "ndjson" ? Format::kNdjson : Format::kTable);
    const auto outcome = reader_.items(query_, [&](const index::StoredItem& item) {
      if (options_.output == "ndjson" && !query_.filter.redacts()) {
        printer.print_json(item.json);
        return !printer.closed();
      }
      Arena arena;
      if (const auto root = item::parse_json(item.json, arena)) {
        const item::Value shown = query_.filter.redacts() ? query_.filter.apply_json(*root, arena).record : *root;
        if (options_.output == "ndjson") {
          std::string text;
          item::append_json(shown, text);
          printer.print_json(text);
        } else {
          printer.print_stored(shown);
        }
      }
      return !printer.closed();
    });
    printer.flush();
    return outcome;
  }

  /// Says what was left out; whether something was.
  bool complain() const {
    for (const Error& problem : reader_.problems()) fmt::print(stderr, "baleen: left out: {}\n", problem.message);
    return !reader_.problems().empty();
  }

  void explain() const {
    const index::ReadStatistics& s = reader_.statistics();
    fmt::print(stderr,
               "{} requests, {} read, {} blocks ({} known from the index) of which {} skipped, {} taken from the "
               "cache; {} row groups of which {} skipped; {} rows looked at, {} matched\n",
               s.requests, size_to_string(s.bytes), s.blocks, s.blocks_indexed, s.blocks_skipped, s.cached,
               s.row_groups, s.row_groups_skipped, s.rows, s.matches);
  }

 private:
  Result<> packets() {
    if (::isatty(STDOUT_FILENO) == 1)
      return Error{Code::kInvalid,
                   "packets do not belong on a terminal: write them to a file, or pipe them to 'wireshark -k -i -'"};
    BALEEN_TRY(const uint64_t n, reader_.packets(query_, [](std::string_view bytes) {
      std::cout.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }));
    std::cout.flush();
    fmt::print(stderr, "baleen: {} packets\n", n);
    return {};
  }
  Result<> har() {
    HarWriter writer;
    BALEEN_TRY_DO(reader_.items(query_, [&](const index::StoredItem& item) {
      writer.add(item.json);
      return true;
    }));
    fmt::print("{}\n", writer.text());
    return {};
  }
  Result<> count() {
    BALEEN_TRY(const auto counts, reader_.count(query_));
    for (const auto& [name, n] : counts) fmt::print("{} {}\n", name, n);
    return {};
  }

  const QueryOptions& options_;
  OpenedStore opened_;
  index::ReadQuery query_;
  index::RecordingReader reader_;
};

int run(QueryOptions& options) {
  index::ReadQuery query;
  const auto filter = compile_filter(options.filter);
  const auto since = time_option("--since", options.since, query.since),
             until = time_option("--until", options.until, query.until);
  if (!filter || !since || !until) return exit_code::kUsage;
  query.filter = *filter;
  query.since = *since;
  query.until = *until;
  query.recording = options.recording;
  query.limit = options.limit;
  auto opened = open_location(options.from, options.access);
  if (!opened) {
    fmt::print(stderr, "baleen: {}\n", opened.error().message);
    return exit_code::kFailed;
  }
  auto keys = std::make_shared<index::KeyRing>();
  for (const std::string& file : options.keys) {
    if (const auto added = keys->add_file(file); !added) {
      fmt::print(stderr, "baleen: --decryption-key: {}\n", added.error().message);
      return exit_code::kUsage;
    }
  }
  Query reading(options, *std::move(opened), std::move(query));
  reading.set_keys(std::move(keys));
  const auto outcome = reading.run();
  if (options.explain) reading.explain();
  const bool left_out = reading.complain();
  if (outcome) return left_out ? exit_code::kIncomplete : exit_code::kOk;
  fmt::print(stderr, "baleen: {}\n", outcome.error().message);
  return outcome.error().code == Code::kInvalid ? exit_code::kUsage : exit_code::kFailed;
}

}  // namespace

void add_query_command(CLI::App& app, int& code) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* query = app.add_subcommand("query", "Read items and packets back from a bucket or folder");
  query->footer(
      "Reads recordings where they lie, without the cluster that made them: items in time order, or the packets of "
      "their streams.\n\nExamples:\n"
      "  baleen query --from gs://bucket/prefix --kfl 'http and response.status >= 500' --since 2h\n"
      "  baleen query --from ./bucket -o ndjson | jq .request.path\n  baleen query --from gs://bucket --kfl 'src.ip == "
      "\"10.0.0.7\"' -o pcapng > trace.pcapng");
  query->add_option("--from", options->from, "gs://bucket/prefix, or a folder")->required()->option_text("LOCATION");
  query->add_option("--kfl,-f", options->filter, "only items that match this KFL filter");
  query->add_option("--since", options->since, "from this time on: RFC 3339, Unix seconds, or an age as 15m")
      ->option_text("TIME");
  query->add_option("--until", options->until, "up to this time")->option_text("TIME");
  query->add_option("--recording", options->recording, "only this recording")->option_text("NAME");
  query->add_option("--limit", options->limit, "at most this many items");
  query->add_option("-o,--output", options->output, "table, ndjson, count, pcapng (whole streams) or har")
      ->check(CLI::IsMember({"table", "ndjson", "count", "pcapng", "har"}))
      ->capture_default_str();
  query->add_option("--cache", options->cache, "keep fetched items in this folder (default: for this call only)")
      ->option_text("FOLDER");
  query
      ->add_option("--decryption-key", options->keys,
                   "a key of what is encrypted (file of 32 bytes, hexadecimal or base64); several times for several")
      ->option_text("FILE")
      ->allow_extra_args(false);
  query->add_flag("--explain", options->explain,
                  "say on standard error what was read: requests, bytes, blocks skipped");
  options->access.add_to(*query);
  query->callback([options, &code] { code = run(*options); });
}

}  // namespace baleen::cmd
