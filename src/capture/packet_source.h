#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/packet.h"
#include "net/read_ahead.h"

namespace baleen::capture {

/// Where packets of a source come from; net::Packet::interface is an index into the source's list of these.
struct Interface {
  std::string name;  // "eth0"; the file's name for files that do not say
  std::string description;
  net::LinkType link = net::LinkType::kEthernet;
  bool operator==(const Interface&) const = default;
};

/// What a source has done since it was opened. Every packet that was lost is in exactly one of the `dropped_` counters.
struct Statistics {
  uint64_t packets = 0;            // handed out in batches
  uint64_t bytes = 0;              // their captured bytes
  uint64_t dropped_by_kernel = 0;  // live: the ring was full
  uint64_t dropped_by_writer = 0;  // files: what the program that captured them says it lost (pcapng statistics blocks)
  uint64_t dropped_cut = 0;        // files: the last packet was not all there
  uint64_t dropped_unknown_link = 0;  // live: from an interface whose link type cannot be decoded
  uint64_t ring_full = 0;             // live: times that the kernel found the ring full
  uint64_t files = 0;                 // files: opened and read so far
  uint64_t corrupt_files = 0;         // files: given up before their end
  uint64_t skipped_files = 0;         // a folder's files that are no captures
  bool operator==(const Statistics&) const = default;
};

class PacketSource;

/// A lease on a source's capture memory: the packets and their bytes are valid until it is destroyed.
class PacketBatch {
 public:
  enum class State {
    kPackets,  // there are some
    kTimeout,  // nothing came in time; ask again
    kEnd,      // the files are read, or the source was stopped: nothing will come any more
  };

  PacketBatch(State state) : state_(state) {}
  PacketBatch(PacketSource& source, std::span<const net::Packet> packets, net::ReadAhead* read_ahead = nullptr)
      : source_(&source), packets_(packets), read_ahead_(read_ahead), state_(State::kPackets) {}
  PacketBatch(PacketBatch&& other) noexcept
      : source_(std::exchange(other.source_, nullptr)),
        packets_(std::exchange(other.packets_, {})),
        read_ahead_(other.read_ahead_),
        state_(other.state_) {}
  PacketBatch& operator=(PacketBatch&& other) noexcept {
    if (this != &other) {
      release();
      source_ = std::exchange(other.source_, nullptr);
      packets_ = std::exchange(other.packets_, {});
      read_ahead_ = other.read_ahead_;
      state_ = other.state_;
    }
    return *this;
  }
  ~PacketBatch() { release(); }

  State state() const { return state_; }
  std::span<const net::Packet> packets() const { return packets_; }
  auto begin() const { return packets_.begin(); }
  auto end() const { return packets_.end(); }
  size_t size() const { return packets_.size(); }
  /// What follows in memory, where it does; null otherwise. The source's.
  net::ReadAhead* read_ahead() const { return read_ahead_; }

 private:
  inline void release();

  PacketSource* source_ = nullptr;
  std::span<const net::Packet> packets_;
  net::ReadAhead* read_ahead_ = nullptr;
  State state_;
};

/// Something that packets come from: an interface or a file. One thread owns it and calls everything but stop().
class PacketSource {
 public:
  virtual ~PacketSource() = default;

  /// The next packets, waiting up to `timeout` for the first of them; a batch is bounded (some hundred packets).
  /// REQUIRES: the batch before has been destroyed. An Error with retryable() may go away: call again. After any other
  /// Error the source gives nothing more.
  virtual Result<PacketBatch> next_batch(Duration timeout) = 0;

  /// Grows, and never changes what an index means. Look again when a packet's index is beyond what was seen.
  virtual const std::vector<Interface>& interfaces() const = 0;

  virtual Statistics statistics() = 0;

  /// Makes next_batch() return kEnd, now and from then on, also one that is waiting. Any thread; async-signal-safe.
  virtual void stop() = 0;

 private:
  friend class PacketBatch;
  /// The batch handed out last is not looked at any more.
  virtual void release() = 0;
};

inline void PacketBatch::release() {
  if (source_ != nullptr) std::exchange(source_, nullptr)->release();
}

}  // namespace baleen::capture
