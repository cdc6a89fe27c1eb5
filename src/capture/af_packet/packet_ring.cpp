#include "capture/af_packet/packet_ring.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/units.h"

namespace baleen::capture {

Result<PacketRing> PacketRing::attach(int socket, size_t bytes, size_t block_bytes, Duration retire) {
  PacketRing ring;
  ring.block_bytes_ = block_bytes;
  ring.blocks_ = std::max<size_t>(bytes / block_bytes, 2);
  tpacket_req3 request{};
  request.tp_block_size = static_cast<unsigned>(block_bytes);
  request.tp_block_nr = static_cast<unsigned>(ring.blocks_);
  request.tp_frame_size = 2048;  // only has to divide the block: packets lie in it with their own lengths
  request.tp_frame_nr = static_cast<unsigned>(block_bytes / 2048 * ring.blocks_);
  request.tp_retire_blk_tov = static_cast<unsigned>(
      std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(retire).count()));
  if (::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0) {
    const int saved = errno;
    Error error = errno_error(fmt::format("a capture ring of {}", size_to_string(ring.blocks_ * block_bytes)), saved);
    if (saved == ENOMEM) error.message += " (ask for a smaller one)";
    return error;
  }
  const size_t size = ring.blocks_ * block_bytes;
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, socket, 0);
  if (memory == MAP_FAILED) return errno_error("map the capture ring", errno);
  ring.memory_ = static_cast<uint8_t*>(memory);
  return ring;
}

PacketRing::PacketRing(PacketRing&& other) noexcept { *this = std::move(other); }

PacketRing& PacketRing::operator=(PacketRing&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(block_bytes_, other.block_bytes_);
  std::swap(blocks_, other.blocks_);
  std::swap(index_, other.index_);
  std::swap(taken_, other.taken_);
  std::swap(left_, other.left_);
  std::swap(next_, other.next_);
  return *this;
}

PacketRing::~PacketRing() {
  if (memory_ != nullptr) ::munmap(memory_, block_bytes_ * blocks_);
}

bool PacketRing::take() {
  tpacket_hdr_v1& header = block()->hdr.bh1;
  // pairs with the kernel's barrier before it hands the block over (Documentation/networking/packet_mmap.rst)
  if ((__atomic_load_n(&header.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return false;
  taken_ = true;
  left_ = header.num_pkts;
  next_ = reinterpret_cast<tpacket3_hdr*>(reinterpret_cast<uint8_t*>(block()) + header.offset_to_first_pkt);
  return true;
}

void PacketRing::give_back() {
  __atomic_store_n(&block()->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  taken_ = false;
  left_ = 0;
  index_ = index_ + 1 == blocks_ ? 0 : index_ + 1;
}

}  // namespace baleen::capture
