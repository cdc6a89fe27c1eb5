#pragma once

#include <cstring>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect {

/// Whether the bytes are UTF-8 (RFC 3629). A sequence that the end cuts off counts as good when `cut`.
bool is_utf8(std::string_view text, bool cut = false);

/// The same, and there is no NUL.
inline bool is_text(std::string_view text, bool cut = false) {
  return (text.empty() || std::memchr(text.data(), 0, text.size()) == nullptr) && is_utf8(text, cut);
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
