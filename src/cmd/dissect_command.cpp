#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/suggest.h"
#include "base/units.h"
#include "capture/pcap_file/pcap_file.h"
#include "cmd/commands.h"
#include "cmd/printing.h"
#include "codec/pcap/format.h"
#include "dissect/engine.h"
#include "dissect/selection.h"
#include "worker/descriptor_files.h"
#include "worker/key_log_file.h"

namespace baleen::cmd {
namespace {

struct DissectOptions {
  std::vector<std::string> files;
  std::string filter;
  Format format = Format::kTable;
  uint64_t limit = 0;
  bool statistics = false;
  std::vector<std::string> names, key_logs, descriptors;
  dissect::Selection dissectors;
};

constexpr item::Origin kOffline{"offline", "", ""};

class Dissection final : public dissect::EngineObserver {
 public:
  Dissection(const DissectOptions& options, kfl::Filter filter)
      : options_(options),
        filter_(std::move(filter)),
        printer_(options.format),
        limit_(options.limit != 0 ? options.limit : filter_.limit()) {}

  void on_item(item::ItemRef item) override {
    if (done() || !filter_.matches(*item)) return;
    printer_.print(*item, filter_);
  }
  dissect::tls::KeyLog& key_log() { return key_log_; }
  dissect::grpc::Descriptors& descriptors() { return descriptors_; }
  bool done() const { return printer_.closed() || (limit_ != 0 && printer_.printed() >= limit_); }

  /// One file after the other: each is a capture of its own, with flows of its own.
  Result<> read(const std::string& path) {
    // Secrets that the file brings are added to those that were given.
    capture::FileEvents events;
    events.on_secrets = [this](uint32_t type, Bytes secrets) {
      if (type == codec::pcap::kTlsKeyLog) key_log_.add(as_text(secrets));
    };
    BALEEN_TRY(const auto source, capture::PcapFileSource::open({.path = path, .follow = false, .events = events}));
    dissect::EngineOptions engine_options;
    engine_options.protocols = options_.dissectors.protocols;
    engine_options.l4 = options_.dissectors.l4;
    engine_options.origin = &kOffline;
    engine_options.settings.key_log = &key_log_;
    engine_options.settings.descriptors = &descriptors_;
    dissect::Engine engine(engine_options, *this);
    Progress progress(path);
    Result<> outcome;
    while (!done()) {
      auto batch = source->next_batch(std::chrono::seconds(1));
      if (!batch) {
        outcome = std::move(batch).error();
        break;
      }
      if (batch->state() == capture::PacketBatch::State::kEnd) break;
      engine.on_batch(batch->packets(), batch->read_ahead());
      progress.update([&] {
        return fmt::format("{}, {} items", size_to_string(engine.counters().bytes),
                           engine.counters().of(dissect::Counter::kItems));
      });
    }
    engine.finish();
    if (options_.statistics) print_statistics(path, engine, source->statistics());
    for (const Error& problem : source->problems()) fmt::print(stderr, "baleen: warning: {}\n", problem.message);
    return outcome;
  }
  void finish() { printer_.print_totals(); }

 private:
  void print_statistics(const std::string& path, const dissect::Engine& engine,
                        const capture::Statistics& source) const {
    const dissect::grpc::DescriptorsCounters types = descriptors_.counters();
    const dissect::EngineCounters& c = engine.counters();
    fmt::print(stderr, "{}: {} packets, {}, {} streams, {} items\n", path, c.packets, size_to_string(c.bytes),
               c.streams, c.of(dissect::Counter::kItems));
    for (size_t i = 0; i < static_cast<size_t>(net::DecodeStatus::kCount); ++i) {
      const auto status = static_cast<net::DecodeStatus>(i);
      if (engine.decoder().count(status) != 0)
        fmt::print(stderr, "  packets {}: {}\n", net::to_string(status), engine.decoder().count(status));
    }
    const std::pair<const char*, uint64_t> rows[] = {
        {"lost by the capturing program", source.dropped_by_writer},
        {"holes in streams", c.gaps},
        {"bytes in holes", c.of(dissect::Counter::kGapBytes)},
        {"retransmitted bytes", c.tcp.retransmitted_bytes},
        {"fragments refused", c.fragments.refused},
        {"fragmented datagrams that did not become whole", c.fragments.expired + c.fragments.evicted},
        {"datagrams without their later fragments", c.lone_fragments},
        {"requests without response", c.of(dissect::Counter::kHalfRequests)},
        {"responses without request", c.of(dissect::Counter::kHalfResponses)},
        {"malformed messages", c.of(dissect::Counter::kMalformed)},
        {"messages beyond the limit", c.of(dissect::Counter::kMessageTooLong)},
        {"questions and messages forgotten for later ones", c.of(dissect::Counter::kForgotten)},
        {"bodies cut at the limit", c.of(dissect::Counter::kBodyCapped)},
        {"TLS records decrypted", c.of(dissect::Counter::kDecrypted)},
        {"TLS records that stayed closed", c.of(dissect::Counter::kUndecryptable)},
        {"streams of unknown protocol", c.of(dissect::Counter::kUnknownProtocol)},
        {"files of descriptors that servers told", types.files},
        {"files of descriptors that were refused", types.refused},
    };
    for (const auto& [name, n] : rows)
      if (n != 0) fmt::print(stderr, "  {}: {}\n", name, n);
  }

  const DissectOptions& options_;
  dissect::tls::KeyLog key_log_;
  dissect::grpc::Descriptors descriptors_;
  kfl::Filter filter_;
  ItemPrinter printer_;
  uint64_t limit_;
};

int run(DissectOptions& options) {
  options.dissectors = dissect::select_dissectors(options.names);
  for (const std::string& name : options.dissectors.unknown) {
    const std::string_view near = suggest(name, dissect::dissector_names());
    fmt::print(stderr, "baleen: --dissectors: there is none called '{}'{}\n", name,
               near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
    return exit_code::kUsage;
  }
  if (options.names.empty()) dissect::add_what_is_asked(options.filter, options.dissectors);
  auto filter = compile_filter(options.filter);
  if (!filter) return exit_code::kUsage;
  Dissection dissection(options, std::move(*filter));
  for (const std::string& path : options.key_logs) {
    if (const auto read = worker::read_key_log(path, dissection.key_log()); !read) {
      fmt::print(stderr, "baleen: {}\n", read.error().message);
      return exit_code::kFailed;
    }
  }
  if (const auto read = worker::DescriptorFiles(dissection.descriptors()).use(options.descriptors); !read) {
    fmt::print(stderr, "baleen: {}\n", read.error().message);
    return exit_code::kFailed;
  }
  int code = exit_code::kOk;
  for (const std::string& file : options.files) {
    if (const auto read = dissection.read(file); !read) {
      fmt::print(stderr, "baleen: {}\n", read.error().message);
      code = exit_code::kFailed;
    }
  }
  dissection.finish();
  return code;
}

}  // namespace

void add_dissect_command(CLI::App& app, int& code) {
  auto options = std::make_shared<DissectOptions>();
  CLI::App* dissect = app.add_subcommand("dissect", "Show the items in capture files");
  dissect->footer(
      "Shows the items (requests and what came of them) in capture files: pcap and pcapng, also compressed with gzip "
      "or zstd; a folder\n"
      "is read as one capture, '-' is standard input.\n\nExamples:\n  baleen dissect trace.pcap\n  baleen dissect "
      "trace.pcapng.gz --kfl 'http and "
      "response.status >= 500'\n  tcpdump -w - | baleen dissect - -o ndjson | jq .request.path");
  dissect
      ->add_option("FILE", options->files, "capture files (also compressed), tar archives or folders of them, or '-'")
      ->required();
  dissect->add_option("--kfl,-f", options->filter, "only items that match this KFL filter");
  dissect->add_option("-o,--output", options->format, "table, ndjson (one item a line), or count (protocol and number)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Format>{{"table", Format::kTable},
                                                                        {"ndjson", Format::kNdjson},
                                                                        {"count", Format::kCount}})
                      .description(""))
      ->option_text("table|ndjson|count");
  dissect
      ->add_option(
          "--dissectors", options->names,
          "look only for these, as in http,dns,icmp,tcp-conn (default: all; tcp, udp and sctp packets, connections "
          "and flows when --kfl names them)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("NAME,...");
  dissect
      ->add_option(
          "--tls-keylog", options->key_logs,
          "file with TLS secrets (SSLKEYLOGFILE): shows what TLS carries; secrets in pcapng files are used anyway")
      ->option_text("FILE")
      ->allow_extra_args(false);
  dissect
      ->add_option("--proto-descriptors", options->descriptors,
                   "file of protobuf descriptors (protoc --include_imports --descriptor_set_out=FILE): shows the "
                   "messages of gRPC by their fields' names")
      ->option_text("FILE")
      ->allow_extra_args(false);
  dissect->add_option("--limit", options->limit, "stop after this many items");
  dissect->add_flag("--stats", options->statistics, "print what was counted to standard error");
  dissect->callback([options, &code] { code = run(*options); });
}

}  // namespace baleen::cmd
