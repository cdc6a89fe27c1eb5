// One table is all there is to a metric: its name, kind and meaning, and where its number comes from. The page and the
// reference are made from it. Names are stable: dashboards and alerts hang on them.

#include "worker/metrics.h"

#include <fmt/core.h>

#include <functional>

namespace baleen::worker {
namespace {

using dissect::Counter;

enum class Kind { kCounter, kGauge };

/// A number, with its labels as they print ("{recording=\"a\"}"), or none.
using Emit = std::function<void(const std::string& labels, double value)>;

struct Metric {
  std::string name;
  Kind kind;
  std::string help;
  std::string labels;  // what it is told apart by, for the reference
  std::function<void(const WorkerStatus&, const Emit&)> values;
};

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
double age(Timestamp t) { return t == Timestamp{} ? 0 : std::max(0.0, seconds(now() - t)); }

/// A metric of one number.
template <class F>
Metric one(std::string name, Kind kind, std::string help, F value) {
  return {std::move(name), kind, std::move(help), "",
          [value](const WorkerStatus& s, const Emit& emit) { emit("", static_cast<double>(value(s))); }};
}

/// A metric of each recording that is known.
template <class F>
Metric each(std::string name, Kind kind, std::string help, F value) {
  return {std::move(name), kind, std::move(help), "recording", [value](const WorkerStatus& s, const Emit& emit) {
            for (const record::RecordingStatus& r : s.recordings)
              emit("{recording=" + in_quotes(r.definition.name) + "}", static_cast<double>(value(s, r)));
          }};
}

#define VALUE(expression) [](const WorkerStatus& s) { return expression; }
#define RECORDING(expression) \
  [](const WorkerStatus& s, const record::RecordingStatus& r) { return (void)s, expression; }

void add_capture(std::vector<Metric>& m) {
  const auto counter = Kind::kCounter;
  m.push_back(one("baleen_capture_packets_total", counter, "Packets that were captured", VALUE(s.capture.packets)));
  m.push_back(one("baleen_capture_bytes_total", counter, "Their bytes, as far as captured", VALUE(s.capture.bytes)));
  m.push_back(one("baleen_capture_dropped_packets_total", counter, "Packets that the kernel dropped: the ring was full",
                  VALUE(s.capture.dropped_by_kernel)));
  m.push_back(one("baleen_capture_ring_full_total", counter, "Times that the kernel found the ring full",
                  VALUE(s.capture.ring_full)));
  m.push_back(one("baleen_flight_packets_total", counter, "Packets that the flight recorder has kept",
                  VALUE(s.flight.packets)));
  m.push_back(one("baleen_flight_overwritten_packets_total", counter, "Packets that made room for later ones",
                  VALUE(s.flight.overwritten)));
  m.push_back(one("baleen_flight_refused_packets_total", counter, "Packets that found no place in the flight recorder",
                  VALUE(s.flight.refused)));
  m.push_back(one("baleen_flight_bytes", Kind::kGauge, "Disk that the flight recorder takes", VALUE(s.flight.bytes)));
}

void add_dissect(std::vector<Metric>& m) {
  const auto counter = Kind::kCounter;
  m.push_back({"baleen_dissect_packets_total", counter, "Packets by transport", "transport",
               [](const WorkerStatus& s, const Emit& emit) {
                 emit("{transport=\"tcp\"}", static_cast<double>(s.engine.tcp_packets));
                 emit("{transport=\"udp\"}", static_cast<double>(s.engine.udp_packets));
                 emit("{transport=\"icmp\"}", static_cast<double>(s.engine.icmp_packets));
                 emit("{transport=\"sctp\"}", static_cast<double>(s.engine.sctp_packets));
               }});
  m.push_back(one("baleen_dissect_streams_total", counter, "L4 streams that have begun", VALUE(s.engine.streams)));
  m.push_back(one("baleen_dissect_evicted_flows_total", counter, "Flows that were forgotten for want of memory",
                  VALUE(s.engine.evicted_flows)));
  m.push_back(one("baleen_dissect_sampled_out_streams_total", counter, "Streams left out by sampling",
                  VALUE(s.engine.sampled_out)));
  m.push_back(one("baleen_dissect_gaps_total", counter, "Holes in streams that were given up", VALUE(s.engine.gaps)));
  m.push_back(
      {"baleen_dissect_fragmented_datagrams_total", counter,
       "Datagrams in fragments, by what became of them: whole; expired (not whole in time); evicted (made room)",
       "outcome", [](const WorkerStatus& s, const Emit& emit) {
         emit("{outcome=\"whole\"}", static_cast<double>(s.engine.fragments.whole));
         emit("{outcome=\"expired\"}", static_cast<double>(s.engine.fragments.expired));
         emit("{outcome=\"evicted\"}", static_cast<double>(s.engine.fragments.evicted));
       }});
  m.push_back(one("baleen_dissect_refused_fragments_total", counter,
                  "Fragments of wrong lengths, that contradict others, or leave too many holes",
                  VALUE(s.engine.fragments.refused)));
  m.push_back(one("baleen_dissect_unclaimed_fragments_total", counter,
                  "Fragments that were kept as packets of no stream: their datagram never became whole, or too many "
                  "waited",
                  VALUE(s.engine.unclaimed_fragments)));
  m.push_back(one("baleen_dissect_lone_fragments_total", counter,
                  "Datagrams that were read by their first fragments, as the others did not come",
                  VALUE(s.engine.lone_fragments)));
  struct Row {
    Counter which;
    const char *name, *help;
  };
  for (const auto& [which, name, help] :
       {Row{Counter::kItems, "items", "Items"},
        Row{Counter::kHalfRequests, "half_requests", "Requests whose response was not seen"},
        Row{Counter::kHalfResponses, "half_responses", "Responses whose request was not seen"},
        Row{Counter::kMalformed, "malformed", "Messages that are not as their protocol has them"},
        Row{Counter::kResyncs, "resyncs", "Times that a message's beginning was found again after a loss"},
        Row{Counter::kGapBytes, "gap_bytes", "Bytes of streams that were not captured"},
        Row{Counter::kSkippedBytes, "skipped_bytes", "Bytes that were passed over"},
        Row{Counter::kBodyCapped, "capped_bodies", "Bodies that were cut at tap.misc.bodyCap"},
        Row{Counter::kDecodeFailed, "failed_decodings", "Bodies whose encoding could not be undone"},
        Row{Counter::kTooManyPending, "too_many_pending", "Requests beyond the number that may wait for answers"},
        Row{Counter::kForgotten, "forgotten",
            "Questions (DHCP) and messages (AMQP) that made room for later ones: what answers or returns them stands "
            "alone"},
        Row{Counter::kUnknownProtocol, "unknown_streams", "Streams of no protocol that is known"},
        Row{Counter::kMessageTooLong, "long_messages", "Messages beyond the size that is kept whole"}})
    m.push_back(one(fmt::format("baleen_dissect_{}_total", name), counter, help,
                    [which](const WorkerStatus& s) { return s.engine.of(which); }));
}

/// The loss ledger, number by number.
void add_ledger(std::vector<Metric>& m) {
  for (const auto& [name, value] : index::numbers({})) {
    (void)value;
    const bool gauge = name.ends_with("in_flight");
    m.push_back(one(fmt::format("baleen_ledger_{}{}", name, gauge ? "" : "_total"),
                    gauge ? Kind::kGauge : Kind::kCounter, "Of the loss ledger: see docs/design/recording-format.md",
                    [name = std::string(name)](const WorkerStatus& s) -> uint64_t {
                      for (const auto& [n, v] : index::numbers(s.recorder.ledger))
                        if (n == name) return v;
                      return 0;
                    }));
  }
  m.push_back(one("baleen_ledger_balanced", Kind::kGauge, "1: every item and packet is accounted for",
                  VALUE(s.recorder.ledger.balances() ? 1 : 0)));
}

void add_recordings(std::vector<Metric>& m) {
  const auto counter = Kind::kCounter, gauge = Kind::kGauge;
  m.push_back(
      each("baleen_recording_running", gauge, "1: it records now", RECORDING(r.phase == record::Phase::kRunning)));
  m.push_back(each("baleen_recording_items_total", counter, "Items in it", RECORDING(r.items)));
  m.push_back(each("baleen_recording_streams_total", counter, "Streams in it", RECORDING(r.streams)));
  m.push_back(each("baleen_recording_packets_total", counter, "Packets in it", RECORDING(r.packets)));
  m.push_back(each("baleen_recording_bytes_total", counter, "Bytes of its packets", RECORDING(r.bytes)));
  m.push_back(each("baleen_recording_waiting_blocks", gauge, "Its blocks that wait for their upload",
                   RECORDING(s.waiting_of(r.definition.name).blocks)));
  m.push_back(
      each("baleen_recording_waiting_bytes", gauge, "Their size", RECORDING(s.waiting_of(r.definition.name).bytes)));
  m.push_back(each("baleen_recording_lag_seconds", gauge, "How long the oldest of them has waited",
                   RECORDING(age(s.waiting_of(r.definition.name).oldest))));
  m.push_back(each("baleen_recording_uploading_blocks", gauge, "Its blocks that are being uploaded now",
                   RECORDING(s.waiting_of(r.definition.name).uploading_blocks)));
  m.push_back(each("baleen_recording_uploaded_blocks_total", counter,
                   "Its blocks that were uploaded since the start of the process",
                   RECORDING(s.waiting_of(r.definition.name).uploaded_blocks)));
  m.push_back(each("baleen_recording_uploaded_bytes_total", counter, "Their size",
                   RECORDING(s.waiting_of(r.definition.name).uploaded_bytes)));
}

void add_spool(std::vector<Metric>& m) {
  const auto counter = Kind::kCounter, gauge = Kind::kGauge;
  m.push_back(one("baleen_spool_limit_bytes", gauge, "What the spool may take", VALUE(s.recorder.spool.limit_bytes)));
  m.push_back(one("baleen_spool_waiting_blocks", gauge, "Blocks that wait for their upload",
                  VALUE(s.recorder.spool.waiting_blocks)));
  m.push_back(one("baleen_spool_waiting_bytes", gauge, "Their size", VALUE(s.recorder.spool.waiting_bytes)));
  m.push_back(one("baleen_spool_reserved_bytes", gauge, "What blocks that are being written may take",
                  VALUE(s.recorder.spool.reserved_bytes)));
  m.push_back(one("baleen_spool_finishing_blocks", gauge, "Blocks that are closed and not yet ready for their upload",
                  VALUE(s.recorder.finishing_blocks)));
  m.push_back(one("baleen_spool_dropped_blocks_total", counter, "Blocks that were dropped at the limit",
                  VALUE(s.recorder.spool.dropped_blocks)));
  m.push_back(one("baleen_spool_write_errors_total", counter, "Writes to the spool that failed",
                  VALUE(s.recorder.write_errors)));
  m.push_back(
      one("baleen_upload_blocks_total", counter, "Blocks that were uploaded", VALUE(s.recorder.spool.uploaded_blocks)));
  m.push_back(one("baleen_upload_bytes_total", counter, "Their size", VALUE(s.recorder.spool.uploaded_bytes)));
  m.push_back(one("baleen_upload_running_blocks", gauge, "Blocks that are being uploaded now",
                  VALUE(s.recorder.spool.uploading_blocks)));
  m.push_back(one("baleen_upload_running_sent_bytes", gauge, "What their buckets have acknowledged of them",
                  VALUE(s.recorder.spool.sent_bytes)));
  m.push_back(one("baleen_upload_seconds_total", counter, "Time in which blocks were uploaded, several at once or one",
                  VALUE(seconds(s.recorder.spool.upload_time))));
  m.push_back(one("baleen_upload_failed_tries_total", counter, "Uploads that failed and are tried again",
                  VALUE(s.recorder.spool.failed_tries)));
  m.push_back(one("baleen_upload_refused_blocks", gauge, "Blocks that no try will bring to their bucket",
                  VALUE(s.recorder.spool.refused_blocks)));
  m.push_back(one("baleen_upload_lag_seconds", gauge, "How long the oldest block has waited",
                  VALUE(age(s.recorder.spool.oldest))));
}

void add_grpc(std::vector<Metric>& m) {
  m.push_back(one("baleen_grpc_reflected_servers", Kind::kGauge,
                  "Servers whose types of messages are known because they told them (gRPC's server reflection)",
                  VALUE(s.descriptors.servers)));
  m.push_back(one("baleen_grpc_reflected_files_total", Kind::kCounter, "Files of descriptors that servers told",
                  VALUE(s.descriptors.files)));
  m.push_back(one("baleen_grpc_refused_files_total", Kind::kCounter,
                  "Files of descriptors that were malformed, or beyond what is kept of one server",
                  VALUE(s.descriptors.refused)));
  m.push_back(one("baleen_grpc_forgotten_servers_total", Kind::kCounter,
                  "Servers whose types made room for those of others", VALUE(s.descriptors.forgotten)));
}

void add_scripts(std::vector<Metric>& m) {
  m.push_back(one("baleen_script_dropped_items_total", Kind::kCounter,
                  "Items that did not reach the scripts: their queue was full", VALUE(s.script_dropped_items)));
  m.push_back({"baleen_script_running", Kind::kGauge, "1: the script runs", "script",
               [](const WorkerStatus& s, const Emit& emit) {
                 for (const script::ScriptStatus& script : s.scripts)
                   emit("{script=" + in_quotes(script.name) + "}", script.running ? 1 : 0);
               }});
  m.push_back({"baleen_script_errors_total", Kind::kCounter, "Errors that the script has thrown", "script",
               [](const WorkerStatus& s, const Emit& emit) {
                 for (const script::ScriptStatus& script : s.scripts)
                   emit("{script=" + in_quotes(script.name) + "}", static_cast<double>(script.errors));
               }});
}

/// The reference product's names, for the dashboards that use them (row N-60).
void add_reference_names(std::vector<Metric>& m) {
  const auto counter = Kind::kCounter;
  m.push_back(
      one("kubeshark_received_packets_total", counter, "As baleen_capture_packets_total", VALUE(s.capture.packets)));
  m.push_back(one("kubeshark_dropped_packets_total", counter, "As baleen_capture_dropped_packets_total",
                  VALUE(s.capture.dropped_by_kernel)));
  m.push_back(
      one("kubeshark_dropped_chunks_total", counter, "As baleen_capture_ring_full_total", VALUE(s.capture.ring_full)));
  m.push_back(one("kubeshark_processed_bytes_total", counter, "Bytes that were dissected", VALUE(s.engine.bytes)));
  m.push_back(one("kubeshark_tcp_packets_total", counter, "TCP packets", VALUE(s.engine.tcp_packets)));
  m.push_back(one("kubeshark_icmp_packets_total", counter, "ICMP packets", VALUE(s.engine.icmp_packets)));
  m.push_back(one("kubeshark_matched_pairs_total", counter, "As baleen_dissect_items_total",
                  VALUE(s.engine.of(Counter::kItems))));
  m.push_back(one("kubeshark_dropped_tcp_streams_total", counter, "As baleen_dissect_evicted_flows_total",
                  VALUE(s.engine.evicted_flows)));
}

#undef VALUE
#undef RECORDING

const std::vector<Metric>& metrics() {
  static const std::vector<Metric> all = [] {
    std::vector<Metric> m;
    add_capture(m);
    add_dissect(m);
    add_ledger(m);
    add_recordings(m);
    add_spool(m);
    add_grpc(m);
    add_scripts(m);
    add_reference_names(m);
    return m;
  }();
  return all;
}

const char* name_of(Kind kind) { return kind == Kind::kCounter ? "counter" : "gauge"; }

}  // namespace

std::string metrics_text(const WorkerStatus& status) {
  std::string out;
  for (const Metric& metric : metrics()) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", metric.name, metric.help, metric.name, name_of(metric.kind));
    metric.values(status, [&](const std::string& labels, double value) {
      out += fmt::format("{}{} {}\n", metric.name, labels, value);
    });
  }
  return out;
}

std::string metrics_reference() {
  std::string out =
      "# Metrics\n\nMade from the table in src/worker/metrics.cpp; do not edit.\n\n"
      "`baleen tap --metrics ADDRESS`, or the configuration's `metrics.address`, serves them at `/metrics` for "
      "Prometheus (text format 0.0.4), and `/healthz`. "
      "Counters count from the start of the process, those of a recording from its beginning. Names are stable.\n\n"
      "| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n";
  for (const Metric& metric : metrics())
    out += fmt::format("| `{}` | {} | {} | {} |\n", metric.name, name_of(metric.kind), metric.labels, metric.help);
  return out;
}

}  // namespace baleen::worker
