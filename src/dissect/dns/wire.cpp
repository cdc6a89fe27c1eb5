#include "dissect/dns/wire.h"

#include <utility>

namespace baleen::dissect::dns {
namespace {

constexpr size_t kMaxName = 255;  // RFC 1035 2.3.4, with all length bytes

bool is_plain(uint8_t c) { return c > 0x20 && c < 0x7F && c != '.' && c != '\\'; }

void append_label(Bytes label, std::string& out) {
  for (size_t at = 0; at < label.size();) {
    size_t plain = at;
    while (plain < label.size() && is_plain(label[plain])) ++plain;
    out += as_text(label.subspan(at, plain - at));
    if ((at = plain) == label.size()) return;
    const uint8_t c = label[at++];
    out += '\\';
    if (c == '.' || c == '\\') {
      out += static_cast<char>(c);
    } else {  // RFC 1035 5.1: \DDD
      out += static_cast<char>('0' + c / 100);
      out += static_cast<char>('0' + c / 10 % 10);
      out += static_cast<char>('0' + c % 10);
    }
  }
}

/// Calls each(label) for the labels of the name at `at`; returns as append_name() does.
template <class Each>
size_t each_label(Bytes m, size_t at, Each each) {
  size_t behind = 0, length = 1, limit = at;  // a pointer must lead before everything read so far
  for (;;) {
    if (at >= m.size()) return 0;
    const uint8_t label = m[at];
    if (label == 0) return behind != 0 ? behind : at + 1;
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
    each(m.subspan(at + 1, label));
    at += size_t{1} + label;
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

bool is_name(Bytes m, size_t at) {
  return each_label(m, at, [](Bytes) {}) != 0;
}

size_t append_name(Bytes m, size_t at, std::string& out) {
  bool first = true;
  const size_t behind = each_label(m, at, [&](Bytes label) {
    if (!std::exchange(first, false)) out += '.';
    append_label(label, out);
  });
  if (first && behind != 0) out += '.';
  return behind;
}

}  // namespace baleen::dissect::dns
