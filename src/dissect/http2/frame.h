#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "dissect/dissector.h"

// Frames as they stand on the stream (RFC 9113 4.1, 6). Pure functions.

namespace baleen::dissect::http2 {

/// RFC 9113 3.4.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHead = 9;
constexpr uint32_t kUsualFrame = 16384;  // RFC 9113 4.2: larger ones only after a SETTINGS that allows them

enum FrameType : uint8_t {
  kData,
  kHeaders,
  kPriority,
  kRstStream,
  kSettings,
  kPushPromise,
  kPing,
  kGoaway,
  kWindowUpdate,
  kContinuation,
};
enum FrameFlag : uint8_t { kEndStream = 0x1, kAck = 0x1, kEndHeaders = 0x4, kPadded = 0x8, kWithPriority = 0x20 };

struct FrameHead {
  uint32_t length;  // of the payload
  uint8_t type, flags;
  uint32_t stream;
  bool reserved;  // the bit in front of the stream's number, which senders leave zero

  bool has(FrameFlag f) const { return (flags & f) != 0; }
};
/// REQUIRES: kFrameHead bytes.
FrameHead read_frame_head(const uint8_t* p);

/// Whether a receiver would go on after such a frame (RFC 9113 6): lengths, and which frames belong to a stream.
bool is_valid(const FrameHead& head);
/// Whether it looks like one that programs send: valid, of a known type, without flags that mean nothing. For telling
/// frames from arbitrary bytes.
bool is_usual(const FrameHead& head);

/// The name of an error code (RFC 9113 7): "CANCEL"; empty when unknown.
std::string_view error_name(uint32_t code);

/// Whether a direction that begins with these bytes is HTTP/2, from its beginning or from the middle of a connection.
Probe probe_frames(const Input& in);
/// The first place at which two usual frames could stand in a row.
Resync find_frames(const Input& in);

/// The part of a HEADERS, PUSH_PROMISE or CONTINUATION frame's payload that is field block, without padding and
/// priority; for PUSH_PROMISE it begins with the promised stream's number. False when padding does not fit.
bool block_of(const FrameHead& head, Bytes payload, Bytes& block);

}  // namespace baleen::dissect::http2
