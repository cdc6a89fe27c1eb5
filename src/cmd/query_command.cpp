#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>

#include "base/units.h"
#include "cmd/byte_sink.h"
#include "cmd/commands.h"
#include "cmd/follow.h"
#include "cmd/pcap_export.h"
#include "cmd/printing.h"
#include "cmd/query_output.h"
#include "cmd/query_source.h"

namespace baleen::cmd {
namespace {

struct QueryOptions {
  SourceOptions source;
  std::string filter, output = "table", to, item, stream, after, poll = "2s", lateness;
  uint64_t limit = 0;
  bool explain = false, follow = false;
};

const std::map<std::string, ItemFormat> kItemFormats = {
    {"table", ItemFormat::kTable}, {"ndjson", ItemFormat::kNdjson},   {"json", ItemFormat::kJson},
    {"csv", ItemFormat::kCsv},     {"parquet", ItemFormat::kParquet}, {"har", ItemFormat::kHar},
    {"curl", ItemFormat::kCurl}};

/// What may be written before the end is known.
bool can_follow(ItemFormat format) {
  return format == ItemFormat::kTable || format == ItemFormat::kNdjson || format == ItemFormat::kCsv ||
         format == ItemFormat::kCurl;
}

/// The stream of an item, out of its id "worker/000000000042.pcap-7"; empty when it has none.
std::string stream_of(std::string_view item) {
  item.remove_prefix(item.rfind('/') + 1);
  const std::string_view stream = item.substr(0, std::min(item.rfind('-'), item.size()));
  return stream.ends_with(".pcap") ? std::string(stream) : std::string();
}

class Query {
 public:
  Query(const QueryOptions& options, QuerySource& source, index::ReadQuery query, ByteSink& sink)
      : options_(options), reader_(source.reader()), query_(std::move(query)), sink_(sink) {}

  Result<> run() {
    if (options_.output == "pcapng" || options_.output == "pcap") return packets();
    if (options_.output == "count") return count();
    const ItemFormat format = kItemFormats.at(options_.output);
    query_.whole_rows = QueryOutput::wants_columns(format);
    BALEEN_TRY(const auto output, QueryOutput::open(format, query_.filter, sink_));
    BALEEN_TRY_DO(options_.follow ? follow(*output) : items(*output));
    BALEEN_TRY_DO(output->finish());
    if (output->left_out() != 0)
      fmt::print(stderr, "baleen: {} items have no HTTP request, and are left out\n", output->left_out());
    return {};
  }

 private:
  /// One more than the limit is asked for, to know whether there are more.
  Result<> items(QueryOutput& output) {
    const uint64_t limit = query_.limit != 0 ? query_.limit : query_.filter.limit();
    if (limit != 0) query_.limit = limit + 1;
    uint64_t n = 0;
    index::Position last;
    bool more = false;
    BALEEN_TRY_DO(reader_.items(query_, [&](const index::StoredItem& item) {
      if (limit != 0 && n == limit) {
        more = true;
        return false;
      }
      ++n;
      if (n == limit) last = {item.time_ns, std::string(item.node), item.stream, item.index, std::string(item.block)};
      return output.add(item);
    }));
    warn_of_twins(n);
    if (more) fmt::print(stderr, "baleen: there are more: go on with --after {}\n", last.to_token());
    if (n == 0 && options_.output == "table") fmt::print(stderr, "baleen: no item matches\n");
    return {};
  }

  /// Captures that were recorded one after the other number their streams alike.
  void warn_of_twins(uint64_t items) const {
    if (!query_.item.empty() && items > 1)
      fmt::print(stderr, "baleen: {} items have this id, of as many runs: --since and --until choose one\n", items);
  }

  Result<> follow(QueryOutput& output) {
    constexpr Duration kEver = std::chrono::hours(200 * 365 * 24);
    Follow follow({*parse_duration(options_.poll), parse_duration(options_.lateness).value_or(kEver)});
    return follow.run(reader_, query_, output);
  }

  Result<> packets() {
    if (sink_.path().empty() && ::isatty(STDOUT_FILENO) == 1)
      return Error{
          Code::kInvalid,
          "packets do not belong on a terminal: write them to a file with --to, or pipe them to 'wireshark -k -i -'"};
    if (!query_.item.empty()) {
      uint64_t items = 0;
      BALEEN_TRY_DO(reader_.items(query_, [&](const index::StoredItem&) { return ++items != 0; }));
      warn_of_twins(items);
    }
    index::RecordingReader::Packets read;
    if (options_.output == "pcapng") {
      BALEEN_TRY(read, reader_.packets(query_, [&](std::string_view bytes) { sink_.write(bytes); }));
      BALEEN_TRY_DO(sink_.flush());
    } else {
      BALEEN_TRY(PcapExport pcap, PcapExport::open());
      Result<> added;
      BALEEN_TRY(read, reader_.packets(query_, [&](std::string_view bytes) {
        if (added) added = pcap.add(bytes);
      }));
      BALEEN_TRY_DO(added);
      BALEEN_TRY_DO(pcap.write(sink_));
    }
    fmt::print(stderr, "baleen: {} packets\n", read.written);
    if (read.more) fmt::print(stderr, "baleen: there are more items than the limit: a higher one has their streams\n");
    return {};
  }

  Result<> count() {
    BALEEN_TRY(const auto counts, reader_.count(query_));
    for (const auto& [name, n] : counts) sink_.write(fmt::format("{} {}\n", name, n));
    return sink_.flush();
  }

  const QueryOptions& options_;
  index::RecordingReader& reader_;
  index::ReadQuery query_;
  ByteSink& sink_;
};

/// What the options say beside the filter; an error names the option.
Result<> read_options(const QueryOptions& options, index::ReadQuery& query) {
  const auto wrong = [](std::string message) { return Error{Code::kInvalid, std::move(message)}; };
  BALEEN_TRY_DO(QuerySource::read_options(options.source, query));
  query.limit = options.limit;
  query.item = options.item;
  query.stream = !options.stream.empty() ? options.stream : stream_of(options.item);
  if (!options.after.empty()) {
    query.after = index::Position::from_token(options.after);
    if (!query.after) return wrong("--after: this is no word that an earlier 'baleen query --limit' has printed");
  }
  const auto format = kItemFormats.find(options.output);
  if (query.after && format == kItemFormats.end())
    return wrong(fmt::format("--after: -o {} has no pages", options.output));
  if (!options.follow) return {};
  if (format == kItemFormats.end() || !can_follow(format->second))
    return wrong("--follow: has no end, so it takes -o table, ndjson, csv or curl");
  for (const auto& [name, text] : {std::pair("--poll", &options.poll), std::pair("--lateness", &options.lateness)}) {
    if (text->empty()) continue;
    const auto duration = parse_duration(*text);
    if (!duration || *duration <= Duration{0})
      return wrong(fmt::format("{}: expected a duration as 5s, found '{}'", name, *text));
  }
  return {};
}

int run(QueryOptions& options) {
  SourceQuery wanted;
  const auto filter = compile_filter(options.filter);
  if (!filter) return exit_code::kUsage;
  wanted.query.filter = *filter;
  wanted.filter_text = options.filter;
  if (const auto read = read_options(options, wanted.query); !read) return failed(read.error());
  wanted.packets = options.output == "pcapng" || options.output == "pcap";
  wanted.may_come = options.follow;
  auto source = QuerySource::open(options.source, wanted);
  if (!source) return failed(source.error());
  if (options.follow && (*source)->captures())
    return failed(
        {Code::kInvalid, "--follow: these are captures, which are read to their end; recordings can be followed"});
  auto sink = ByteSink::open(options.to);
  if (!sink) return failed(sink.error());
  Query reading(options, **source, std::move(wanted.query), *sink);
  const auto outcome = reading.run();
  if (options.explain) (*source)->explain();
  const bool left_out = (*source)->complain();
  if (!outcome) return failed(outcome.error());
  return left_out ? exit_code::kIncomplete : exit_code::kOk;
}

void add_output_options(CLI::App& query, QueryOptions& options) {
  query
      .add_option("-o,--output", options.output,
                  "items: table, ndjson, json, csv, parquet, har, curl (command lines that repeat HTTP requests); "
                  "their number: "
                  "count; their whole streams: pcapng, pcap")
      ->check(CLI::IsMember({"table", "ndjson", "json", "csv", "parquet", "har", "curl", "count", "pcapng", "pcap"}))
      ->capture_default_str();
  query.add_option("--to", options.to, "write to this file, not to standard output")->option_text("FILE");
  query.add_option("--limit", options.limit, "at most this many items; says how to go on with the next");
  query.add_option("--after", options.after, "go on where an earlier call with --limit has ended")->option_text("WORD");
  query.add_flag("--follow", options.follow, "go on with what is still being recorded, until Ctrl-C");
  query.add_option("--poll", options.poll, "how often --follow looks for new blocks")
      ->option_text("TIME")
      ->capture_default_str();
  query
      .add_option(
          "--lateness", options.lateness,
          "--follow looks only for blocks that are at most so much older than now: less listing in a large bucket "
          "(default: whatever their age)")
      ->option_text("TIME");
  query.add_flag("--explain", options.explain,
                 "say on standard error what was read: requests, bytes, blocks skipped and why, estimated cost");
}

}  // namespace

void add_query_command(CLI::App& app, int& code) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* query = app.add_subcommand("query", "Read items and packets back from a bucket, a folder or captures");
  query->footer(
      "Reads recordings where they lie, without the cluster that made them: items in time order, or the packets of "
      "their streams. Captures\nare dissected first.\n\nExamples:\n"
      "  baleen query --from gs://bucket/prefix --kfl 'http and response.status >= 500' --since 2h\n"
      "  baleen query --from ./bucket -o ndjson | jq .request.path\n  baleen query --from gs://bucket --kfl 'src.ip == "
      "\"10.0.0.7\"' -o pcapng > trace.pcapng\n"
      "  baleen query --from gs://bucket --item 'node-1/000000000042.pcap-0' -o curl\n"
      "  baleen query --from bundle.tar.gz --kfl dns -o csv --to dns.csv");
  options->source.add_to(*query);
  query->add_option("--kfl,-f", options->filter, "only items that match this KFL filter");
  query->add_option("--item", options->item, "only the item with this id")->option_text("ID");
  query->add_option("--stream", options->stream, "only items of this stream, as 000000000042.pcap")
      ->option_text("NAME");
  add_output_options(*query, *options);
  query->callback([options, &code] { code = run(*options); });
}

}  // namespace baleen::cmd
