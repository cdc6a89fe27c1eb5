#pragma once

#include <cstring>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect {

/// Whether the bytes are UTF-8 (RFC 3629). A sequence that the end cuts off counts as good when `cut`.
bool is_utf8(std::string_view text, bool cut = false);

bool is_text_slow(std::string_view text, bool cut);

/// The same, and there is no NUL.
inline bool is_text(std::string_view text, bool cut = false) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* const end = p + text.size();
  if (text.size() <= 64) {  // most are keys and names, and ASCII
    constexpr uint64_t kOnes = 0x0101010101010101u, kTops = 0x8080808080808080u;
    uint64_t odd = 0;
    for (; end - p >= 8; p += 8) odd |= load_le64(p) | (load_le64(p) - kOnes);
    odd &= kTops;
    for (; p < end; ++p) odd |= static_cast<uint64_t>(*p == 0 || *p >= 0x80);
    if (odd == 0) return true;
  }
  return is_text_slow(text, cut);
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
