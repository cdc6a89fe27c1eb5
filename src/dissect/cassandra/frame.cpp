#include "dissect/cassandra/frame.h"

namespace baleen::dissect::cassandra {

namespace {

uint32_t crc24(Bytes bytes) {
  uint32_t crc = 0x875060;
  for (const uint8_t byte : bytes) {
    crc ^= uint32_t{byte} << 16;
    for (int bit = 0; bit < 8; ++bit) {
      crc <<= 1;
      if ((crc & 0x1000000) != 0) crc ^= 0x1974F0B;
    }
  }
  return crc;
}

}  // namespace

FrameHead frame_head(Bytes b, bool compressed) {
  const size_t fields = compressed ? 5 : 3;
  const uint32_t crc = load_le32(&b[fields - 1]) >> 8;
  if (crc24(b.first(fields)) != crc) return {};
  const uint64_t bits = load_le64(b.data());
  constexpr uint32_t kLength = 0x1FFFF;  // 17 bits
  FrameHead head{fields + 3, static_cast<uint32_t>(bits & kLength)};
  if (compressed) {
    head.plain = static_cast<uint32_t>(bits >> 17 & kLength);
    head.whole = (bits >> 34 & 1) != 0;
  } else {
    head.whole = (bits >> 17 & 1) != 0;
  }
  return head.payload == 0 ? FrameHead{} : head;
}

}  // namespace baleen::dissect::cassandra
