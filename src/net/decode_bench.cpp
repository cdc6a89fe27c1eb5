#include <benchmark/benchmark.h>

#include "net/decode.h"
#include "net/harness.h"

namespace baleen::net {
namespace {

std::string inner() {
  return ethernet_frame(0x0800,
                        ipv4_packet("10.0.0.1", "10.0.0.2", 6,
                                    tcp_segment({4242, 80, 1, 1, 0x18, std::string(12, 1)}, std::string(200, 'x'))));
}

void run(benchmark::State& state, const std::string& bytes) {
  Decoder decoder;
  Decoded d;
  const OwnedPacket packet{{}, bytes, 0, LinkType::kEthernet};
  const Packet view = packet.view();
  for (auto _ : state) {
    benchmark::DoNotOptimize(decoder.decode(view, d));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
  if (decoder.count(DecodeStatus::kTransport) != static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("not decoded");
}

void decode_tcp(benchmark::State& state) { run(state, inner()); }
BENCHMARK(decode_tcp);

void decode_vlan_tcp(benchmark::State& state) {
  run(state, ethernet_frame(0x8100, vlan_tag(7, 0x0800, inner().substr(14))));
}
BENCHMARK(decode_vlan_tcp);

void decode_vxlan_tcp(benchmark::State& state) {
  run(state,
      ethernet_frame(0x0800, ipv4_packet("1.1.1.1", "2.2.2.2", 17,
                                         udp_datagram(1, 4789, std::string("\x08\0\0\0\0\0\x2a\0", 8) + inner()))));
}
BENCHMARK(decode_vxlan_tcp);

void hash_of_a_flow_key(benchmark::State& state) {
  const FiveTuple tuple{{*IpAddress::parse("10.0.0.1"), 4242}, {*IpAddress::parse("10.0.0.2"), 80}, Transport::kTcp};
  for (auto _ : state) {
    benchmark::DoNotOptimize(tuple);
    benchmark::DoNotOptimize(hash(flow_key(tuple).key, 7));
  }
}
BENCHMARK(hash_of_a_flow_key);

void parse_address(benchmark::State& state) {
  const std::string_view text = "192.168.100.200";
  for (auto _ : state) benchmark::DoNotOptimize(IpAddress::parse(text));
}
BENCHMARK(parse_address);

}  // namespace
}  // namespace baleen::net
