#pragma once

#include "dissect/dissector.h"
#include "dissect/tls/hello.h"

namespace baleen::dissect::dtls {

struct Handshake;

/// DTLS 1.0, 1.2 and 1.3 (RFC 6347, RFC 9147): one item per handshake, with the fields of TLS's, as far as it can be
/// read without keys. What follows is counted and passed over.
class Dtls final : public Session {
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
  void record(uint8_t type, Bytes content, const Input& in, Output& out);
  void fragments(Bytes content, const Input& in, Output& out);
  void message(Direction direction, uint8_t type, Bytes body, Output& out);
  void hello(Direction direction, Bytes body, Output& out);
  void alert(Direction direction, Bytes content, Output& out);
  Handshake& handshake(Output& out);
  void finish(Output& out);

  Handshake* handshake_ = nullptr;  // under way; in its item's arena
  bool done_ = false;
};

}  // namespace baleen::dissect::dtls
