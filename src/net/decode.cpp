#include "net/decode.h"

#include <algorithm>

#include "net/decode_chain.h"

namespace baleen::net {

Packet next_subframe(const Packet& packet, size_t& at) {
  const Bytes rest = packet.bytes.subspan(std::min(at, packet.bytes.size()));
  if (rest.size() < 14) {
    at = 0;
    return {packet.time, {}, 0, packet.interface, LinkType::kEthernet};
  }
  const size_t size = size_t{14} + load_be16(&rest[12]), next = (size + 3) & ~size_t{3};
  at = rest.size() >= next + 14 ? at + next : 0;
  return {packet.time, rest.first(std::min(size, rest.size())), static_cast<uint32_t>(size), packet.interface,
          LinkType::kEthernet};
}

TcpOptions tcp_options(Bytes options) {
  TcpOptions out;
  ByteReader in(options);
  while (!in.at_end()) {
    const uint8_t kind = in.u8();
    if (kind == 0) break;
    if (kind == 1) continue;
    const uint8_t length = in.u8();
    if (!in.ok() || length < 2) break;
    ByteReader body(in.bytes(length - 2u));
    if (!in.ok()) break;
    if (kind == 2 && length == 4) out.maximum_segment = body.be16();
    if (kind == 3 && length == 3) {
      out.window_scale = std::min<uint8_t>(body.u8(), 14);  // RFC 7323 2.3
      out.has_window_scale = true;
    }
    if (kind == 4 && length == 2) out.sack_permitted = true;
    if (kind == 8 && length == 10) {
      out.timestamp = body.be32();
      out.timestamp_echo = body.be32();
      out.has_timestamps = true;
    }
  }
  return out;
}

std::optional<FiveTuple> quoted_tuple(Bytes quoted) {
  FiveTuple tuple;
  uint8_t protocol = 0;
  size_t header = 0;
  if (quoted.size() >= 20 && quoted[0] >> 4 == 4) {
    if ((load_be16(&quoted[6]) & 0x1FFF) != 0) return std::nullopt;  // not the first fragment: no ports
    protocol = quoted[9];
    header = (quoted[0] & 15u) * 4u;
    tuple.src.ip = IpAddress::v4(&quoted[12]);
    tuple.dst.ip = IpAddress::v4(&quoted[16]);
  } else if (quoted.size() >= 40 && quoted[0] >> 4 == 6) {
    protocol = quoted[6];
    header = 40;
    tuple.src.ip = IpAddress::v6(&quoted[8]);
    tuple.dst.ip = IpAddress::v6(&quoted[24]);
  }
  if (header < 20) return std::nullopt;
  switch (protocol) {
    case kTcp: tuple.transport = Transport::kTcp; break;
    case kUdp: tuple.transport = Transport::kUdp; break;
    case kSctp: tuple.transport = Transport::kSctp; break;
    case kIcmp: tuple.transport = Transport::kIcmp; return tuple;
    case kIcmp6: tuple.transport = Transport::kIcmp6; return tuple;
    default: return tuple;
  }
  if (quoted.size() < header + 4) return std::nullopt;
  tuple.src.port = load_be16(&quoted[header]);
  tuple.dst.port = load_be16(&quoted[header + 2]);
  return tuple;
}

const char* to_string(DecodeStatus status) {
  switch (status) {
    case DecodeStatus::kTransport: return "decoded";
    case DecodeStatus::kNotIp: return "not IP";
    case DecodeStatus::kFragment: return "fragments";
    case DecodeStatus::kUnknownLink: return "unknown link type";
    case DecodeStatus::kCutLink: return "cut in the link header";
    case DecodeStatus::kCutIp: return "cut in the IP header";
    case DecodeStatus::kCutTransport: return "cut in the transport header";
    case DecodeStatus::kBadIp: return "wrong IP header";
    case DecodeStatus::kBadTransport: return "wrong transport header";
    case DecodeStatus::kTooManyLayers: return "too many layers";
    case DecodeStatus::kBadFragment: return "wrong fragments";
    case DecodeStatus::kOtherTransport: return "other IP protocols";
    case DecodeStatus::kCount: break;
  }
  return "";
}

namespace {

/// The packet that nearly all are: Ethernet, IPv4 without options or fragments, TCP, captured whole. False: it is
/// another, and the chain takes it apart, with the same result.
bool decode_plain_tcp(const Packet& packet, Decoded& out) {
  constexpr size_t kIp = 14, kTcpAt = kIp + 20;
  const uint8_t* const p = packet.bytes.data();
  const size_t size = packet.bytes.size();
  if (packet.link != LinkType::kEthernet || size < kTcpAt + 20 || size < packet.wire_length) return false;
  if (load_be16(p + 12) != kEtherIpv4 || p[kIp] != 0x45 || p[kIp + 9] != kTcp) return false;
  const size_t total = load_be16(p + kIp + 2), header = (p[kTcpAt + 12] >> 4) * 4u;
  if ((load_be16(p + kIp + 6) & 0x3FFF) != 0 || header < 20 || total < 20 + header || kIp + total > size) return false;
  // Member by member: an aggregate would be put together elsewhere and copied in larger pieces than it was written.
  out.tuple.src.ip.set_v4(p + kIp + 12);
  out.tuple.src.port = load_be16(p + kTcpAt);
  out.tuple.dst.ip.set_v4(p + kIp + 16);
  out.tuple.dst.port = load_be16(p + kTcpAt + 2);
  out.tuple.transport = Transport::kTcp;
  out.tcp.seq = load_be32(p + kTcpAt + 4);
  out.tcp.ack = load_be32(p + kTcpAt + 8);
  out.tcp.window = load_be16(p + kTcpAt + 14);
  out.tcp.flags = static_cast<uint8_t>(p[kTcpAt + 13] & 0x3F);
  out.tcp.options = {p + kTcpAt + 20, header - 20};
  out.payload = {p + kTcpAt + header, total - 20 - header};
  out.payload_missing = 0;
  out.ip_length = static_cast<uint32_t>(total);
  out.icmp = {};
  out.sctp_tag = 0;
  out.checksum = load_be16(p + kTcpAt + 16);
  out.vlan = 0;
  out.tunnels = 0;
  out.defragmented = false;
  out.datagram = 0;
  out.more_at = 0;
  return true;
}

}  // namespace

DecodeStatus Decoder::decode(const Packet& packet, Decoded& out) {
  DecodeStatus status = DecodeStatus::kTransport;
  if (!decode_plain_tcp(packet, out)) {
    out = Decoded{};
    status = Chain(packet, fragments_, out).run();
  }
  ++counts_[static_cast<size_t>(status)];
  return status;
}

bool Decoder::next_head(Timestamp now, bool all, Decoded& out, Timestamp& time) {
  Defragmenter::Head head;
  while (fragments_.take_head(now, all, head)) {
    if (head.next_header != kUdp) continue;  // of others the first bytes are no message, or have numbers of their own
    out = Decoded{};
    time = head.time;
    if (Chain({.time = head.time, .bytes = head.bytes}, fragments_, out).run_head(head) != DecodeStatus::kTransport ||
        out.tuple.transport != Transport::kUdp)
      continue;
    return true;
  }
  return false;
}

}  // namespace baleen::net
