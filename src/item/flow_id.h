#pragma once

#include <cstdint>

#include "item/item.h"

namespace baleen::item {

/// Number of a flow: all connections of a client's address to an endpoint of a server. Made of these alone, so that
/// every shard, node and run gives the same flow the same number; positive and below 2^53, which JavaScript can hold.
uint64_t flow_id(const net::IpAddress& client, const net::Endpoint& server, bool datagrams);
/// Of the flow to which an item belongs: what its `data.flow_id` says, as items of single packets do, whose ends are
/// those of the packet; else that from its client to its server.
uint64_t flow_id(const Item& item);

}  // namespace baleen::item
