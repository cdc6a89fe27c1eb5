#include "dissect/build.h"
#include "dissect/engine.h"
#include "dissect/l4/cards.h"
#include "dissect/l4/icmp.h"

// Items that speak of packets and flows, whatever these carry. An ICMP error belongs to the flow of the packet that it
// quotes, so that who looks at a stream sees why it failed; all other ICMP packets between two hosts are a stream of
// their own.

namespace baleen::dissect {
namespace {

using item::Value;

Value joined_flow(const Flow& flow, Arena& arena) {
  MapOf map(arena);
  map.add("stream", Value(flow.stream));
  map.add("client", arena.copy(net::to_string(flow.client())));
  map.add("server", arena.copy(net::to_string(flow.server())));
  return map.build();
}

}  // namespace

void Engine::on_icmp(const net::Packet& packet, const Slot& slot) {
  ++counters_.icmp_packets;
  const net::Decoded& d = slot.decoded;
  Flow* flow = nullptr;
  bool joined = false;
  if (!d.icmp.quoted.empty()) {
    if (const auto quoted = net::quoted_tuple(d.icmp.quoted)) {
      const net::FlowKey key = net::flow_key(*quoted).key;
      flow = table_.find(key, table_.hash(key));
      joined = flow != nullptr;
    }
  }
  if (!options_.l4.icmp) return;
  if (!joined) {
    flow = table_.find(slot.key.key, slot.hash);
    if (flow == nullptr) flow = open(slot, Flow::List::kUdp, packet);
    flow->state = Flow::State::kIgnored;  // nothing to detect
    touch_udp(*flow, packet.time);
  }
  flow_ = flow;
  tell(*flow, packet, d);
  if (!is_sampled(flow->key)) return;
  item::Item* const item = begin(l4::kIcmp);
  MapOf data(item->arena);
  l4::describe_icmp(d, data, item->arena);
  if (joined) data.add("flow", joined_flow(*flow, item->arena));
  item->outcome = item::Outcome::kSingle;
  item->data = {data.build(), packet.time, uint64_t{4} + d.payload.size() + d.payload_missing, true};
  finish_between(item, d.tuple.src, d.tuple.dst);
}

}  // namespace baleen::dissect
