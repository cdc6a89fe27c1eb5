#pragma once

#include "dissect/build.h"
#include "dissect/framed.h"
#include "dissect/tls/hello.h"

namespace baleen::dissect::tls {

/// What one side of a handshake said, as far as it was understood.
struct Said {
  uint64_t wire_size = 0;
  Timestamp time{};
  bool broken = false;
  MapOf* fields = nullptr;  // of the payload, once there was a hello
  item::Value certificates, alert;
  std::string_view compression;  // of the certificates
};

/// A handshake that is under way, of TLS or DTLS; in its item's arena. By direction: what each side said.
struct Talk {
  item::Item* item;
  Said said[2] = {};
  bool retry = false;             // HelloRetryRequest: another ClientHello comes
  MapOf* retry_fields = nullptr;  // what it says, should no ServerHello come
  bool verified = false, resumed = false, certificate_requested = false, stapled = false, ticket = false;
  uint16_t version = 0;      // chosen
  std::string_view failure;  // the fatal alert that ended it
  Bytes client_session;

  Said& of(Direction direction) { return said[static_cast<size_t>(direction)]; }
};

/// TLS 1.3 with its drafts, or DTLS 1.3.
bool is_modern(uint16_t version);

void hear_client(Talk& talk, const Hello& hello);
/// False: it asks for another ClientHello.
bool hear_server(Talk& talk, const Hello& hello);
/// An alert's two bytes.
void hear_alert(Talk& talk, Direction direction, Bytes alert, bool fatal);
/// All that can be seen of it was seen: finishes its item, or drops it where it says nothing.
void conclude(Talk& talk, Output& out);

}  // namespace baleen::dissect::tls
