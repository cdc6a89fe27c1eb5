#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "record/block_writer.h"
#include "record/flight_recorder.h"

// What `baleen pcapdump` and a worker say to each other. The request is a line at the control socket, and so is the
// first answer; then the connection is a sequence of frames: their kind and size (two 32-bit numbers of this machine),
// and that many bytes. docs/reference/recordings.md describes it.

namespace baleen::worker {

/// Which packets are asked for.
struct DumpRequest {
  Timestamp since = Timestamp::min(), until = Timestamp::max();
  bool follow = false;  // go on with what comes, until `until`
  std::string filter;   // pcap-filter(7); empty: all
};

/// What the worker says first.
struct DumpAnswer {
  Timestamp started{};              // when it began to capture
  Timestamp kept_from{};            // packets before it have been overwritten; the epoch: none has
  uint64_t packets = 0, bytes = 0;  // that it has now, and what these take on its disk
  std::string node;
};

/// A packet on its way, and the stream that it belongs to on its worker (record::kNoStream: none).
struct DumpedPacket {
  record::StreamKey stream;
  record::RecordedPacket packet;
};

/// Packets one after the other, as frames carry them and as temporary files keep them.
void append_record(std::string& out, const DumpedPacket& packet);
/// Takes the next one off the front; false when there is no whole one. The packet's bytes are a view of `records`.
bool next_record(std::string_view& records, DumpedPacket& packet);

/// How far it has come.
struct DumpProgress {
  uint64_t packets = 0;      // handed out
  uint64_t overwritten = 0;  // while they were being read
  bool live = false;         // what was kept is handed out: what follows comes as it is captured
  bool ended = false;        // nothing more comes
};

/// Hands out the flight recorders' packets, merged by time: one thread for each client, which copies from a segment
/// what fits into its buffers and holds nothing while it sends.
class DumpServer {
 public:
  static constexpr size_t kMost = 8;  // clients at a time
  struct Source {
    std::vector<const record::FlightRecorder*> flights;  // of the shards; they outlive the server
    std::function<std::vector<record::InterfaceName>()> interfaces;
    Timestamp started{};
    std::string node;
  };
  explicit DumpServer(Source source) : source_(std::move(source)) {}
  ~DumpServer();

  /// Takes over the connection when `line` asks for packets; false for any other line. What is wrong with the request
  /// is answered. Any thread.
  bool take(std::string_view line, UniqueFd& connection);

 private:
  struct Client {
    std::thread thread;
    std::atomic<bool> done{false};
  };
  void join_those_done();

  Source source_;
  std::mutex mutex_;
  std::list<Client> clients_;
  std::atomic<bool> stopping_{false};
};

/// A client's end.
class DumpReader {
 public:
  /// Asks the worker whose control socket lies in `folder`; kNotFound when none listens there.
  static Result<DumpReader> open(const std::string& folder, const DumpRequest& request);
  const DumpAnswer& answer() const { return answer_; }
  /// Interfaces that packets name so far.
  const std::vector<record::InterfaceName>& interfaces() const { return interfaces_; }
  const DumpProgress& progress() const { return progress_; }

  enum class State { kPackets, kWait, kEnd };
  /// Waits up to `timeout` for more and calls `each` for the packets in it. kWait: nothing yet, or a signal came. kEnd:
  /// all is there. kIo: the worker has gone.
  Result<State> next(Duration timeout, const std::function<void(const DumpedPacket&)>& each);

 private:
  DumpReader() = default;
  Result<State> take_frame(uint32_t kind, std::string_view frame, const std::function<void(const DumpedPacket&)>& each);

  UniqueFd connection_;
  std::string buffer_;
  DumpAnswer answer_;
  std::vector<record::InterfaceName> interfaces_;
  DumpProgress progress_;
};

}  // namespace baleen::worker
