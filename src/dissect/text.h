#pragma once

#include <cstring>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect {

/// Whether the bytes are UTF-8 (RFC 3629) without NUL. A sequence that the end cuts off counts as good when `cut`.
inline bool is_text(std::string_view text, bool cut = false) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    while (end - p >= 8) {  // plain ASCII, eight at a time; NUL falls through to the careful loop
      uint64_t w;
      std::memcpy(&w, p, 8);
      if ((w & 0x8080808080808080u) != 0 || ((w - 0x0101010101010101u) & 0x8080808080808080u) != 0) break;
      p += 8;
    }
    if (p == end) break;
    if (*p == 0) return false;
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int more = *p >= 0xC2 && *p < 0xE0 ? 1 : (*p & 0xF0) == 0xE0 ? 2 : *p >= 0xF0 && *p < 0xF5 ? 3 : 0;
    if (more == 0) return false;
    if (end - p <= more) {
      for (const uint8_t* q = p + 1; q < end; ++q)
        if ((*q & 0xC0) != 0x80) return false;
      return cut;
    }
    for (int i = 1; i <= more; ++i)
      if ((p[i] & 0xC0) != 0x80) return false;
    if (*p == 0xE0 && p[1] < 0xA0) return false;
    if (*p == 0xED && p[1] >= 0xA0) return false;
    if (*p == 0xF0 && p[1] < 0x90) return false;
    if (*p == 0xF4 && p[1] >= 0x90) return false;
    p += more + 1;
  }
  return true;
}

/// A value for content that may or may not be text; borrows it.
inline item::Value text_or_bytes(std::string_view content, bool cut = false) {
  return is_text(content, cut) ? item::Value(content) : item::Value::bytes(as_bytes(content));
}

/// Collects the members of one map on the stack, then moves them to an arena at their exact number.
template <size_t kRoom>
class MapBuilder {
 public:
  void add(std::string_view name, item::Value value) {
    if (size_ < kRoom) members_[size_++] = {name, value};
  }
  item::Value build(Arena& arena) const {
    auto* at = static_cast<item::Member*>(arena.allocate(size_ * sizeof(item::Member), alignof(item::Member)));
    for (size_t i = 0; i < size_; ++i) new (at + i) item::Member(members_[i]);
    return item::Value::map({at, size_});
  }

 private:
  union {
    item::Member members_[kRoom];
  };
  size_t size_ = 0;

 public:
  MapBuilder() {}
};

}  // namespace baleen::dissect
