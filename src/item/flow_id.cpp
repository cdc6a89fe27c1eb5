#include "item/flow_id.h"

namespace baleen::item {

uint64_t flow_id(const net::IpAddress& client, const net::Endpoint& server, bool datagrams) {
  const net::Transport transport = datagrams ? net::Transport::kUdp : net::Transport::kTcp;
  const uint64_t id = net::hash({{client, 0}, server, transport}) >> 11;
  return id != 0 ? id : 1;
}

uint64_t flow_id(const Item& item) {
  if (item.data.present)
    if (const Value* const said = item.data.payload.find("flow_id"); said != nullptr)
      return static_cast<uint64_t>(said->as_int());
  return flow_id(item.client.address.ip, item.server.address, item.stream_kind == StreamKind::kUdp);
}

}  // namespace baleen::item
