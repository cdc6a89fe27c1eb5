#include "dissect/dns/wire.h"

namespace baleen::dissect::dns {
namespace {

constexpr size_t kMaxName = 255;  // RFC 1035 2.3.4, with all length bytes

void append_label(Bytes label, std::string& out) {
  for (const uint8_t c : label) {
    if (c == '.' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c > 0x20 && c < 0x7F) {
      out += static_cast<char>(c);
    } else {  // RFC 1035 5.1: \DDD
      out += '\\';
      out += static_cast<char>('0' + c / 100);
      out += static_cast<char>('0' + c / 10 % 10);
      out += static_cast<char>('0' + c % 10);
    }
  }
}

}  // namespace

Header read_header(Bytes m) {
  const uint8_t* p = m.data();
  return {load_be16(p), load_be16(p + 2), load_be16(p + 4), load_be16(p + 6), load_be16(p + 8), load_be16(p + 10)};
}

size_t skip_name(Bytes m, size_t at) {
  for (size_t begin = at; at < m.size() && at - begin < kMaxName;) {
    const uint8_t length = m[at];
    if (length == 0) return at + 1;
    if (length >= 0xC0) return at + 2 <= m.size() ? at + 2 : 0;
    if (length > 63) return 0;  // RFC 6891 5: extended label types are no more
    at += size_t{1} + length;
  }
  return 0;
}

size_t append_name(Bytes m, size_t at, std::string& out) {
  size_t behind = 0, length = 1, limit = at;  // a pointer must lead before everything read so far
  bool first = true;
  for (;;) {
    if (at >= m.size()) return 0;
    const uint8_t label = m[at];
    if (label == 0) {
      if (first) out += '.';
      return behind != 0 ? behind : at + 1;
    }
    if (label >= 0xC0) {
      if (at + 2 > m.size()) return 0;
      const size_t to = load_be16(m.data() + at) & 0x3FFF;
      if (behind == 0) behind = at + 2;
      if (to >= limit || to < kHeaderBytes) return 0;
      at = limit = to;
      continue;
    }
    if (label > 63 || at + 1 + label > m.size()) return 0;
    length += size_t{1} + label;
    if (length > kMaxName) return 0;
    if (!first) out += '.';
    append_label(m.subspan(at + 1, label), out);
    first = false;
    at += size_t{1} + label;
  }
}

}  // namespace baleen::dissect::dns
