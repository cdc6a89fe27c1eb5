#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/units.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/matching_streams.h"
#include "cmd/packet_output.h"
#include "cmd/printing.h"
#include "store/retrying_store.h"
#include "worker/key_log_file.h"
#include "worker/machine.h"
#include "worker/worker.h"

namespace baleen::cmd {
namespace {

struct DumpOptions {
  std::string to = "-", format = "pcapng", last, since, until, kfl, data_dir;
  std::vector<std::string> expression, key_logs;
  bool follow = false, quiet = false;
  Access access;
};

std::string shown(Timestamp time) { return to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(time)); }

/// SIGINT and SIGTERM end the dump between two packets.
class Interruption {
 public:
  Interruption() {
    sigemptyset(&set_);
    for (const int s : {SIGINT, SIGTERM}) sigaddset(&set_, s);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  bool came() {
    const timespec now{0, 0};
    came_ = came_ || sigtimedwait(&set_, nullptr, &now) > 0;
    return came_;
  }

 private:
  sigset_t set_{};
  bool came_ = false;
};

class PcapDump {
 public:
  explicit PcapDump(DumpOptions& options) : options_(options) {}

  Result<int> run() {
    BALEEN_TRY(const worker::DumpRequest request, request_of());
    std::optional<kfl::Filter> filter;
    if (!options_.kfl.empty()) {
      filter = compile_filter(options_.kfl);
      if (!filter) return exit_code::kUsage;
    }
    BALEEN_TRY_DO(check_destination());
    if (filter) BALEEN_TRY_DO(open_key_logs());
    BALEEN_TRY(worker::DumpReader reader, open(request));
    explain(reader.answer(), request);
    BALEEN_TRY(const std::string path, local_path());
    BALEEN_TRY(PacketOutput out, PacketOutput::open(path, options_.format == "pcap" ? PacketOutput::Format::kPcap
                                                                                    : PacketOutput::Format::kPcapng));
    BALEEN_TRY_DO(!filter           ? copy(reader, out)
                  : options_.follow ? follow_matching(reader, out, *filter)
                                    : copy_matching(reader, out, *filter));
    BALEEN_TRY_DO(out.flush());
    BALEEN_TRY_DO(upload(path, reader.answer()));
    return summarise(reader, out);
  }

 private:
  Result<worker::DumpRequest> request_of() const {
    worker::DumpRequest request;
    request.follow = options_.follow;
    for (const std::string& word : options_.expression) request.filter += (request.filter.empty() ? "" : " ") + word;
    if (const auto compiled = capture::PacketFilter::compile(request.filter); !compiled) return compiled.error();
    const auto time = [](const char* name, const std::string& text, Timestamp& out) -> Result<> {
      if (text.empty()) return {};
      const auto t = parse_time(text, now());
      if (!t)
        return Error{
            Code::kInvalid,
            fmt::format("{}: expected a time as 2026-11-23T12:00:00Z, or an age as 15m; found '{}'", name, text)};
      out = *t;
      return {};
    };
    if (!options_.last.empty() && !options_.since.empty())
      return Error{Code::kInvalid, "--last and --since say the same: give one of them"};
    if (!options_.last.empty() && !parse_duration(options_.last))
      return Error{Code::kInvalid, fmt::format("--last: expected a duration as 5m; found '{}'", options_.last)};
    BALEEN_TRY_DO(time("--last", options_.last, request.since));
    BALEEN_TRY_DO(time("--since", options_.since, request.since));
    BALEEN_TRY_DO(time("--until", options_.until, request.until));
    if (request.since >= request.until)
      return Error{Code::kInvalid, fmt::format("the window is empty: it begins at {} and ends at {}",
                                               shown(request.since), shown(request.until))};
    return request;
  }

  bool is_remote() const { return options_.to.find("://") != std::string::npos && location_.scheme != "file"; }

  Result<> check_destination() {
    if (options_.to == "-" && ::isatty(STDOUT_FILENO) == 1)
      return Error{Code::kInvalid, "packets do not belong on a terminal: -w FILE, or pipe them to 'wireshark -k -i -'"};
    if (!is_remote()) return {};
    BALEEN_TRY(location_, store::Location::parse(options_.to));
    if (!is_remote()) return {};
    if (options_.follow)
      return Error{Code::kInvalid,
                   "--follow writes to a file or to standard output; for a bucket make a recording: 'baleen recordings "
                   "create NAME --scope everything --to LOCATION'"};
    // Wrong credentials show before minutes of packets are read.
    BALEEN_TRY(store_, options_.access.open(location_));
    return {};
  }

  /// What TLS carries matches, too: by the secrets that are named here, and those that the worker itself reads.
  Result<> open_key_logs() {
    BALEEN_TRY(const worker::Config config, options_.access.config());
    std::vector<std::string> paths = options_.key_logs;
    paths.insert(paths.end(), config.tls_key_logs.begin(), config.tls_key_logs.end());
    for (const std::string& path : paths) {
      if (options_.follow) {
        key_logs_.push_back(std::make_unique<worker::KeyLogFollower>(path, key_log_));
      } else {
        BALEEN_TRY_DO(worker::read_key_log(path, key_log_));
      }
    }
    return {};
  }

  Result<worker::DumpReader> open(const worker::DumpRequest& request) {
    BALEEN_TRY(worker::Config config, options_.access.config());
    if (!options_.data_dir.empty()) config.data_dir = options_.data_dir;
    const std::string folder = worker::data_folder_of(config.data_dir);
    auto reader = worker::DumpReader::open(folder + "/run", request);
    if (reader || reader.error().code != Code::kNotFound) return reader;
    std::error_code none;
    if (std::filesystem::exists(folder + "/recordings.json.lock", none)) {
      auto taken = record::Recordings::open(worker::recordings_options(config, folder, {}));
      if (!taken && taken.error().code == Code::kConflict)
        return Error{
            Code::kUnavailable,
            fmt::format("the worker of {} keeps no packets, because nothing is recorded: start it with --keep 10m, "
                        "or with --set tap.capture.raw.enabled=true",
                        folder)};
    }
    return Error{
        Code::kNotFound,
        fmt::format("no worker runs with the data folder {}: start one with 'baleen tap --keep 10m', or say where "
                    "its data are with --data-dir",
                    folder)};
  }

  /// What of the window cannot be there any more.
  void explain(const worker::DumpAnswer& answer, const worker::DumpRequest& request) {
    if (request.since == Timestamp::min()) return;
    if (request.since < answer.kept_from) {
      incomplete_ = true;
      fmt::print(stderr,
                 "baleen pcapdump: packets are kept from {} on ({}): what was asked for from {} has been overwritten; "
                 "tap.capture.raw.storageSize and --keep say how much stays\n",
                 shown(answer.kept_from), size_to_string(answer.bytes), shown(request.since));
    } else if (request.since < answer.started && !options_.quiet) {
      fmt::print(stderr, "baleen pcapdump: the worker captures since {}: there is nothing before it\n",
                 shown(answer.started));
    }
  }

  Result<std::string> local_path() {
    if (!is_remote()) return location_.scheme.empty() ? options_.to : location_.prefix;
    BALEEN_TRY(const std::string folder, folder_.path());
    return folder + "/dump";
  }

  /// A location that ends with '/' is a folder there.
  Result<> upload(const std::string& path, const worker::DumpAnswer& answer) {
    if (!store_) return {};
    std::string key = location_.prefix;
    if (key.empty() || options_.to.ends_with('/'))
      key = location_.key_prefix() + fmt::format("{}-{}.{}", answer.node, shown(now()), options_.format);
    store::RetryingStore target(std::move(store_));
    BALEEN_TRY_DO(target.put_file(key, path, {}));
    written_to_ =
        fmt::format("{}://{}{}{}", location_.scheme, location_.bucket, location_.bucket.empty() ? "" : "/", key);
    return {};
  }

  /// Until the end, a signal, or nobody reads what is written.
  Result<> take(worker::DumpReader& reader, PacketOutput& out,
                const std::function<Result<>(const worker::DumpedPacket&)>& each) {
    Progress progress("baleen pcapdump");
    while (!out.closed() && !interruption_.came()) {
      Result<> outcome;
      auto state = reader.next(std::chrono::milliseconds(100), [&](const worker::DumpedPacket& packet) {
        if (outcome) outcome = each(packet);
      });
      BALEEN_TRY_DO(outcome);
      if (!state) {
        if (options_.follow && state.error().code == Code::kIo) {
          fmt::print(stderr, "baleen pcapdump: {}\n", state.error().message);
          return {};
        }
        return std::move(state).error();
      }
      if (*state == worker::DumpReader::State::kEnd) return {};
      // Who looks on wants to see it now.
      if (*state == worker::DumpReader::State::kWait || reader.progress().live) BALEEN_TRY_DO(out.flush());
      progress.update([&] { return fmt::format("{} packets, {}", out.packets(), size_to_string(out.bytes())); });
    }
    return {};
  }

  Result<> copy(worker::DumpReader& reader, PacketOutput& out) {
    return take(reader, out,
                [&](const worker::DumpedPacket& packet) { return out.add(packet.packet, reader.interfaces()); });
  }

  /// A stream is wanted when anything in it matches: that is known at the end of the window.
  Result<> copy_matching(worker::DumpReader& reader, PacketOutput& out, const kfl::Filter& filter) {
    MatchingStreams streams(filter, key_log_);
    BALEEN_TRY(SpooledPackets spooled, SpooledPackets::open());
    BALEEN_TRY_DO(take(reader, out, [&](const worker::DumpedPacket& packet) {
      streams.add(packet);
      return packet.stream.number == record::kNoStream ? Result<>() : spooled.add(packet);
    }));
    streams.finish();
    matched_ = fmt::format(" of {} streams with {} items that match", streams.streams(), streams.items());
    return spooled.read([&](const worker::DumpedPacket& packet) {
      return streams.matches(packet.stream.number) ? out.add(packet.packet, reader.interfaces()) : Result<>();
    });
  }

  /// What came of a stream before its first match follows at once with it: not everything is in the order of time.
  Result<> follow_matching(worker::DumpReader& reader, PacketOutput& out, const kfl::Filter& filter) {
    MatchingStreams streams(filter, key_log_);
    HeldPackets held;
    Result<> outcome;
    streams.on_decided = [&](uint64_t stream, bool matches) {
      const std::string packets = held.take(stream);
      std::string_view records = packets;
      worker::DumpedPacket packet;
      while (matches && outcome && worker::next_record(records, packet))
        outcome = out.add(packet.packet, reader.interfaces());
    };
    const auto taken = take(reader, out, [&](const worker::DumpedPacket& packet) -> Result<> {
      const bool wanted = streams.matches(packet.stream.number);
      if (!wanted && packet.stream.number != record::kNoStream) held.add(packet);
      if (wanted) outcome = out.add(packet.packet, reader.interfaces());
      streams.add(packet);
      return outcome;
    });
    streams.finish();
    BALEEN_TRY_DO(taken);
    if (held.given_up() != 0) {
      incomplete_ = true;
      fmt::print(stderr, "baleen pcapdump: {} packets of streams that had not matched in time were given up\n",
                 held.given_up());
    }
    matched_ = fmt::format(" of {} streams with {} items that match", streams.streams(), streams.items());
    return outcome;
  }

  int summarise(const worker::DumpReader& reader, const PacketOutput& out) {
    const uint64_t overwritten = reader.progress().overwritten;
    if (overwritten != 0)
      fmt::print(stderr, "baleen pcapdump: {} packets were overwritten before they could be read\n", overwritten);
    if (!options_.quiet)
      fmt::print(stderr, "baleen: {} packets{}, {}{}{}\n", out.packets(), matched_, size_to_string(out.bytes()),
                 written_to_.empty() ? "" : " in ", written_to_);
    return incomplete_ || overwritten != 0 ? exit_code::kIncomplete : exit_code::kOk;
  }

  DumpOptions& options_;
  Interruption interruption_;
  store::Location location_;
  std::unique_ptr<store::ObjectStore> store_;  // null: a file, or standard output
  dissect::tls::KeyLog key_log_;
  std::vector<std::unique_ptr<worker::KeyLogFollower>> key_logs_;  // those that grow
  TemporaryFolder folder_;
  std::string matched_, written_to_;
  bool incomplete_ = false;
};

}  // namespace

void add_pcapdump_command(CLI::App& app, int& code) {
  const auto o = std::make_shared<DumpOptions>();
  CLI::App* dump = app.add_subcommand("pcapdump", "Hand out packets that the running worker still has");
  dump->footer(
      "The worker of this machine (a running `baleen tap` that records, runs scripts, or was started with --keep) has "
      "the packets of the\nlast minutes, whether anything in them matched or not: all of them, or those that a "
      "pcap-filter "
      "lets through, or the whole\nstreams of items that match a KFL filter, merged in the order of time. Ctrl-C "
      "leaves a "
      "whole file.\n\nExamples:\n"
      "  baleen pcapdump -w trace.pcapng --last 5m               the last five minutes\n"
      "  baleen pcapdump -w trace.pcap --format pcap tcp port 80 and host 10.0.0.7\n"
      "  baleen pcapdump -w errors.pcapng --kfl 'http and response.status >= 500'\n"
      "  baleen pcapdump -w - --follow | wireshark -k -i -       what there is, and what comes\n"
      "  baleen pcapdump -w gs://bucket/incident/ --since 2026-11-23T12:00:00Z --until 2026-11-23T12:05:00Z");
  dump->add_option("EXPRESSION", o->expression, "only packets that this pcap-filter lets through");
  dump->add_option("-w,--write,--dest", o->to,
                   "a file, '-' for standard output, or a location as gs://bucket/name.pcapng, or gs://bucket/folder/")
      ->option_text("FILE");
  dump->add_option("--format", o->format, "pcapng, or pcap (one link type: Ethernet)")
      ->check(CLI::IsMember({"pcapng", "pcap"}))
      ->capture_default_str();
  dump->add_option("--last,--time", o->last, "of the last so many minutes, as 5m (default: all that is there)")
      ->option_text("TIME");
  dump->add_option("--since", o->since, "from this time on: RFC 3339, Unix seconds, or an age as 15m")
      ->option_text("TIME");
  dump->add_option("--until", o->until, "up to this time")->option_text("TIME");
  dump->add_option("--kfl", o->kfl, "only the whole streams of items that match this KFL filter")->option_text("KFL");
  dump->add_option(
          "--tls-keylog", o->key_logs,
          "file with TLS secrets (SSLKEYLOGFILE): --kfl sees what TLS carries; those of tap.tlsKeyLogs are used anyway")
      ->option_text("FILE")
      ->allow_extra_args(false);
  dump->add_flag("-f,--follow", o->follow, "go on with what comes");
  dump->add_option("--data-dir", o->data_dir, "data folder of the worker (default: as the configuration has it)")
      ->option_text("FOLDER");
  dump->add_flag("-q,--quiet", o->quiet, "only errors and losses on standard error");
  o->access.add_to(*dump);
  dump->callback([o, &code] {
    PcapDump dumping(*o);
    const auto outcome = dumping.run();
    code = outcome ? *outcome : failed(outcome.error());
  });
}

}  // namespace baleen::cmd
