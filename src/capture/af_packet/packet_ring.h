#pragma once

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/result.h"

namespace baleen::capture {

/// The memory that the kernel writes packets to and we read them from: TPACKET_V3 blocks, in order. A block belongs to
/// the kernel until it is full or `retire` old, then to us until it is given back.
class PacketRing {
 public:
  PacketRing() = default;
  /// Asks `socket`, which is not bound yet, for `bytes` in blocks of `block_bytes` (a power of two of at least a page).
  static Result<PacketRing> attach(int socket, size_t bytes, size_t block_bytes, Duration retire);
  PacketRing(PacketRing&& other) noexcept;
  PacketRing& operator=(PacketRing&& other) noexcept;
  ~PacketRing();

  /// Takes the next block when the kernel has finished it.
  bool take();
  bool has_block() const { return taken_; }
  /// Packets of the taken block that next() has not given yet.
  uint32_t left() const { return left_; }
  /// REQUIRES: left() > 0.
  tpacket3_hdr* next() {
    tpacket3_hdr* header = next_;
    --left_;
    next_ = reinterpret_cast<tpacket3_hdr*>(reinterpret_cast<uint8_t*>(header) + header->tp_next_offset);
    __builtin_prefetch(next_);
    __builtin_prefetch(reinterpret_cast<uint8_t*>(next_) + 64);
    return header;
  }
  /// Gives the taken block back; what lies in it is void.
  void give_back();

 private:
  tpacket_block_desc* block() const { return reinterpret_cast<tpacket_block_desc*>(memory_ + index_ * block_bytes_); }

  uint8_t* memory_ = nullptr;
  size_t block_bytes_ = 0, blocks_ = 0;
  size_t index_ = 0;
  bool taken_ = false;
  uint32_t left_ = 0;
  tpacket3_hdr* next_ = nullptr;
};

}  // namespace baleen::capture
