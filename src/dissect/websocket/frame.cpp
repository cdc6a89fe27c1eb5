#include "dissect/websocket/frame.h"

#include <cstring>

namespace baleen::dissect::websocket {
namespace {

constexpr uint8_t kLength16 = 126, kLength64 = 127;

bool is_opcode(uint8_t opcode) { return opcode <= kBinary || (opcode >= kClose && opcode <= kPong); }

}  // namespace

ParsedHead parse_head(Bytes bytes) {
  using Kind = ParsedHead::Kind;
  if (bytes.empty()) return {Kind::kNeed, {}, 2};
  FrameHead head;
  head.fin = (bytes[0] & 0x80) != 0;
  head.reserved = bytes[0] >> 4 & 7;
  head.opcode = bytes[0] & 0x0F;
  if (!is_opcode(head.opcode) || (head.is_control() && !head.fin)) return {Kind::kBad, {}};
  if (bytes.size() < 2) return {Kind::kNeed, {}, 2};
  head.masked = (bytes[1] & 0x80) != 0;
  const uint8_t length = bytes[1] & 0x7F;
  if (head.is_control() && length >= kLength16) return {Kind::kBad, {}};
  const size_t more = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
  head.size = static_cast<uint8_t>(2 + more + (head.masked ? 4 : 0));
  if (bytes.size() < head.size) return {Kind::kNeed, {}, head.size};
  head.length = more == 0 ? length : more == 2 ? load_be16(&bytes[2]) : load_be64(&bytes[2]);
  if ((more == 2 && head.length < kLength16) || (more == 8 && (head.length < 1 << 16 || head.length >> 63 != 0)))
    return {Kind::kBad, {}};
  if (head.masked) std::memcpy(head.mask, &bytes[2 + more], 4);
  return {Kind::kHead, head};
}

void unmask(const uint8_t mask[4], uint64_t phase, Bytes from, char* to) {
  uint8_t turned[8];
  for (size_t i = 0; i < 8; ++i) turned[i] = mask[(phase + i) & 3];
  uint64_t wide;
  std::memcpy(&wide, turned, 8);
  size_t i = 0;
  for (; i + 8 <= from.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, from.data() + i, 8);
    word ^= wide;
    std::memcpy(to + i, &word, 8);
  }
  for (; i < from.size(); ++i) to[i] = static_cast<char>(from[i] ^ turned[i & 7]);
}

}  // namespace baleen::dissect::websocket
