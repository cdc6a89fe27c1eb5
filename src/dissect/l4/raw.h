#pragma once

#include <cstdint>

#include "dissect/build.h"
#include "dissect/l4/connection.h"
#include "net/decode.h"
#include "net/sctp.h"

namespace baleen::dissect::l4 {

/// What a packet says by itself, as the data of the items "tcp", "udp" and "sctp". Payload is kept up to `cap` bytes.

/// "SYN", "SYN-ACK", "DATA", "FIN", "RST"; empty for a bare acknowledgement, of which no item is made.
std::string_view tcp_method(const net::Decoded& d);
/// `before` and `after`: its sender's side of the connection, for what is odd about the segment.
void describe_tcp(const net::Decoded& d, const TcpSide& before, const TcpSide& after, size_t cap, MapOf& data,
                  Arena& arena);
void describe_udp(const net::Decoded& d, size_t cap, MapOf& data, Arena& arena);
void describe_sctp(const net::Decoded& d, size_t cap, MapOf& data, Arena& arena);

/// "Init", "Data", "Type200" (https://www.iana.org/assignments/sctp-parameters).
std::string_view chunk_name(uint8_t type, Arena& arena);
/// "Diameter" for 46: what a DATA chunk carries, by its payload protocol identifier; a number where it has no name.
std::string_view sctp_protocol_name(uint32_t protocol, Arena& arena);

}  // namespace baleen::dissect::l4
