#pragma once

#include "base/bytes.h"

namespace baleen::dissect::cassandra {

/// The head of a frame as version 5 has them around its envelopes.
/// https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v5.spec, 2.2
struct FrameHead {
  size_t size = 0;       // of the head: 6, or 8 where payloads are compressed; 0: these bytes are no head
  uint32_t payload = 0;  // bytes that follow, before the CRC-32 of them
  uint32_t plain = 0;    // bytes that they make without compression; 0: they are not compressed
  bool whole = false;    // the payload is whole envelopes, not a part of one
};

constexpr size_t kFrameTail = 4;  // CRC-32
constexpr size_t kMostFrameHead = 8;

/// REQUIRES: kMostFrameHead bytes. The head has a CRC-24, so that hardly anything else is taken for one.
FrameHead frame_head(Bytes bytes, bool compressed);

}  // namespace baleen::dissect::cassandra
