#pragma once

#include <span>

#include "item/protocol.h"

namespace baleen::dissect::l4 {

/// Items that the engine makes by itself, of packets and flows and not of what they carry.
extern const item::Protocol kIcmp, kTcp, kUdp, kSctp, kTcpConn, kUdpConn, kSctpConn, kTcpFlow, kUdpFlow;

/// All of them.
std::span<const item::Protocol* const> cards();

}  // namespace baleen::dissect::l4
