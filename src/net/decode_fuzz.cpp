#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "net/decode.h"

// Two bytes of link type, then packets, each with two bytes of length. All go through one decoder, so that fragments
// meet. What comes out must lie within the packet or the defragmenter, and say the same when it is asked again, and
// when the frame around an IP packet is taken off (plain TCP in Ethernet is decoded by a way of its own).

using namespace baleen;
using namespace baleen::net;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr uint16_t kLinks[] = {0,   1,   101, 108, 113, 228, 229, 239, 276, 12,  9999, 6,   8,   9,   10,  11,  50,
                                 51,  104, 105, 107, 109, 117, 119, 127, 163, 166, 192,  204, 242, 258, 138, 149, 226,
                                 130, 131, 132, 133, 134, 135, 136, 137, 164, 167, 168,  178, 179, 180, 181};
  ByteReader in({data, size});
  const auto link = static_cast<LinkType>(kLinks[in.be16() % std::size(kLinks)]);
  Decoder decoder({.datagrams = 8, .bytes = 1 << 18});
  int64_t time = 0;
  uint64_t packets = 0;
  while (in.remaining() > 2) {
    const size_t length = std::min<size_t>(in.be16(), in.remaining());
    const Bytes source = in.bytes(length);
    auto* block = static_cast<uint8_t*>(std::malloc(length + (length == 0)));
    if (length != 0) std::memcpy(block, source.data(), length);
    const Packet packet{
        timestamp_from_ns(time += 1'000'000'000), {block, length}, static_cast<uint32_t>(length), 0, link};
    Decoded d;
    const DecodeStatus status = decoder.decode(packet, d);
    ++packets;
    const uint16_t more_at = d.more_at;
    if (status == DecodeStatus::kTransport) {
      uint64_t sum = 0;
      for (const uint8_t byte : d.payload) sum += byte;
      for (const uint8_t byte : d.icmp.quoted) sum += byte;
      BALEEN_CHECK(sum < UINT64_MAX);
      BALEEN_CHECK(d.tunnels < 64 && d.vlan < 4096);
      tcp_options(d.tcp.options);
      quoted_tuple(d.icmp.quoted);
      if (!d.defragmented) {
        Decoded again;
        Decoder fresh;
        BALEEN_CHECK(fresh.decode(packet, again) == status);
        BALEEN_CHECK(again.payload.data() == d.payload.data() && again.payload.size() == d.payload.size());
        BALEEN_CHECK(d.payload.empty() ||
                     (d.payload.data() >= block && d.payload.data() + d.payload.size() <= block + length));
        if (link == LinkType::kEthernet && load_be16(block + 12) == 0x0800) {
          Packet bare = packet;
          bare.bytes = packet.bytes.subspan(14);
          bare.wire_length -= 14;
          bare.link = LinkType::kRaw;
          BALEEN_CHECK(fresh.decode(bare, again) == status);
          BALEEN_CHECK(again.payload.data() == d.payload.data() && again.payload.size() == d.payload.size());
          BALEEN_CHECK(again.tuple.src == d.tuple.src && again.tuple.dst == d.tuple.dst && again.tcp.seq == d.tcp.seq &&
                       again.tcp.flags == d.tcp.flags && again.ip_length == d.ip_length);
        }
      }
    }
    for (size_t at = more_at, before = 0; at != 0; ++packets) {
      BALEEN_CHECK(at > before && at < length);
      before = at;
      const Packet frame = next_subframe(packet, at);
      BALEEN_CHECK(frame.bytes.data() + frame.bytes.size() <= block + length);
      decoder.decode(frame, d);
    }
    std::free(block);
  }
  Timestamp since{};
  for (Decoded head; decoder.next_head({}, true, head, since);)
    BALEEN_CHECK(head.payload.size() + head.payload_missing <= UINT16_MAX);
  uint64_t sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(DecodeStatus::kCount); ++i)
    sum += decoder.count(static_cast<DecodeStatus>(i));
  BALEEN_CHECK(sum == packets);
  BALEEN_CHECK(decoder.fragments().waiting() <= 8);
  return 0;
}
