#include "worker/packet_dump.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/task_thread.h"
#include "capture/packet_filter.h"
#include "worker/dump_frames.h"
#include "worker/reorder_window.h"

namespace baleen::worker {
namespace {

using nlohmann::json;

constexpr size_t kChunk = 256 << 10;  // read from a shard at once, and sent at once
constexpr auto kTurn = std::chrono::milliseconds(50);
/// What a shard that shows nothing may still have in its capture ring.
constexpr Duration kLate = std::chrono::milliseconds(500);
/// By how much processors may hand packets over out of their order.
constexpr Duration kDisorder = std::chrono::milliseconds(100);
constexpr size_t kHeldBack = 8 << 20;

std::string line_of(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

std::string failure_line(const Error& error) {
  return line_of({{"ok", false}, {"error", {{"code", to_string(error.code)}, {"message", error.message}}}});
}

Timestamp time_of(const json& j, const char* name, Timestamp otherwise) {
  const auto found = j.find(name);
  return found == j.end() || found->is_null() ? otherwise : timestamp_from_ns(found->get<int64_t>());
}

/// One shard's packets, read ahead.
struct Lane {
  const record::FlightRecorder* flight;
  record::Place place, end;
  std::string records;
  size_t at = 0;
  bool empty() const { return at == records.size(); }
  const DumpRecord& head() const { return *reinterpret_cast<const DumpRecord*>(records.data() + at); }
};

class Dump {
 public:
  Dump(const DumpServer::Source& source, DumpRequest request, capture::PacketFilter filter, UniqueFd connection,
       const std::atomic<bool>& stopping)
      : source_(source),
        request_(std::move(request)),
        filter_(std::move(filter)),
        connection_(std::move(connection)),
        stopping_(stopping) {
    for (const record::FlightRecorder* flight : source_.flights)
      lanes_.push_back({flight, flight->place_of(request_.since), flight->end(), {}, 0});
  }

  std::string answer() const {
    DumpAnswer a;
    for (const Lane& lane : lanes_) {
      const record::Extent extent = lane.flight->extent();
      a.packets += extent.packets;
      a.bytes += extent.bytes;
      if (!extent.complete) a.kept_from = std::max(a.kept_from, extent.oldest);
    }
    return line_of({{"ok", true},
                    {"result",
                     {{"started_ns", to_ns(source_.started)},
                      {"kept_from_ns", to_ns(a.kept_from)},
                      {"packets", a.packets},
                      {"bytes", a.bytes},
                      {"node", source_.node}}}});
  }

  /// Until all is sent, the client is gone, or the worker ends.
  void run() {
    if (!send(answer()) || !hand_out_kept()) return;
    if (!request_.follow) {
      send_progress(/*ended=*/true);
      return;
    }
    progress_.live = true;
    if (!flush() || !send_progress(false)) return;
    while (!stopping_ && now() - kLate < request_.until) {
      if (!hand_out_new() || !flush()) return;
      if (!wait()) return;
    }
    window_.drain(out_);
    if (flush()) send_progress(/*ended=*/true);
  }

 private:
  /// Whether there is a packet at the front of the lane.
  bool fill(Lane& lane) {
    while (lane.empty()) {
      if (lane.place.position >= lane.end.position) return false;
      lane.records.clear();
      lane.at = 0;
      const record::Place before = lane.place;
      progress_.overwritten += lane.flight->read_on(
          lane.place, lane.end, kChunk, [&](record::StreamKey stream, const record::RecordedPacket& p) {
            if (p.time >= request_.since && p.time < request_.until &&
                filter_.matches({p.time, p.bytes, p.wire_length, p.interface, p.link}))
              append_record(lane.records, {stream, p});
          });
      if (lane.place == before) return false;
    }
    return true;
  }

  /// The lane with the oldest packet; null when there is none. `all`: whether every lane has one.
  Lane* oldest(bool& all) {
    Lane* found = nullptr;
    all = true;
    for (Lane& lane : lanes_) {
      if (!fill(lane)) {
        all = false;
      } else if (found == nullptr || lane.head().time_ns < found->head().time_ns) {
        found = &lane;
      }
    }
    return found;
  }

  /// Up to where the recorders stood when the request came.
  bool hand_out_kept() {
    bool all = false;
    while (Lane* const lane = oldest(all))
      if (stopping_ || !hand_out(*lane)) return false;
    window_.drain(out_);
    return flush();
  }

  /// What is certain to be in order.
  bool hand_out_new() {
    for (Lane& lane : lanes_) lane.end = lane.flight->end();
    const int64_t certain = to_ns(now() - kLate);
    bool all = false;
    while (Lane* const lane = oldest(all)) {
      if (!all && lane->head().time_ns > certain) break;
      if (stopping_ || !hand_out(*lane)) return false;
    }
    window_.release_older(certain, out_);
    return true;
  }

  bool hand_out(Lane& lane) {
    const size_t size = record_size(lane.head().captured);
    window_.push(std::string_view(lane.records).substr(lane.at, size));
    window_.release(out_);
    lane.at += size;
    ++progress_.packets;
    return out_.size() < kChunk || flush();
  }

  /// Interfaces first, when there are new ones.
  bool flush() {
    if (out_.empty()) return true;
    if (const auto names = source_.interfaces(); names.size() != known_interfaces_) {
      known_interfaces_ = names.size();
      json list = json::array();
      for (const record::InterfaceName& i : names)
        list.push_back({{"name", i.name}, {"link", static_cast<int>(i.link)}});
      if (!send_frame(kDumpInterfaces, list.dump(-1, ' ', false, json::error_handler_t::replace))) return false;
    }
    if (!send_frame(kDumpPackets, out_)) return false;
    out_.clear();
    return progress_.overwritten == told_overwritten_ || send_progress(false);
  }

  bool send_progress(bool ended) {
    told_overwritten_ = progress_.overwritten;
    return send_frame(kDumpProgress, json{{"packets", progress_.packets},
                                          {"overwritten", progress_.overwritten},
                                          {"live", progress_.live},
                                          {"ended", ended}}
                                         .dump());
  }

  bool send_frame(uint32_t kind, std::string_view frame) {
    const DumpFrame header{kind, static_cast<uint32_t>(frame.size())};
    return send({reinterpret_cast<const char*>(&header), sizeof header}) && send(frame);
  }

  /// A client may take its time: nothing waits for it but this thread.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (stopping_) return false;
      pollfd wanted{connection_.get(), POLLOUT, 0};
      if (::poll(&wanted, 1, static_cast<int>(kTurn.count())) <= 0) continue;
      const ssize_t n = ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  /// A turn; false when the client has closed its end, or says anything.
  bool wait() const {
    pollfd wanted{connection_.get(), POLLIN, 0};
    return ::poll(&wanted, 1, static_cast<int>(kTurn.count())) <= 0;
  }

  const DumpServer::Source& source_;
  DumpRequest request_;
  capture::PacketFilter filter_;
  UniqueFd connection_;
  const std::atomic<bool>& stopping_;
  std::vector<Lane> lanes_;
  ReorderWindow window_{kDisorder, kHeldBack};
  std::string out_;
  DumpProgress progress_;
  uint64_t told_overwritten_ = 0;
  size_t known_interfaces_ = 0;
};

void refuse(const UniqueFd& connection, const Error& error) {
  const std::string line = failure_line(error);
  (void)::send(connection.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

DumpServer::~DumpServer() {
  stopping_ = true;
  for (Client& client : clients_) client.thread.join();
}

/// REQUIRES: the mutex is held.
void DumpServer::join_those_done() {
  std::erase_if(clients_, [](Client& client) {
    if (!client.done) return false;
    client.thread.join();
    return true;
  });
}

bool DumpServer::take(std::string_view line, UniqueFd& connection) {
  const json j = json::parse(line, nullptr, false);
  if (!j.is_object() || j.value("command", json()) != "dump") return false;
  UniqueFd taken = std::move(connection);
  DumpRequest request;
  try {
    request.since = time_of(j, "since_ns", request.since);
    request.until = time_of(j, "until_ns", request.until);
    request.follow = j.value("follow", false);
    request.filter = j.value("filter", "");
  } catch (const json::exception& e) {
    refuse(taken, {Code::kInvalid, std::string("not a request for packets: ") + e.what()});
    return true;
  }
  auto filter = capture::PacketFilter::compile(request.filter);
  if (!filter) {
    refuse(taken, filter.error());
    return true;
  }
  const std::lock_guard lock(mutex_);
  join_those_done();
  if (clients_.size() >= kMost) {
    refuse(taken, {Code::kUnavailable, "eight clients are being handed packets: try again when one has ended"});
    return true;
  }
  Client& client = clients_.emplace_back();
  auto dump = std::make_shared<Dump>(source_, std::move(request), *std::move(filter), std::move(taken), stopping_);
  client.thread = std::thread([dump, &client] {
    name_this_thread("bl-dump");
    dump->run();
    client.done = true;
  });
  return true;
}

}  // namespace baleen::worker
