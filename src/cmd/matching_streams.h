#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dissect/engine.h"
#include "dissect/selection.h"
#include "kfl/kfl.h"
#include "worker/packet_dump.h"

namespace baleen::cmd {

/// Finds the streams that hold an item which matches, by dissecting their packets on the way.
class MatchingStreams final : private dissect::EngineObserver {
 public:
  /// `key_log`: secrets of what TLS carries; it outlives this.
  MatchingStreams(kfl::Filter filter, dissect::tls::KeyLog& key_log);
  ~MatchingStreams() override;

  /// The next packet, in the order of time.
  void add(const worker::DumpedPacket& packet);
  /// There are no more: what is open is decided by what came.
  void finish();
  bool matches(uint64_t stream) const { return matching_.contains(stream); }
  size_t streams() const { return matching_.size(); }
  uint64_t items() const { return items_; }
  /// Called when a stream has matched, or is over without.
  std::function<void(uint64_t stream, bool matches)> on_decided;

 private:
  void on_packet(dissect::StreamRef stream, const net::Packet&, const net::Decoded&) override;
  void on_item(item::ItemRef item) override;
  void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override;

  kfl::Filter filter_;
  dissect::Selection dissectors_;
  std::unordered_map<uint64_t, uint64_t> numbers_;  // of the engine's streams; bounded by its flows
  std::unordered_set<uint64_t> matching_;           // eight bytes for each stream that is handed out
  uint64_t packet_of_ = record::kNoStream, items_ = 0;
  std::unique_ptr<dissect::Engine> engine_;
};

/// All packets of a window, in a file without a name, until it is known which streams are meant.
class SpooledPackets {
 public:
  static Result<SpooledPackets> open();
  Result<> add(const worker::DumpedPacket& packet);
  /// From the first on.
  Result<> read(const std::function<Result<>(const worker::DumpedPacket&)>& each);

 private:
  Result<> write_out();
  UniqueFd file_;
  std::string buffer_;
};

/// Packets of streams of which it is not known yet whether they match, in memory; the stream that has waited longest is
/// given up at the limit.
class HeldPackets {
 public:
  static constexpr size_t kLimit = 64 << 20;
  void add(const worker::DumpedPacket& packet);
  /// Takes a stream's packets out.
  std::string take(uint64_t stream);
  uint64_t given_up() const { return given_up_; }

 private:
  struct Held {
    std::string packets;
    uint64_t count = 0;
    std::list<uint64_t>::iterator turn;
  };
  std::unordered_map<uint64_t, Held> streams_;
  std::list<uint64_t> turns_;
  size_t bytes_ = 0;
  uint64_t given_up_ = 0;
};

}  // namespace baleen::cmd
