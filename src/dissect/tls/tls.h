#pragma once

#include <memory>

#include "dissect/framed.h"

namespace baleen::dissect::tls {

struct Handshake;
struct Hello;
class Decryption;

/// TLS 1.0 to 1.3 and SSL 3.0 over TCP: one item per handshake (ClientHello and ServerHello, certificates and alerts as
/// far as they can be read without keys). What follows is skipped, record by record; where there is a key log, records
/// of TLS 1.2 and 1.3 are opened, and what they carry is passed on as a conversation of its own.
class Tls final : public Framed<Tls, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Tls();
  ~Tls() override;
  Step dissect(const Input& in, Output& out) override;
  void expire(Timestamp before, Output& out) override;

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void forget(Direction direction, Output& out);

 private:
  Handshake& handshake(Output& out);
  void read_handshake(const Frame& frame, Output& out);
  void read_messages(Direction direction, Bytes part, Output& out);
  void handshake_message(Direction direction, uint8_t type, Bytes body, Output& out);
  void v2_hello(const Frame& frame, Output& out);
  void client_hello(const Hello& hello, Output& out);
  void server_hello(const Hello& hello, Output& out);
  void encrypted_extensions(Bytes body);
  void alert(const Frame& frame, Output& out);
  void note_alert(Direction direction, Bytes alert, uint64_t wire_size, Timestamp time, Output& out);
  void finish(Output& out);
  void begin_decryption(const Hello& client_hello, Output& out);
  Step open_record(const Input& in, Output& out);
  void close_record(const Input& in, Output& out);

  Handshake* handshake_ = nullptr;          // under way; in its item's arena
  std::unique_ptr<Decryption> decryption_;  // while records may be opened
  bool encrypted_[2] = {false, false};
  bool closed_[2] = {false, false};  // the last sealed record was not opened
  bool done_ = false;
};

}  // namespace baleen::dissect::tls
