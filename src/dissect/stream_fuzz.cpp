// Reassembly and detection: two byte streams as the packets of a connection, whole and in order, and once more cut
// anywhere, sent twice and moved by a few places. The items must be the same, and the engine must hold nothing at its
// end.

#include <algorithm>
#include <cstdlib>
#include <random>

#include "dissect/engine.h"
#include "dissect/play.h"
#include "dissect/registry.h"
#include "net/harness.h"

namespace baleen::dissect {
namespace {

using net::tcp_flag::kAck;
using net::tcp_flag::kFin;
using net::tcp_flag::kSyn;

struct Lines final : EngineObserver {
  std::vector<std::string> items;
  void on_item(item::ItemRef item) override {
    std::string line(item->protocol->name);
    item::append_json(item->request.payload, line);
    item::append_json(item->response.payload, line);
    item::append_json(item->data.payload, line);
    items.push_back(std::move(line));
  }
  void on_stream_end(StreamRef, StreamEnd) override {}
};

class Connection {
 public:
  Connection() {
    ends_[0] = {*net::IpAddress::parse("10.0.0.9"), 45000};
    ends_[1] = {*net::IpAddress::parse("10.0.0.1"), 7777};
    add(0, 0, kSyn, "");
    ++seq_[0];
    add(1, 0, kSyn | kAck, "");
    ++seq_[1];
    add(0, 0, kAck, "");
  }
  void say(int from, std::string_view bytes, size_t piece) {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const std::string_view part = bytes.substr(at, piece);
      add(from, 0, kAck, part);
      seq_[from] += static_cast<uint32_t>(part.size());
    }
  }
  /// Once more what was said last.
  void repeat(int from, std::string_view bytes) { add(from, static_cast<uint32_t>(bytes.size()), kAck, bytes); }
  void end() {
    for (const int from : {0, 1}) {
      add(from, 0, kFin | kAck, "");
      ++seq_[from];
    }
  }
  std::vector<net::OwnedPacket> packets;

 private:
  void add(int from, uint32_t back, uint8_t flags, std::string_view payload) {
    const net::TcpShape shape{ends_[from].port, ends_[1 - from].port, seq_[from] - back, seq_[1 - from], flags};
    packets.push_back({timestamp_from_ns(1'700'000'000'000'000'000 + 1'000 * ++time_),
                       net::tcp_frame(ends_[from], ends_[1 - from], shape, payload)});
  }
  net::Endpoint ends_[2];
  uint32_t seq_[2] = {0xFFFFFF00u, 5000};
  int64_t time_ = 0;
};

std::vector<std::string> items_of(const std::vector<net::OwnedPacket>& packets) {
  Lines lines;
  EngineOptions options;
  options.protocols = registry();
  Engine engine(options, lines);
  for (const net::OwnedPacket& p : packets) engine.on_packet(p.view());
  engine.finish();
  if (engine.flows() != 0 || engine.early_bytes() != 0 || engine.pending_bytes() != 0) std::abort();
  return std::move(lines.items);
}

}  // namespace
}  // namespace baleen::dissect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using namespace baleen::dissect;
  if (size < 2 || size > 4096) return 0;
  std::mt19937 random(data[0]);
  const std::vector<Said> script = script_from(as_text({data + 1, size - 1}));
  Connection whole, torn;
  for (const Said& said : script) {
    const int from = said.direction == Direction::kToServer ? 0 : 1;
    whole.say(from, said.bytes, 1400);
    torn.say(from, said.bytes, 1 + random() % 97);
    if (random() % 4 == 0) torn.repeat(from, said.bytes);
  }
  whole.end();
  torn.end();
  auto& p = torn.packets;
  for (size_t i = 3; i + 1 < p.size(); i += 2)
    if (random() % 2 == 0) std::swap(p[i].bytes, p[i + 1].bytes);
  if (items_of(whole.packets) != items_of(torn.packets)) std::abort();
  return 0;
}
