#include "dissect/l4/cards.h"

namespace baleen::dissect::l4 {

using item::Field;
using enum item::FieldType;

namespace {

constexpr Field kIcmpFields[] = {
    {"data.type", "icmp_type", kString, "Type and code: \"EchoRequest\", \"DestinationUnreachable(Port)\"."},
    {"data.typeNumber", "", kInt, "Type as a number."},
    {"data.code", "", kInt, "Code as a number."},
    {"data.version", "icmp_version", kInt, "4 for ICMP, 6 for ICMPv6."},
    {"data.length", "icmp_length", kInt, "Bytes, the ICMP header included."},
    {"data.summary", "", kString, "What it says in a line."},
    {"data.id", "", kInt, "Identifier of an echo."},
    {"data.sequence", "", kInt, "Sequence number of an echo."},
    {"data.mtu", "", kInt, "Largest packet that the next link takes, where a packet was too big."},
    {"data.gateway", "", kString, "The better way that a redirect names."},
    {"data.target", "", kString, "The address that neighbour discovery is about."},
    {"data.pointer", "", kInt, "Where in the packet that it quotes a parameter problem lies."},
    {"data.rtt_us", "", kInt, "Of the reply to an echo: microseconds since its request."},
    {"data.linkAddress", "", kString, "Link-layer address that neighbour discovery tells, in hexadecimal."},
    {"data.prefixes", "", kList, "Prefixes that a router advertises."},
    {"data.dnsServers", "", kList, "DNS servers that a router advertises."},
    {"data.hopLimit", "", kInt, "Hop limit that a router advertises."},
    {"data.routerLifetime", "", kInt, "Seconds for which it will be a router."},
    {"data.group", "", kString, "Multicast group that a listener query, report or done is about."},
    {"data.groups", "", kList, "Records of a listener report of version 2: type, address, sources."},
    {"data.flow_id", "", kInt, "Number of the flow to which it belongs, as in flow_id."},
    {"data.quoted.transport", "", kString, "Transport of the packet that an error quotes."},
    {"data.quoted.src.ip", "", kString, "Source address of the quoted packet."},
    {"data.quoted.src.port", "", kInt, "Source port of the quoted packet."},
    {"data.quoted.dst.ip", "", kString, "Destination address of the quoted packet."},
    {"data.quoted.dst.port", "", kInt, "Destination port of the quoted packet."},
    {"data.flow.stream", "", kInt, "Number of the stream to which the quoted packet belongs; the item is part of it."},
    {"data.flow.client", "", kString, "Client of that stream."},
    {"data.flow.server", "", kString, "Server of that stream."},
    {"data.flow.l7", "", kString, "Protocol that was found in that stream."},
};

// What all of them have. "Local" is the client: src of the item; "remote" the server: dst.
#define BALEEN_TRAFFIC(cel, what)                                                                                  \
  {"data.state", cel "_state", kString,                                                                            \
   "open: nobody has answered yet; in_progress: it goes on; closed: it is over."},                                 \
      {"data.local_pkts", cel "_local_pkts", kInt, "Packets of the client, since " what " began."},                \
      {"data.local_bytes", cel "_local_bytes", kInt, "Bytes of the client's IP packets, since " what " began."},   \
      {"data.remote_pkts", cel "_remote_pkts", kInt, "Packets of the server, since " what " began."},              \
      {"data.remote_bytes", cel "_remote_bytes", kInt, "Bytes of the server's IP packets, since " what " began."}, \
      {"data.group_id", cel "_group_id", kInt,                                                                     \
       "Number of the flow: all connections of this client's address to this server's port."},                     \
      {"data.l7_detected", cel "_l7_detected", kList, "Protocols that were found in it, as badges: [\"HTTP\"]."},  \
      {"data.start_time", "", kInt, "Milliseconds since 1970 of the first packet."},                               \
      {"data.duration_us", "", kInt, "Microseconds from the first to the last packet."},                           \
      {"data.summary", "", kString, "All that in a line."}
#define BALEEN_RATES(local_pps, local_bps, remote_pps, remote_bps)                                                    \
  {"data.local_pps", local_pps, kInt,                                                                                 \
   "Packets of the client per second, since the last item of it; when it is over: since it began. At least a second " \
   "is counted."},                                                                                                    \
      {"data.local_bps", local_bps, kInt, "Bytes of the client per second."},                                         \
      {"data.remote_pps", remote_pps, kInt, "Packets of the server per second."},                                     \
      {"data.remote_bps", remote_bps, kInt, "Bytes of the server per second."}

constexpr Field kUdpConnFields[] = {
    BALEEN_TRAFFIC("conn", "the conversation"),
    BALEEN_RATES("", "", "", ""),
    {"data.closed_by", "", kString, "idle: no packets for 30 seconds; evicted: to make room."},
    {"data.icmp_error", "", kString, "The last ICMP error that quoted it."},
};
constexpr Field kTcpConnFields[] = {
    BALEEN_TRAFFIC("conn", "the connection"),
    BALEEN_RATES("", "", "", ""),
    {"data.closed_by", "", kString, "fin, reset, idle, reused (its ports were), evicted (to make room)."},
    {"data.icmp_error", "", kString, "The last ICMP error that quoted it."},
    {"data.tcp_metrics.retransmissions", "", kInt, "Segments that were sent again, fast ones among them."},
    {"data.tcp_metrics.local_retransmissions", "", kInt, "Those of the client."},
    {"data.tcp_metrics.remote_retransmissions", "", kInt, "Those of the server."},
    {"data.tcp_metrics.fast_retransmissions", "", kInt, "Segments sent again after two duplicate acknowledgements."},
    {"data.tcp_metrics.retransmission_rate", "", kDouble, "Retransmissions by packets."},
    {"data.tcp_metrics.zero_window_events", "", kInt, "Segments that said: no more, please."},
    {"data.tcp_metrics.window_full_events", "", kInt, "Segments that filled their receiver's window."},
    {"data.tcp_metrics.window_scale", "", kInt, "Shift of the client's window; -1 when the handshake was not seen."},
    {"data.tcp_metrics.avg_receive_window", "", kInt, "Mean of the windows of both, in bytes."},
    {"data.tcp_metrics.out_of_order", "", kInt, "Segments that came right after their successors."},
    {"data.tcp_metrics.dup_acks", "", kInt, "Acknowledgements that said the same again."},
    {"data.tcp_metrics.missing_segments", "", kInt, "Times that a segment was not seen which must have been sent."},
    {"data.tcp_metrics.rst_count", "", kInt, "Resets."},
    {"data.tcp_metrics.fin_count", "", kInt, "FINs."},
    {"data.tcp_metrics.keepalive_count", "", kInt, "Keep-alives."},
    {"data.tcp_metrics.connection_completeness", "", kInt,
     "Sum of what was seen: 1 SYN, 2 SYN-ACK, 4 ACK, 8 data, 16 FIN, 32 RST."},
    {"data.tcp_metrics.initial_rtt_us", "", kInt, "Microseconds from SYN to the ACK that completes the handshake."},
    {"data.tcp_metrics.handshake_time_us", "", kInt, "The same."},
    {"data.tcp_metrics.connection_time_us", "", kInt, "Microseconds from the first to the last packet."},
    {"data.tcp_metrics.time_to_first_byte_us", "", kInt, "Microseconds from the first packet to the server's data."},
    {"data.tcp_metrics.rtt_min_us", "", kInt, "Shortest time from a segment to its acknowledgement."},
    {"data.tcp_metrics.rtt_max_us", "", kInt, "Longest time from a segment to its acknowledgement."},
    {"data.tcp_metrics.rtt_avg_us", "", kInt, "Mean time from a segment to its acknowledgement."},
    {"data.tcp_metrics.rtt_samples", "", kInt, "Acknowledgements that were timed: one at a time in each direction."},
    {"data.tcp_metrics.jitter_us", "", kInt, "How much these times vary, smoothed as in RFC 3550."},
    {"data.tcp_metrics.goodput_bytes", "", kInt, "Bytes of payload, each once."},
};
constexpr Field kFlowFields[] = {
    BALEEN_TRAFFIC("flow", "the flow"),
    BALEEN_RATES("flow_local_pps", "flow_local_bps", "flow_remote_pps", "flow_remote_bps"),
    {"data.connections", "", kInt, "Connections that it is made of."},
};

constexpr Field kSctpConnFields[] = {
    BALEEN_TRAFFIC("conn", "the association"),
    BALEEN_RATES("", "", "", ""),
    {"data.closed_by", "", kString, "fin (it was shut down), reset (aborted), idle, evicted (to make room)."},
    {"data.abort_cause", "", kString, "Why it was aborted, as the ABORT says (RFC 9260 3.3.10)."},
    {"data.icmp_error", "", kString, "The last ICMP error that quoted it."},
    {"data.protocols", "", kList,
     "What its DATA chunks carried, by their payload protocol identifiers: [\"Diameter\"]."},
    {"data.sctp_metrics.retransmissions", "", kInt, "DATA chunks that were seen before."},
    {"data.sctp_metrics.local_retransmissions", "", kInt, "Those of the client."},
    {"data.sctp_metrics.remote_retransmissions", "", kInt, "Those of the server."},
    {"data.sctp_metrics.duplicate_tsns", "", kInt, "Chunks that a receiver says it got twice."},
    {"data.sctp_metrics.missing_chunks", "", kInt, "Times that a DATA chunk was not seen which must have been sent."},
    {"data.sctp_metrics.zero_window_events", "", kInt, "SACKs that said: no more, please."},
    {"data.sctp_metrics.heartbeat_count", "", kInt, "HEARTBEATs."},
    {"data.sctp_metrics.abort_count", "", kInt, "ABORTs."},
    {"data.sctp_metrics.shutdown_count", "", kInt, "SHUTDOWNs."},
    {"data.sctp_metrics.connection_completeness", "", kInt,
     "Sum of what was seen: 1 INIT, 2 INIT ACK, 4 COOKIE ECHO, 8 DATA, 16 SHUTDOWN, 32 ABORT."},
    {"data.sctp_metrics.handshake_time_us", "", kInt, "Microseconds from INIT to COOKIE ACK."},
    {"data.sctp_metrics.connection_time_us", "", kInt, "Microseconds from the first to the last packet."},
    {"data.sctp_metrics.time_to_first_byte_us", "", kInt, "Microseconds from the first packet to the server's data."},
    {"data.sctp_metrics.rtt_min_us", "", kInt, "Shortest time from a DATA chunk to its SACK."},
    {"data.sctp_metrics.rtt_max_us", "", kInt, "Longest time from a DATA chunk to its SACK."},
    {"data.sctp_metrics.rtt_avg_us", "", kInt, "Mean time from a DATA chunk to its SACK."},
    {"data.sctp_metrics.rtt_samples", "", kInt, "SACKs that were timed: one at a time in each direction."},
    {"data.sctp_metrics.jitter_us", "", kInt, "How much these times vary, smoothed as in RFC 3550."},
    {"data.sctp_metrics.goodput_bytes", "", kInt, "Bytes of DATA, each once."},
};

#undef BALEEN_TRAFFIC
#undef BALEEN_RATES

#define BALEEN_FLOW_ID {"data.flow_id", "", kInt, "Number of its flow, as in flow_id."}
constexpr Field kTcpFields[] = {
    {"data.method", "tcp_method", kString,
     "SYN, SYN-ACK, DATA, FIN or RST; where a connection ended badly without a packet that says so: SynSent, CloseWait "
     "or LastAck."},
    {"data.payload", "tcp_payload", kBytes, "Payload: text, or bytes in base64.", true},
    {"error.type", "tcp_error_type", kString, "\"connection\" for a reset and for connections that ended badly."},
    {"error.msg", "tcp_error_message", kString, "\"Reset: the connection was refused\"."},
    {"data.length", "", kInt, "Bytes of payload."},
    {"data.flags", "", kString, "Flags: \"PSH,ACK\"."},
    {"data.seq", "", kInt, "Sequence number."},
    {"data.ack", "", kInt, "Acknowledgement number."},
    {"data.window", "", kInt, "Window as it stands in the header."},
    {"data.checksum", "", kInt, "Checksum, as it was sent."},
    {"data.analysis", "", kList,
     "What is odd about it, by Wireshark's rules: retransmission, fast_retransmission, out_of_order, lost_segment, "
     "zero_window, window_full, keep_alive."},
    BALEEN_FLOW_ID,
    {"data.summary", "", kString, "All that in a line."},
};
constexpr Field kUdpFields[] = {
    {"data.length", "udp_length", kInt, "Bytes, the UDP header included."},
    {"data.checksum", "udp_checksum", kInt, "Checksum, as it was sent."},
    {"data.payload", "udp_payload", kBytes, "Payload: text, or bytes in base64.", true},
    BALEEN_FLOW_ID,
    {"data.summary", "", kString, "All that in a line."},
};
constexpr Field kSctpFields[] = {
    {"data.chunkType", "sctp_chunk_type", kString,
     "Type of its chunk: Data, Init, InitAck, Sack; of several an Abort, else the first that is no Sack."},
    {"data.length", "sctp_length", kInt, "Bytes, the SCTP header included."},
    {"data.checksum", "sctp_checksum", kInt, "Checksum, as it was sent."},
    {"data.verificationTag", "", kInt, "Which association it belongs to, as the receiver calls it."},
    {"data.chunks", "", kList,
     "All chunks: type, flags, length; of data also tsn, stream, sequence, protocolId, protocol and payload.", true},
    BALEEN_FLOW_ID,
    {"data.summary", "", kString, "Types of the chunks."},
};
#undef BALEEN_FLOW_ID

constexpr item::Protocol tracking(std::string_view name, std::string_view abbreviation, std::string_view long_name,
                                  std::string_view layer4, std::string_view reference, std::span<const Field> fields) {
  return {.name = name,
          .version = "1",
          .abbreviation = abbreviation,
          .long_name = long_name,
          .macro = name,
          .reference = reference,
          .background = "#455a64",
          .foreground = "#ffffff",
          .priority = 200,
          .layer4 = layer4,
          .fields = fields,
          .method_path = "data.state",
          .summary_path = "data.summary"};
}
constexpr std::string_view kTcpReference = "https://datatracker.ietf.org/doc/html/rfc9293",
                           kUdpReference = "https://datatracker.ietf.org/doc/html/rfc768",
                           kSctpReference = "https://datatracker.ietf.org/doc/html/rfc9260";

}  // namespace

const item::Protocol kTcpConn =
    tracking("tcp_conn", "TCP_CONN", "TCP connection", "tcp", kTcpReference, kTcpConnFields);
const item::Protocol kUdpConn =
    tracking("udp_conn", "UDP_CONN", "UDP conversation", "udp", kUdpReference, kUdpConnFields);
const item::Protocol kSctpConn =
    tracking("sctp_conn", "SCTP_CONN", "SCTP association", "sctp", kSctpReference, kSctpConnFields);
const item::Protocol kTcpFlow = tracking("tcp_flow", "TCP_FLOW", "TCP flow", "tcp", kTcpReference, kFlowFields);
const item::Protocol kUdpFlow = tracking("udp_flow", "UDP_FLOW", "UDP flow", "udp", kUdpReference, kFlowFields);

const item::Protocol kTcp = {
    .name = "tcp",
    .version = "1",
    .abbreviation = "TCP",
    .long_name = "Transmission Control Protocol",
    .macro = "tcp",
    .reference = kTcpReference,
    .background = "#455a64",
    .foreground = "#ffffff",
    .priority = 200,
    .layer4 = "tcp",
    .fields = kTcpFields,
    .method_path = "data.method",
    .summary_path = "data.summary",
};
const item::Protocol kUdp = {
    .name = "udp",
    .version = "1",
    .abbreviation = "UDP",
    .long_name = "User Datagram Protocol",
    .macro = "udp",
    .reference = kUdpReference,
    .background = "#455a64",
    .foreground = "#ffffff",
    .priority = 200,
    .layer4 = "udp",
    .fields = kUdpFields,
    .method_path = {},
    .summary_path = "data.summary",
};
const item::Protocol kSctp = {
    .name = "sctp",
    .version = "1",
    .abbreviation = "SCTP",
    .long_name = "Stream Control Transmission Protocol",
    .macro = "sctp",
    .reference = kSctpReference,
    .background = "#455a64",
    .foreground = "#ffffff",
    .priority = 200,
    .layer4 = "sctp",
    .fields = kSctpFields,
    .method_path = "data.chunkType",
    .summary_path = "data.summary",
};

const item::Protocol kIcmp = {
    .name = "icmp",
    .version = "4",
    .abbreviation = "ICMP",
    .long_name = "Internet Control Message Protocol",
    .macro = "icmp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc792",
    .background = "#8a5a00",
    .foreground = "#ffffff",
    .priority = 200,
    .layer4 = "icmp",
    .fields = kIcmpFields,
    .method_path = "data.type",
    .summary_path = "data.summary",
};

std::span<const item::Protocol* const> cards() {
  static constexpr const item::Protocol* kAll[] = {&kIcmp,    &kTcp,      &kUdp,     &kSctp,   &kTcpConn,
                                                   &kUdpConn, &kSctpConn, &kTcpFlow, &kUdpFlow};
  return kAll;
}

}  // namespace baleen::dissect::l4
