#include "dissect/mongodb/bson.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "dissect/text.h"

namespace baleen::dissect::mongodb {

using item::Member;
using item::Value;

namespace {

std::string_view hex(Bytes bytes, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate(bytes.size() * 2, 1));
  for (size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  return {out, bytes.size() * 2};
}

Value date(int64_t ms, Arena& arena) {
  constexpr int64_t kYear = 31'557'600'000;
  if (ms > 250 * kYear || ms < -250 * kYear) return Value(ms);  // beyond what nanoseconds can say
  char text[32];
  return Value(arena.copy(std::string_view(text, write_rfc3339(timestamp_from_ns(ms * 1'000'000), text))));
}

}  // namespace

std::string_view BsonReader::c_text(size_t end, bool& good) {
  const void* stop = at_ < end ? std::memchr(&bytes_[at_], 0, end - at_) : nullptr;
  good = stop != nullptr;
  if (!good) return {};
  const size_t n = static_cast<size_t>(static_cast<const uint8_t*>(stop) - &bytes_[at_]);
  const std::string_view text = as_text(bytes_.subspan(at_, n));
  at_ += n + 1;
  return text;
}

Value BsonReader::container(bool list, uint32_t depth) {
  const size_t start = at_;
  if (bytes_.size() - at_ < 5) {
    truncated_ = true;
    at_ = bytes_.size();
    return list ? Value::list({}) : Value::map({});
  }
  const uint32_t size = load_le32(&bytes_[at_]);
  if (size < 5) {
    malformed_ = true;
    at_ = bytes_.size();
    return list ? Value::list({}) : Value::map({});
  }
  const bool whole = size <= bytes_.size() - start;
  if (!whole) truncated_ = true;
  const size_t end = whole ? start + size : bytes_.size();
  at_ += 4;
  Member* members = nullptr;
  uint32_t n = 0, room = 0;
  while (at_ < end) {
    const uint8_t type = bytes_[at_++];
    if (type == 0) break;
    bool good;
    const std::string_view name = c_text(end, good);
    Value value;
    if (!good || !element(type, end, depth, value)) {
      (whole ? malformed_ : truncated_) = true;
      break;
    }
    if (elements_ >= kMaxElements) {
      limited_ = true;
      break;
    }
    ++elements_;
    if (n == room) {
      const uint32_t more = room == 0 ? 8 : room * 2;
      auto* grown = static_cast<Member*>(arena_.allocate(more * sizeof(Member), alignof(Member)));
      if (n != 0) std::memcpy(static_cast<void*>(grown), members, n * sizeof(Member));
      members = grown;
      room = more;
    }
    members[n++] = {name, value};
  }
  at_ = end;
  if (!list) return Value::map({members, n});
  auto values = arena_.array<Value>(n);
  for (uint32_t i = 0; i < n; ++i) values[i] = members[i].value;
  return Value::list(values);
}

/// Reads one element's value; false when it does not fit before `end`.
bool BsonReader::element(uint8_t type, size_t end, uint32_t depth, Value& value) {
  const size_t left = end - at_;
  const uint8_t* p = bytes_.data() + at_;
  const auto fixed = [&](size_t n) {
    if (left < n) return false;
    at_ += n;
    return true;
  };
  switch (type) {
    case 0x01: {  // double
      if (!fixed(8)) return false;
      const uint64_t bits = load_le64(p);
      double d;
      std::memcpy(&d, &bits, sizeof d);
      value = Value(d);
      return true;
    }
    case 0x02:
    case 0x0D:
    case 0x0E: {  // string, code, symbol
      if (left < 5) return false;
      const uint32_t n = load_le32(p);
      if (n == 0 || n > left - 4) return false;
      at_ += 4 + n;
      value = text_or_bytes(as_text({p + 4, n - 1}));
      return true;
    }
    case 0x03:
    case 0x04: {
      if (left < 5 || load_le32(p) > left) {
        if (left >= 4 && end != bytes_.size()) return false;
      }
      if (depth + 1 >= kMaxDepth) return false;
      value = container(type == 0x04, depth + 1);
      return true;
    }
    case 0x05: {  // binary: size, subtype, bytes
      if (left < 5) return false;
      const uint32_t n = load_le32(p);
      if (n > left - 5) return false;
      const uint8_t subtype = p[4];
      at_ += 5 + n;
      value = subtype == 4 && n == 16 ? Value(hex({p + 5, n}, arena_)) : Value::bytes({p + 5, n});
      return true;
    }
    case 0x06:
    case 0x0A: return true;  // undefined, null
    case 0x07:               // object id
      if (!fixed(12)) return false;
      value = Value(hex({p, 12}, arena_));
      return true;
    case 0x08:
      if (!fixed(1)) return false;
      value = Value(p[0] != 0);
      return true;
    case 0x09:
      if (!fixed(8)) return false;
      value = date(static_cast<int64_t>(load_le64(p)), arena_);
      return true;
    case 0x0B: {  // regular expression: pattern, options
      bool good;
      const std::string_view pattern = c_text(end, good);
      if (!good) return false;
      const std::string_view options = c_text(end, good);
      if (!good) return false;
      char* text = static_cast<char*>(arena_.allocate(pattern.size() + options.size() + 2, 1));
      text[0] = '/';
      std::copy(pattern.begin(), pattern.end(), text + 1);
      text[1 + pattern.size()] = '/';
      std::copy(options.begin(), options.end(), text + 2 + pattern.size());
      value = text_or_bytes({text, pattern.size() + options.size() + 2});
      return true;
    }
    case 0x0C: {  // DBPointer: name, id
      if (left < 5) return false;
      const uint32_t n = load_le32(p);
      if (n == 0 || n > left - 4 || left - 4 - n < 12) return false;
      at_ += 4 + n + 12;
      value = Value(hex({p + 4 + n, 12}, arena_));
      return true;
    }
    case 0x0F: {  // code with scope: size, code, document
      if (left < 14) return false;
      const uint32_t all = load_le32(p), n = load_le32(p + 4);
      if (all > left || all < 14 || n == 0 || n > all - 8) return false;
      at_ += all;
      value = text_or_bytes(as_text({p + 8, n - 1}));
      return true;
    }
    case 0x10:
      if (!fixed(4)) return false;
      value = Value(static_cast<int32_t>(load_le32(p)));
      return true;
    case 0x11:
    case 0x12:  // timestamp, int64
      if (!fixed(8)) return false;
      value = Value(static_cast<int64_t>(load_le64(p)));
      return true;
    case 0x13:  // decimal128: shown as its 16 bytes
      if (!fixed(16)) return false;
      value = Value::bytes({p, 16});
      return true;
    case 0x7F: value = Value("MaxKey"); return true;
    case 0xFF: value = Value("MinKey"); return true;
    default: return false;
  }
}

}  // namespace baleen::dissect::mongodb
