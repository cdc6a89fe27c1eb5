#include "dissect/mysql/wire.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "dissect/text.h"

namespace baleen::dissect::mysql {

using item::Value;

uint64_t lenenc(ByteReader& r) {
  const uint8_t first = r.u8();
  switch (first) {
    case 0xFC: return r.le16();
    case 0xFD: return r.le24();
    case 0xFE: return r.le64();
    case 0xFB:
    case 0xFF: r.fail(); return 0;
    default: return first;
  }
}

std::string_view lenenc_text(ByteReader& r) {
  const uint64_t n = lenenc(r);
  return r.text(static_cast<size_t>(std::min<uint64_t>(n, r.remaining())));
}

std::string_view c_text(ByteReader& r) {
  ByteReader ahead = r;
  const std::string_view rest = as_text(ahead.rest());
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return as_text(r.rest());
  const std::string_view text = r.text(end);
  r.skip(1);
  return text;
}

namespace {

Value date_value(ByteReader& r, Arena& arena) {
  const uint8_t n = r.u8();
  ByteReader d(r.bytes(n));
  const unsigned year = d.le16(), month = d.u8(), day = d.u8();
  char text[40];
  int size = std::snprintf(text, sizeof text, "%04u-%02u-%02u", year, month, day);
  if (n >= 7) {
    const unsigned hour = d.u8(), minute = d.u8(), second = d.u8();
    size += std::snprintf(text + size, sizeof text - size, " %02u:%02u:%02u", hour, minute, second);
    if (n >= 11) size += std::snprintf(text + size, sizeof text - size, ".%06u", d.le32() % 1000000);
  }
  return Value(arena.copy(std::string_view(text, static_cast<size_t>(size))));
}

Value time_value(ByteReader& r, Arena& arena) {
  const uint8_t n = r.u8();
  ByteReader d(r.bytes(n));
  char text[48];
  const bool negative = d.u8() != 0;
  const uint32_t days = d.le32();
  const unsigned hour = d.u8(), minute = d.u8(), second = d.u8();
  int size = std::snprintf(text, sizeof text, "%s%02llu:%02u:%02u", negative ? "-" : "",
                           static_cast<unsigned long long>(days) * 24 + hour, minute, second);
  if (n >= 12) size += std::snprintf(text + size, sizeof text - size, ".%06u", d.le32() % 1000000);
  return Value(arena.copy(std::string_view(text, static_cast<size_t>(size))));
}

}  // namespace

Value binary_value(ByteReader& r, uint8_t type, bool is_unsigned, Arena& arena) {
  switch (type) {
    case 1: return is_unsigned ? Value(unsigned{r.u8()}) : Value(int{static_cast<int8_t>(r.u8())});  // TINY
    case 2:
    case 13: return is_unsigned ? Value(unsigned{r.le16()}) : Value(int{static_cast<int16_t>(r.le16())});  // SHORT YEAR
    case 3:
    case 9: return is_unsigned ? Value(r.le32()) : Value(static_cast<int32_t>(r.le32()));  // LONG INT24
    case 8: return is_unsigned ? Value(r.le64()) : Value(static_cast<int64_t>(r.le64()));  // LONGLONG
    case 4: {
      const uint32_t bits = r.le32();
      float f;
      std::memcpy(&f, &bits, sizeof f);
      return Value(static_cast<double>(f));
    }
    case 5: {
      const uint64_t bits = r.le64();
      double d;
      std::memcpy(&d, &bits, sizeof d);
      return Value(d);
    }
    case 6: return {};
    case 7:
    case 10:
    case 12: return date_value(r, arena);  // TIMESTAMP DATE DATETIME
    case 11: return time_value(r, arena);
    default: return text_or_bytes(lenenc_text(r), true);
  }
}

}  // namespace baleen::dissect::mysql
