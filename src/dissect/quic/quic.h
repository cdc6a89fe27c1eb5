#pragma once

#include <array>

#include "dissect/dissector.h"
#include "dissect/quic/packet.h"

namespace baleen::dissect::quic {

struct Handshake;
struct Opened;

/// QUIC's handshakes as far as everybody may read them: the Initial packets, whose keys come from the client's first
/// connection identifier (RFC 9001 5.2). One item for each, with the fields of TLS's. What follows is counted and
/// passed over.
class Quic final : public Session {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = false, kUdp = true;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction, uint64_t, Output&) override { return false; }
  Resync resync(const Input& in) override { return {in.bytes.size(), false}; }
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  static constexpr size_t kMostOpen = 4;         // handshakes between the same two ports at a time
  static constexpr size_t kMostRemembered = 16;  // identifiers of connections whose handshakes are over

  void packet(const Packet& packet, const Input& in, Output& out);
  void of_client(const Packet& packet, const Input& in, Output& out);
  void of_server(const Packet& packet, const Input& in, Output& out);
  void negotiate(const Packet& packet, const Input& in);
  Handshake& begin(const Packet& packet, Output& out);
  void hear(Handshake& h, const Packet& packet, const Opened& opened, const Input& in, Output& out);
  void finish(Handshake& h, Output& out);
  void remember(Bytes id);
  bool is_over(Bytes id) const;

  std::array<Handshake*, kMostOpen> open_{};  // under way, oldest first; in their items' arenas
  std::array<uint32_t, kMostRemembered> over_{};
  uint8_t next_over_ = 0;
};

}  // namespace baleen::dissect::quic
