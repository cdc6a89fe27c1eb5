// Items of packets, connections and flows: bytes as packets of every transport between two hosts, in both directions
// and with time between them. Nothing may be left when it is over, and every item can be printed.
//
// Each packet: a byte that says what and from whom (bits 0 to 2: the transport; 3: the sender; 4: a minute passes; 5:
// cut by the capture), two bytes of length, and what stands behind the IP header.

#include <cstdlib>

#include "base/check.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "item/json.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

struct Printing final : EngineObserver {
  uint64_t items = 0, bytes = 0;
  std::string text;
  void on_item(item::ItemRef item) override {
    text.clear();
    item::append_json(*item, text);
    ++items;
    bytes += text.size();
  }
  void on_stream_end(StreamRef, StreamEnd) override {}
};

void play(Bytes data, bool limited) {
  Printing printing;
  EngineOptions options;
  options.protocols = registry();
  options.l4 = {true, true, true, true, true, true, true, true, true};
  options.settings.body_cap = 256;
  if (limited) options.flow_limit = 3;
  Engine engine(options, printing);
  constexpr uint8_t kTransports[] = {6, 17, 132, 1, 58, 132, 6, 132};
  int64_t time = 1'700'000'000'000'000'000;
  for (ByteReader in(data); in.remaining() > 3;) {
    const uint8_t what = in.u8();
    const size_t length = std::min<size_t>(in.be16(), in.remaining());
    const std::string content(as_text(in.bytes(length)));
    const uint8_t transport = kTransports[what & 7];
    const bool back = (what & 8) != 0;
    time += (what & 16) != 0 ? 70'000'000'000 : 1'000'000;
    const std::string packet =
        transport == 58
            ? net::ipv6_packet(back ? "fe80::2" : "fe80::1", back ? "fe80::1" : "fe80::2", transport, content)
            : net::ipv4_packet(back ? "10.0.0.2" : "10.0.0.1", back ? "10.0.0.1" : "10.0.0.2", transport, content);
    const size_t captured = (what & 32) != 0 ? packet.size() - packet.size() / 4 : packet.size();
    auto* const block = static_cast<uint8_t*>(std::malloc(captured));
    std::copy_n(as_bytes(packet).begin(), captured, block);
    engine.on_packet(
        {timestamp_from_ns(time), {block, captured}, static_cast<uint32_t>(packet.size()), 0, net::LinkType::kRaw});
    std::free(block);
  }
  engine.finish();
  BALEEN_CHECK(engine.flows() == 0 && engine.open_items() == 0);
  BALEEN_CHECK(engine.early_bytes() == 0 && engine.pending_bytes() == 0);
}

}  // namespace
}  // namespace baleen::dissect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  baleen::dissect::play({data, size}, false);
  baleen::dissect::play({data, size}, true);
  return 0;
}
