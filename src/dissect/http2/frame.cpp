#include "dissect/http2/frame.h"

#include <algorithm>

#include "dissect/http2/representation.h"

namespace baleen::dissect::http2 {
namespace {

/// The bits that have a meaning, by type.
constexpr uint8_t kMeaningfulFlags[] = {kEndStream | kPadded,
                                        kEndStream | kEndHeaders | kPadded | kWithPriority,
                                        0,
                                        0,
                                        kAck,
                                        kEndHeaders | kPadded,
                                        kAck,
                                        0,
                                        0,
                                        kEndHeaders};

/// RFC 9113 6.5.2: settings whose values are allowed; unknown ones are, but not any number.
bool usual_settings(Bytes payload) {
  for (; payload.size() >= 6; payload = payload.subspan(6)) {
    const unsigned id = load_be16(payload.data());
    const uint32_t value = load_be32(payload.data() + 2);
    const bool grease = (id & 0x0F0F) == 0x0A0A;
    if (id == 0 || (id > 0x20 && !grease && id < 0xF000 && id != 0xFE03)) return false;
    if (id == 2 && value > 1) return false;
    if (id == 4 && value > INT32_MAX) return false;
    if (id == 5 && (value < kUsualFrame || value > 0xFFFFFF)) return false;
  }
  return true;
}

/// What a field block says about the direction in which it was sent: the static table's entries 1 to 7 are a request's,
/// 8 to 14 a response's (RFC 7541 appendix A).
struct Evidence {
  bool whole = false, request = false, response = false;
};
Evidence evidence_of(Bytes block) {
  Evidence e;
  Representation r;
  while (!block.empty()) {
    if (!next_representation(block, r)) return {};
    if (r.kind != Representation::Kind::kSizeUpdate) {
      e.request |= r.index >= 1 && r.index <= 7;
      e.response |= r.index >= 8 && r.index <= 14;
    }
    block = block.subspan(r.bytes);
  }
  e.whole = true;
  return e;
}

/// Whether the payload of a usual frame is a usual one too.
bool usual_payload(const FrameHead& head, Bytes payload) {
  switch (head.type) {
    case kSettings: return usual_settings(payload);
    case kWindowUpdate: return load_be32(payload.data()) != 0 && payload[0] < 0x80;
    case kRstStream: return load_be32(payload.data()) <= 0xD;
    case kGoaway: return payload[0] < 0x80 && load_be32(payload.data() + 4) <= 0xD;
    default: return true;
  }
}

}  // namespace

FrameHead read_frame_head(const uint8_t* p) {
  const uint32_t stream = load_be32(p + 5);
  return {load_be32(p) >> 8, p[3], p[4], stream & INT32_MAX, stream > INT32_MAX};
}

bool is_valid(const FrameHead& h) {
  switch (h.type) {
    case kData:
    case kHeaders:
    case kContinuation: return h.stream != 0;
    case kPushPromise: return h.stream != 0 && h.length >= 4;
    case kPriority: return h.stream != 0 && h.length == 5;
    case kRstStream: return h.stream != 0 && h.length == 4;
    case kSettings: return h.stream == 0 && h.length % 6 == 0 && (!h.has(kAck) || h.length == 0);
    case kPing: return h.stream == 0 && h.length == 8;
    case kGoaway: return h.stream == 0 && h.length >= 8;
    case kWindowUpdate: return h.length == 4;
    default: return h.length <= kUsualFrame;  // RFC 9113 5.5: unknown frames are ignored; a large one is no frame
  }
}

bool is_usual(const FrameHead& h) {
  if (h.reserved || h.type > kContinuation || h.length > kUsualFrame || !is_valid(h)) return false;
  if ((h.flags & ~kMeaningfulFlags[h.type]) != 0) return false;
  return h.type != kSettings || h.length <= 40 * 6;
}

std::string_view error_name(uint32_t code) {
  static constexpr std::string_view kNames[] = {"NO_ERROR",
                                                "PROTOCOL_ERROR",
                                                "INTERNAL_ERROR",
                                                "FLOW_CONTROL_ERROR",
                                                "SETTINGS_TIMEOUT",
                                                "STREAM_CLOSED",
                                                "FRAME_SIZE_ERROR",
                                                "REFUSED_STREAM",
                                                "CANCEL",
                                                "COMPRESSION_ERROR",
                                                "CONNECT_ERROR",
                                                "ENHANCE_YOUR_CALM",
                                                "INADEQUATE_SECURITY",
                                                "HTTP_1_1_REQUIRED"};
  return code < std::size(kNames) ? kNames[code] : std::string_view();
}

bool block_of(const FrameHead& head, Bytes payload, Bytes& block) {
  size_t padding = 0;
  if (head.type != kContinuation && head.has(kPadded)) {
    if (payload.empty()) return false;
    padding = payload[0];
    payload = payload.subspan(1);
  }
  if (head.type == kHeaders && head.has(kWithPriority)) {
    if (payload.size() < 5) return false;
    payload = payload.subspan(5);
  }
  if (padding > payload.size()) return false;
  block = payload.first(payload.size() - padding);
  return true;
}

Probe probe_frames(const Input& in) {
  const bool to_server = in.direction == Direction::kToServer;
  const Probe more = in.end_of_stream ? Probe::kNo : Probe::kUnsure;
  if (to_server) {
    const size_t n = std::min(in.bytes.size(), kPreface.size());
    if (as_text(in.bytes.first(n)) == kPreface.substr(0, n)) return n == kPreface.size() ? Probe::kYes : more;
  }
  bool first = true, only_empty_settings = false;
  for (Bytes rest = in.bytes;; first = false) {
    // Every byte that is there must fit: others wait for our answer.
    if (!rest.empty() && rest[0] != 0) return Probe::kNo;
    if (rest.size() > 3 && rest[3] > kContinuation) return Probe::kNo;
    if (rest.size() < kFrameHead) return more;
    const FrameHead head = read_frame_head(rest.data());
    if (!is_usual(head)) return Probe::kNo;
    if (first && (head.type == kData || head.type == kContinuation)) return Probe::kNo;
    // RFC 9113 3.4: a server begins with SETTINGS. An empty one has too many zeroes to be believed at once.
    const bool settings = head.type == kSettings && !head.has(kAck);
    if (first && settings && to_server) return Probe::kNo;
    if (only_empty_settings) return Probe::kYes;
    if (rest.size() < kFrameHead + head.length) return more;
    const Bytes payload = rest.subspan(kFrameHead, head.length);
    if (!usual_payload(head, payload)) return Probe::kNo;
    if (first && settings && head.length > 0) return Probe::kYes;
    only_empty_settings = first && settings;
    if (head.type == kHeaders && head.has(kEndHeaders)) {
      Bytes block;
      if (!block_of(head, payload, block)) return Probe::kNo;
      const Evidence e = evidence_of(block);
      if (!e.whole || (to_server ? e.response : e.request)) return Probe::kNo;
      if (to_server ? e.request : e.response) return Probe::kYes;
    }
    rest = rest.subspan(kFrameHead + head.length);
  }
}

Resync find_frames(const Input& in) {
  const Bytes b = in.bytes;
  for (size_t at = 0;; ++at) {
    if (b.size() - at < kFrameHead) return {at, false};
    const FrameHead head = read_frame_head(&b[at]);
    if (!is_usual(head) || head.type == kContinuation) continue;
    const size_t end = at + kFrameHead + head.length;
    // The next one has to be seen as well; only at the end of the stream there is none.
    if (end > b.size() || b.size() - end < kFrameHead) {
      if (!in.end_of_stream) return {at, false};
      if (end != b.size()) continue;
    }
    if (!usual_payload(head, b.subspan(at + kFrameHead, head.length))) continue;
    if (end == b.size() || is_usual(read_frame_head(&b[end]))) return {at, true};
  }
}

}  // namespace baleen::dissect::http2
