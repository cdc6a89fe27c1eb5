#pragma once

#include <cstdint>

#include "base/bytes.h"

// The base framing of WebSocket (RFC 6455 5.2). Pure functions.

namespace baleen::dissect::websocket {

enum Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

/// What stands in front of a payload.
struct FrameHead {
  uint64_t length = 0;  // of the payload
  uint8_t mask[4] = {};
  uint8_t size = 0;  // of this head: 2 to 14 bytes
  uint8_t opcode = 0;
  uint8_t reserved = 0;  // RSV1 is 4, RSV2 2, RSV3 1
  bool fin = false, masked = false;

  bool is_control() const { return opcode >= kClose; }
};

struct ParsedHead {
  enum class Kind : uint8_t { kHead, kNeed, kBad } kind;
  FrameHead head;
  size_t need = 0;  // bytes in all, at least
};

/// The head at the front. Bad: an unknown opcode, a fragmented or long control frame (5.5), a length that could have
/// been written shorter (5.2). Judged as soon as the bytes that show it are there.
ParsedHead parse_head(Bytes bytes);

/// Copies masked bytes unmasked (5.3). `phase`: how many bytes of the payload came before these.
void unmask(const uint8_t mask[4], uint64_t phase, Bytes from, char* to);

}  // namespace baleen::dissect::websocket
