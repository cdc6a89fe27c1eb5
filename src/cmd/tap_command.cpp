#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/log.h"
#include "base/units.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/printing.h"
#include "record/scope.h"
#include "worker/worker.h"

namespace baleen::cmd {
namespace {

struct TapOptions {
  worker::ConfigRequest config;
  std::vector<std::string> interfaces, key_logs, descriptors;
  std::string pcap, filter, record, to, name = "default", data_dir;
  std::string output;  // empty: table, unless something is recorded or scripted
  std::string scope;
  bool undissected = false;
  uint64_t limit = 0;
  std::string duration, metrics;
  std::string keep;  // empty: what the configuration says
  bool no_dissection = false;
  std::string patience = "60s";
  bool quiet = false;
  bool records() const { return !record.empty() || !scope.empty() || undissected; }
};

volatile sig_atomic_t g_signals = 0;

/// Blocks SIGINT, SIGTERM and SIGHUP for all threads; they are taken by the waiting loop alone.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, s);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

/// The configuration file as it was last read: a change is seen by its times, also when it is replaced by a rename.
struct FileMark {
  timespec modified{};
  ino_t inode = 0;
  off_t size = -1;
  static FileMark of(const std::string& path) {
    struct stat facts;
    if (path.empty() || ::stat(path.c_str(), &facts) != 0) return {};
    return {facts.st_mtim, facts.st_ino, facts.st_size};
  }
  bool operator==(const FileMark& o) const {
    return modified.tv_sec == o.modified.tv_sec && modified.tv_nsec == o.modified.tv_nsec && inode == o.inode &&
           size == o.size;
  }
};

class Tap {
 public:
  explicit Tap(const TapOptions& options) : options_(options) {}

  int run() {
    signals_ = block_signals();
    auto loaded = load();
    if (!loaded) return exit_code::kUsage;
    auto level = log::Level::kWarning;
    if (log::parse_level(loaded->config.log_level, level)) log::set_level(level);
    const auto filter = compile_filter(filter_text(loaded->config), loaded->config.macros);
    if (!filter) return exit_code::kUsage;
    if (!check_recordings(loaded->config)) return exit_code::kUsage;
    const int code = start(*loaded, *filter);
    if (code != exit_code::kOk) return code;
    wait();
    return finish();
  }

 private:
  std::optional<worker::LoadedConfig> load() const {
    worker::LoadedConfig loaded = worker::load_config(options_.config);
    for (const worker::ConfigProblem& problem : loaded.problems)
      if (problem.fatal || !options_.quiet) fmt::print(stderr, "baleen: {}\n", worker::render(problem, loaded.file));
    if (!loaded.ok()) return std::nullopt;
    if (!options_.interfaces.empty()) loaded.config.interfaces = options_.interfaces;
    for (const std::string& path : options_.key_logs) loaded.config.tls_key_logs.push_back(path);
    for (const std::string& path : options_.descriptors) loaded.config.proto_descriptors.push_back(path);
    if (!options_.data_dir.empty()) loaded.config.data_dir = options_.data_dir;
    if (options_.records() && !add_recording(loaded.config)) return std::nullopt;
    if (!options_.metrics.empty()) loaded.config.metrics_address = options_.metrics;
    if (options_.no_dissection) loaded.config.dissect = false;
    if (!options_.keep.empty()) {
      const auto keep = parse_duration(options_.keep);
      if (!keep || *keep < Duration{0}) {
        fmt::print(stderr,
                   "baleen: --keep: expected a duration as 5m, or 0s for as long as the size allows; found '{}'\n",
                   options_.keep);
        return std::nullopt;
      }
      loaded.config.keep_all = true;
      loaded.config.keep_for = *keep;
    }
    return loaded;
  }

  /// That of the command line.
  bool add_recording(worker::Config& config) const {
    worker::RecordingConfig r{options_.name, options_.record, options_.to, true};
    r.from_command_line = true;
    r.scope = options_.scope;
    r.undissected = options_.undissected;
    if (const auto scope = record::Scope::compile(r.scope); !scope) {
      fmt::print(stderr, "baleen: --record-scope: {}\n", scope.error().message);
      return false;
    }
    config.recordings.push_back(std::move(r));
    return true;
  }

  std::string filter_text(const worker::Config& config) const {
    const std::string& text = options_.filter.empty() ? config.default_filter : options_.filter;
    if (config.global_filter.empty() || text.empty()) return config.global_filter + text;
    return "(" + config.global_filter + ") and (" + text + ")";
  }

  static bool check_recordings(const worker::Config& config) {
    bool good = true;
    for (const worker::RecordingConfig& r : config.recordings) {
      good &= compile_filter(r.pattern, config.macros).has_value();
      if (const auto location = store::Location::parse(r.to); !location) {
        fmt::print(stderr, "baleen: recording '{}': {}\n", r.name, location.error().message);
        good = false;
      }
    }
    return good;
  }

  int start(const worker::LoadedConfig& loaded, const kfl::Filter& filter) {
    file_ = loaded.file;
    mark_ = FileMark::of(file_);
    worker::WorkerOptions worker;
    worker.config = loaded.config;
    if (!options_.pcap.empty()) {
      Access access;
      access.use(loaded.config);
      auto path = local_captures(options_.pcap, access, fetched_);
      if (!path) return fail(path.error());
      worker.pcap = *path;
    }
    const bool records = !loaded.config.dissect || !loaded.config.recordings.empty() ||
                         !loaded.config.scripting.source.empty() || !loaded.config.scripting.sources.empty();
    const std::string output = !options_.output.empty() ? options_.output : records ? "none" : "table";
    const uint64_t limit = options_.limit != 0 ? options_.limit : filter.limit();
    if (output != "none") {
      printer_ = std::make_unique<ItemPrinter>(output == "ndjson"  ? Format::kNdjson
                                               : output == "count" ? Format::kCount
                                                                   : Format::kTable);
      worker.show = filter;
      worker.on_item = [this, filter, limit](const item::ItemRef& item) {
        if (done_ || nobody_reads_) return;
        const std::lock_guard lock(print_mutex_);
        printer_->print(*item, filter);
        nobody_reads_ = printer_->closed();
        done_ = limit != 0 && printer_->printed() >= limit;
      };
    }
    if (loaded.config.scripting.console) worker.console = [](const script::ConsoleLine& line) { print_console(line); };
    if (!options_.duration.empty()) {
      const auto duration = parse_duration(options_.duration);
      if (!duration) {
        fmt::print(stderr, "baleen: --duration: expected a duration as 30s or 5m, found '{}'\n", options_.duration);
        return exit_code::kUsage;
      }
      ends_ = std::chrono::steady_clock::now() + *duration;
    }
    auto started = worker::Worker::start(std::move(worker));
    if (!started) return fail(started.error());
    worker_ = *std::move(started);
    config_ = loaded.config;
    announce();
    return exit_code::kOk;
  }

  static int fail(const Error& error) {
    fmt::print(stderr, "baleen: {}\n", error.message);
    return error.code == Code::kInvalid ? exit_code::kUsage : exit_code::kFailed;
  }

  static void print_console(const script::ConsoleLine& line) {
    if (line.kind == script::ConsoleLine::Kind::kClear) return;
    const bool error = line.kind == script::ConsoleLine::Kind::kError;
    fmt::print(stderr, "{} [{}] {}{}\n", to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(line.time)),
               line.script.empty() ? "scripts" : line.script, error ? "error: " : "", line.text);
  }

  void announce() const {
    if (options_.quiet) return;
    if (options_.pcap.empty()) {
      std::string names;
      for (const std::string& name : config_.interfaces) names += (names.empty() ? "" : ", ") + name;
      fmt::print(stderr, "baleen: capturing on {}; Ctrl-C ends it and keeps what was recorded\n", names);
    }
    if (!config_.dissect)
      fmt::print(stderr, "baleen: nothing is dissected{}\n",
                 config_.keep_all ? "; 'baleen pcapdump' hands out packets" : "");
    for (const record::RecordingStatus& r : worker_->status().recordings) {
      const record::Definition& d = r.definition;
      if (!config_.dissect && !d.pattern.empty())
        fmt::print(stderr, "baleen: recording '{}' has a pattern, which matches nothing while nothing is dissected\n",
                   d.name);
      const bool at_once = r.phase == record::Phase::kScheduled && !r.definition.schedule.start;
      fmt::print(stderr, "baleen: recording '{}' ({}) to {}{}\n", r.definition.name, r.definition.pattern,
                 r.definition.destination,
                 r.phase == record::Phase::kRunning || at_once ? "" : fmt::format(": {}", record::to_string(r.phase)));
    }
    if (worker_->metrics_port() != 0)
      fmt::print(stderr, "baleen: metrics at port {}, /metrics\n", worker_->metrics_port());
  }

  /// Until a signal, the end of the input, --limit or --duration. The same thread watches the configuration file.
  void wait() {
    Progress progress("baleen");
    while (!done_ && !worker_->finished() && std::chrono::steady_clock::now() < ends_) {
      const timespec turn{0, 200'000'000};
      const int signal = sigtimedwait(&signals_, nullptr, &turn);
      if (signal == SIGINT || signal == SIGTERM) {
        g_signals = g_signals + 1;
        break;
      }
      if (signal == SIGHUP || !(FileMark::of(file_) == mark_)) reload();
      if (const auto note = worker_->refresh(); note && !options_.quiet) fmt::print(stderr, "baleen: {}\n", *note);
      if (nobody_reads_ && !printing_ended_) {
        printing_ended_ = true;
        if (!records()) break;  // it was for the reader alone
        if (!options_.quiet)
          fmt::print(stderr,
                     "baleen: nobody reads standard output any more; what is recorded goes on, Ctrl-C ends it\n");
      } else if (printer_) {
        const std::lock_guard lock(print_mutex_);
        printer_->flush();
        nobody_reads_ = printer_->closed();
      } else {
        const worker::WorkerStatus s = worker_->status();
        progress.update([&] {
          return fmt::format("{} packets, {} items, {} recorded, {} dropped by the kernel", s.engine.packets,
                             s.engine.of(dissect::Counter::kItems), s.recorder.ledger.items_stored,
                             s.capture.dropped_by_kernel);
        });
      }
    }
  }

  void reload() {
    mark_ = FileMark::of(file_);
    const auto loaded = load();
    if (!loaded) {
      fmt::print(stderr, "baleen: the configuration stays as it was\n");
      return;
    }
    for (const std::string& note : worker_->apply(loaded->config)) fmt::print(stderr, "baleen: {}\n", note);
  }

  /// Whether something is recorded: by the configuration, the command line, or `baleen recordings create`.
  bool records() const { return worker_->status().recording; }

  int finish() {
    const bool recorded = records();
    if (recorded && !options_.quiet)
      fmt::print(stderr,
                 "baleen: finishing: closing blocks and uploading (a second Ctrl-C leaves them in the spool)\n");
    const Duration patience = parse_duration(options_.patience).value_or(std::chrono::seconds(60));
    // A second signal ends the wait for uploads: blocks stay in the spool and go out with the next start.
    std::atomic<bool> stopped{false};
    std::thread watcher([&] {
      while (!stopped) {
        const timespec turn{0, 100'000'000};
        const int signal = sigtimedwait(&signals_, nullptr, &turn);
        if (signal != SIGINT && signal != SIGTERM) continue;
        say_what_is_left();
        _exit(exit_code::kIncomplete);
      }
    });
    worker_->stop(patience);
    stopped = true;
    watcher.join();
    if (printer_) printer_->print_totals();
    int code = exit_code::kOk;
    for (const std::string& problem : worker_->problems()) {
      fmt::print(stderr, "baleen: {}\n", problem);
      code = exit_code::kFailed;
    }
    for (const std::string& problem : worker_->left_out()) fmt::print(stderr, "baleen: warning: {}\n", problem);
    const worker::WorkerStatus s = worker_->status();
    if (!options_.quiet) summarise(s);
    const auto& r = s.recorder;
    if (recorded &&
        (r.spool.dropped_blocks != 0 || r.ledger.items_refused_spool != 0 || r.ledger.packets_refused_spool != 0 ||
         r.spool.waiting_blocks != 0 || r.write_errors != 0 || r.ledger.items_dropped_queue != 0 ||
         r.ledger.packets_lost_recorder != 0 || r.unrecovered_blocks != 0))
      code = std::max(code, exit_code::kIncomplete);
    return code;
  }

  /// For the end that does not wait. Runs beside the worker's stopping.
  void say_what_is_left() const {
    if (!records()) {
      fmt::print(stderr, "baleen: ended at once; what scripts had not uploaded yet stays in {}\n",
                 worker_->data_folder());
      return;
    }
    const record::SpoolProgress spool = worker_->status().recorder.spool;
    fmt::print(stderr,
               "baleen: ended at once; {} closed blocks ({}) wait in {}/spool for the next start, and what was still "
               "open is saved there as far as it was written\n",
               spool.waiting_blocks, size_to_string(spool.waiting_bytes), worker_->data_folder());
  }

  void summarise(const worker::WorkerStatus& s) const {
    fmt::print(stderr, "baleen: {} packets, {}; {} streams; {} items", s.engine.packets, size_to_string(s.engine.bytes),
               s.engine.streams, s.engine.of(dissect::Counter::kItems));
    if (s.capture.dropped_by_kernel != 0)
      fmt::print(stderr, "; {} packets DROPPED by the kernel", s.capture.dropped_by_kernel);
    if (s.script_dropped_items != 0) fmt::print(stderr, "; {} items did not reach the scripts", s.script_dropped_items);
    fmt::print(stderr, "\n");
    if (!s.recording) return;
    const index::LossLedger& l = s.recorder.ledger;
    fmt::print(stderr, "baleen: recorded {} items and {} packets of {} streams; {} blocks uploaded\n", l.items_stored,
               l.packets_stored, s.recorder.streams, s.recorder.spool.uploaded_blocks);
    if (l.items_dropped_queue != 0)
      fmt::print(stderr, "baleen: LOST {} matching items: the recorder's queue was full\n", l.items_dropped_queue);
    if (l.packets_lost_recorder != 0)
      fmt::print(stderr,
                 "baleen: LOST {} packets of matching streams: overwritten before they could be kept; raise "
                 "tap.storageLimit\n",
                 l.packets_lost_recorder);
    if (l.blocks_dropped_spool != 0)
      fmt::print(stderr,
                 "baleen: LOST {} blocks ({}; {} items, {} packets) that waited for their bucket: the spool was at its "
                 "limit of {}\n",
                 l.blocks_dropped_spool, size_to_string(l.bytes_dropped_spool), l.items_dropped_spool,
                 l.packets_dropped_spool, size_to_string(s.recorder.spool.limit_bytes));
    if (l.items_refused_spool + l.packets_refused_spool != 0)
      fmt::print(stderr, "baleen: LOST {} items and {} packets of matching streams: the spool was at its limit of {}\n",
                 l.items_refused_spool, l.packets_refused_spool, size_to_string(s.recorder.spool.limit_bytes));
    if (l.items_failed + l.packets_failed != 0)
      fmt::print(
          stderr,
          "baleen: LOST {} items and {} packets of matching streams: the disk took nothing, or has lost it: {}\n",
          l.items_failed, l.packets_failed, s.recorder.last_error);
    if (l.packets_beyond_limit != 0)
      fmt::print(stderr, "baleen: {} packets of matching streams were beyond their recording's limit of bytes\n",
                 l.packets_beyond_limit);
    if (l.packets_refused_recorder != 0)
      fmt::print(stderr, "baleen: {} packets found no place in the flight recorder\n", l.packets_refused_recorder);
    if (s.recorder.spool.waiting_blocks != 0)
      fmt::print(stderr, "baleen: {} blocks ({}) wait in {}/spool for the next start: {}\n",
                 s.recorder.spool.waiting_blocks, size_to_string(s.recorder.spool.waiting_bytes),
                 worker_->data_folder(), s.recorder.spool.last_error);
    if (s.recorder.unrecovered_blocks != 0)
      fmt::print(stderr,
                 "baleen: {} blocks that an earlier run left open cannot be read (see the warnings at the start); they "
                 "stay in {}/spool/open\n",
                 s.recorder.unrecovered_blocks, worker_->data_folder());
    if (s.recorder.finishing_blocks != 0)
      fmt::print(stderr,
                 "baleen: {} blocks could not be finished; what was written of them stays in {}/spool for the next "
                 "start: {}\n",
                 s.recorder.finishing_blocks, worker_->data_folder(), s.recorder.last_error);
    std::set<std::string> places;
    for (const record::RecordingStatus& r : s.recordings)
      if (places.insert(r.definition.destination).second)
        fmt::print(stderr, "baleen: read it back with: baleen query --from {}\n", r.definition.destination);
  }

  const TapOptions& options_;
  sigset_t signals_{};
  std::string file_;
  FileMark mark_;
  worker::Config config_;
  TemporaryFolder fetched_;
  std::mutex print_mutex_;
  std::unique_ptr<ItemPrinter> printer_;
  std::atomic<bool> done_{false}, nobody_reads_{false};
  bool printing_ended_ = false;
  std::chrono::steady_clock::time_point ends_ = std::chrono::steady_clock::time_point::max();
  std::unique_ptr<worker::Worker> worker_;
};

}  // namespace

void add_tap_command(CLI::App& app, int& code) {
  auto options = std::make_shared<TapOptions>();
  CLI::App* tap =
      app.add_subcommand("tap", "Capture live (or from files), show items, run scripts, record to a bucket");
  tap->footer(
      "Captures packets of this machine's interfaces, or reads them from files, and shows the items in them. With "
      "--record, the whole\n"
      "streams of the items that match go to a bucket or folder; scripts of the configuration run for every item. "
      "Ctrl-C ends it: what was\n"
      "recorded is uploaded first.\n\nExamples:\n  baleen tap                                              everything, "
      "on all interfaces\n"
      "  baleen tap -i eth0 --kfl 'http and response.status >= 500'\n  baleen tap --record 'http or dns' --to "
      "gs://bucket/prefix\n"
      "  baleen tap --config baleen.yaml                         recordings and scripts of a file, which is watched\n"
      "  baleen tap --keep 10m                                   and 'baleen pcapdump --last 5m -w trace.pcapng' hands "
      "out "
      "the last five minutes\n"
      "  baleen tap --record-scope 'port 5432' --undissected --to ./bucket    whole streams, matched or not\n"
      "  baleen tap --pcap trace.pcap --record http --to ./bucket");
  tap->add_option("-i,--interface", options->interfaces, "interfaces to capture (default: all that are up)")
      ->option_text("NAME ...");
  tap->add_option("--pcap", options->pcap,
                  "read packets from a capture file, a tar archive or a folder of them, '-', or a location as "
                  "gs://bucket/prefix")
      ->option_text("FILE");
  tap->add_option("--kfl,-f", options->filter, "show only items that match this KFL filter");
  tap->add_option("--record", options->record, "record the streams of items that match this KFL filter")
      ->option_text("KFL");
  tap->add_option("--record-scope", options->scope,
                  "record every stream with a packet that this pcap-filter lets through, whatever is in it, as 'port "
                  "5432'")
      ->option_text("PCAP-FILTER");
  tap->add_flag("--undissected", options->undissected, "record streams that no dissector understands");
  tap->add_option("--to", options->to, "where to: gs://bucket/prefix, or a folder")->option_text("LOCATION");
  tap->add_option("--name", options->name, "name of the recording")->capture_default_str();
  tap->add_option("--config,--config-path", options->config.path,
                  "configuration file; a change of it takes effect at once")
      ->option_text("FILE");
  tap->add_option("--set", options->config.sets, "set a configuration key")
      ->option_text("KEY=VALUE")
      ->allow_extra_args(false);
  tap->add_option(
         "--tls-keylog", options->key_logs,
         "file with TLS secrets (SSLKEYLOGFILE), which programs may append to meanwhile: shows what TLS carries")
      ->option_text("FILE")
      ->allow_extra_args(false);
  tap->add_option(
         "--proto-descriptors", options->descriptors,
         "file of protobuf descriptors (protoc --include_imports --descriptor_set_out=FILE), read again when it "
         "changes: shows the messages of gRPC by their fields' names")
      ->option_text("FILE")
      ->allow_extra_args(false);
  tap->add_option("--data-dir", options->data_dir, "folder for packets, scripts' files and the spool")
      ->option_text("FOLDER");
  tap->add_option("--keep", options->keep,
                  "keep the packets of everything at least for this time (0s: as long as tap.capture.raw.storageSize "
                  "allows), for 'baleen pcapdump' and recordings that look back")
      ->option_text("TIME");
  tap->add_flag("--no-dissection", options->no_dissection,
                "only keep packets: no items, at the cost of tcpdump; see --keep and 'baleen pcapdump'");
  tap->add_option("-o,--output", options->output, "table, ndjson, count or none (default: table, none when recording)")
      ->check(CLI::IsMember({"table", "ndjson", "count", "none"}));
  tap->add_option("--limit", options->limit, "end after this many items shown");
  tap->add_option("--duration", options->duration, "end after this time, as 30s or 5m");
  tap->add_option("--metrics", options->metrics, "serve metrics for Prometheus at this address, as 127.0.0.1:49100")
      ->option_text("ADDRESS");
  tap->add_option("--upload-wait", options->patience, "how long to wait for uploads at the end")->capture_default_str();
  tap->add_flag("-q,--quiet", options->quiet, "only errors on standard error");
  tap->callback([options, &code] {
    if (options->records() == options->to.empty()) {
      fmt::print(
          stderr,
          "baleen tap: --record (or --record-scope, --undissected) and --to go together: what to keep, and where\n");
      code = exit_code::kUsage;
      return;
    }
    code = Tap(*options).run();
  });
}

}  // namespace baleen::cmd
