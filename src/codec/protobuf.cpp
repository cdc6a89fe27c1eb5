#include "codec/protobuf.h"

namespace baleen::codec {

bool read_varint(Bytes& bytes, uint64_t& out) {
  out = 0;
  for (unsigned i = 0; i < 10 && i < bytes.size(); ++i) {
    const uint64_t b = bytes[i];
    if (i == 9 && b > 1) return false;  // beyond 64 bits
    out |= (b & 0x7F) << (7 * i);
    if (b >= 0x80) continue;
    bytes = bytes.subspan(i + 1);
    return true;
  }
  return false;
}

bool WireReader::next(WireField& out) {
  if (rest_.empty() || !ok_) return false;
  uint64_t tag = 0;
  if (!read_varint(rest_, tag) || tag > UINT32_MAX || tag >> 3 == 0) return bad();
  out.number = static_cast<uint32_t>(tag >> 3);
  out.type = static_cast<WireField::Type>(tag & 7);
  out.value = 0;
  out.bytes = {};
  switch (out.type) {
    case WireField::Type::kVarint: return read_varint(rest_, out.value) || bad();
    case WireField::Type::kGroup:
    case WireField::Type::kEndGroup: return true;
    case WireField::Type::kBytes: {
      uint64_t size = 0;
      if (!read_varint(rest_, size) || size > rest_.size()) return bad();
      out.bytes = rest_.first(size);
      rest_ = rest_.subspan(size);
      return true;
    }
    case WireField::Type::kFixed64:
    case WireField::Type::kFixed32: {
      const size_t size = out.type == WireField::Type::kFixed64 ? 8 : 4;
      if (rest_.size() < size) return bad();
      out.value = size == 8 ? load_le64(rest_.data()) : load_le32(rest_.data());
      rest_ = rest_.subspan(size);
      return true;
    }
  }
  return bad();
}

}  // namespace baleen::codec
