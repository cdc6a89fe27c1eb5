// Chain: what IP carries: TCP, UDP, SCTP, ICMP.

#include "net/decode_chain.h"

namespace baleen::net {

DecodeStatus Chain::transport() {
  switch (out_.tuple.transport) {
    case Transport::kTcp: return tcp();
    case Transport::kUdp: return udp();
    case Transport::kSctp: return sctp();
    default: return icmp();
  }
}

DecodeStatus Chain::finish() {
  out_.payload = at_;
  out_.payload_missing =
      static_cast<uint32_t>(std::min<uint64_t>(wire_ > at_.size() ? wire_ - at_.size() : 0, UINT32_MAX));
  return next(Layer::kDone);
}

DecodeStatus Chain::tcp() {
  if (!have(20)) return DecodeStatus::kCutTransport;
  const uint8_t* p = at_.data();
  const size_t header = (p[12] >> 4) * 4u;
  if (header < 20) return DecodeStatus::kBadTransport;
  if (wire_ < header) return DecodeStatus::kBadTransport;
  set_ports();
  // A capture that was cut inside the options still says where its payload stood in the stream.
  const size_t there = std::min(header, at_.size());
  out_.tcp = {load_be32(p + 4), load_be32(p + 8), load_be16(p + 14), static_cast<uint8_t>(p[13] & 0x3F),
              at_.subspan(20, there - 20)};
  out_.checksum = load_be16(p + 16);
  at_ = at_.subspan(there);
  wire_ -= header;
  return finish();
}

DecodeStatus Chain::udp() {
  if (!have(8)) return DecodeStatus::kCutTransport;
  set_ports();
  const uint32_t length = load_be16(&at_[4]);
  if (length != 0 && length < 8) return DecodeStatus::kBadTransport;
  out_.checksum = load_be16(&at_[6]);
  if (length > 8 && length < wire_) limit(length);
  if (length == 8) limit(8);
  take(8);
  if (const DecodeStatus s = udp_tunnel(); layer_ != Layer::kTransport) return s;
  return finish();
}

DecodeStatus Chain::sctp() {
  if (!have(12)) return DecodeStatus::kCutTransport;
  set_ports();
  out_.sctp_tag = load_be32(&at_[4]);
  out_.checksum = load_be32(&at_[8]);
  take(12);
  return finish();
}

DecodeStatus Chain::icmp() {
  if (!have(4)) return DecodeStatus::kCutTransport;
  out_.icmp = {at_[0], at_[1], {}};
  const bool v6 = out_.tuple.transport == Transport::kIcmp6;
  const bool is_error = v6 ? at_[0] < 128 : at_[0] == 3 || at_[0] == 4 || at_[0] == 5 || at_[0] == 11 || at_[0] == 12;
  if (is_error && have(8)) out_.icmp.quoted = at_.subspan(8);
  take(4);
  return finish();
}

}  // namespace baleen::net
