#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::mqtt {

enum PacketType : uint8_t {
  kConnect = 1,
  kConnack,
  kPublish,
  kPuback,
  kPubrec,
  kPubrel,
  kPubcomp,
  kSubscribe,
  kSuback,
  kUnsubscribe,
  kUnsuback,
  kPingreq,
  kPingresp,
  kDisconnect,
  kAuth
};

std::string_view type_name(uint8_t type);

/// What a packet says. `version` is 3, 4 or 5; CONNECT says it itself.
struct Packet {
  bool ok = false;
  uint16_t id = 0;      // packet identifier, 0: none
  uint8_t qos = 0;      // of PUBLISH
  uint8_t version = 0;  // of CONNECT
  int reason = 0;       // the first code that is a failure, else the first
  item::Value payload;
};

/// `flags` are the low bits of the first byte; `body` is what follows the remaining length and lives as long as the
/// arena; `cut`: it is not all of it.
Packet read_packet(uint8_t type, uint8_t flags, Bytes body, uint8_t version, bool cut, Arena& arena);

/// A variable byte integer (MQTT 5 1.5.5).
uint32_t variable_integer(ByteReader& reader);

}  // namespace baleen::dissect::mqtt
