#pragma once

#include "dissect/build.h"
#include "dissect/dissector.h"
#include "dissect/quic/crypto_stream.h"
#include "dissect/quic/initial_keys.h"

namespace baleen::dissect::quic {

/// One direction of a handshake.
struct Side {
  CryptoStream stream;
  uint64_t next_number = 0;  // one more than the highest packet number
  uint64_t wire_size = 0;
  Timestamp time{};
  const Version* version = nullptr;
  bool broken = false;
  item::Value parameters, alert;
  MapOf* fields = nullptr;  // of the payload, once its hello was read
};

/// A handshake under way. Lives in its item's arena, as do all views in it.
struct Handshake {
  item::Item* item = nullptr;
  const Version* version = nullptr;  // of the keys
  InitialKeys keys;
  ConnectionId keyed;           // that they come from: the client's first destination, or what Retry put in its place
  ConnectionId first;           // the client's first destination
  ConnectionId client, server;  // that they chose for themselves
  ConnectionId retry;           // that a Retry packet would put in the first one's place
  Side side[2] = {};
  item::Value versions;                      // that the server offered in a version negotiation packet
  bool restarts = false;                     // ... and the client has not begun again yet
  bool retry_seen = false, retried = false;  // a Retry packet came, and the client went on as it asks
  bool hello_retry = false;
  bool over = false;  // all was seen that can be
  std::string_view failure;

  Side& of(Direction d) { return side[static_cast<size_t>(d)]; }
};

/// Reads the frames of an Initial packet (RFC 9000 12.4, 17.2.2). False when there is something that is no frame of
/// these, or no hello.
bool read_frames(Handshake& h, Direction direction, Bytes frames, Output& out);

/// Fills in the item's request, response, outcome and error.
void describe(Handshake& h);

/// Versions of a list by their names, those left out that mean nothing (RFC 9000 15).
item::Value read_versions(Bytes list, Arena& arena);

}  // namespace baleen::dissect::quic
