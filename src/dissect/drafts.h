#pragma once

#include <string_view>

#include "dissect/text.h"
#include "item/item.h"

namespace baleen::dissect {

// While its messages come, an item of some databases is a draft: what was read so far, in the item's arena, where its
// match_key points. A Draft has `budget`, the bytes of texts that are still kept, and `truncated`.

template <class Draft>
Draft& draft_of(item::Item* item) {
  return *reinterpret_cast<Draft*>(item->match_key);
}

/// A copy of the text as far as the budget goes.
template <class Draft>
std::string_view keep_within(item::Item* item, std::string_view text) {
  Draft& d = draft_of<Draft>(item);
  if (text.size() > d.budget) {
    d.truncated = true;
    text = text.substr(0, d.budget);
  }
  d.budget -= text.size();
  return item->arena.copy(text);
}

/// The same as text, or as bytes where it is none.
template <class Draft>
item::Value keep_value_within(item::Item* item, std::string_view text) {
  const std::string_view kept = keep_within<Draft>(item, text);
  return text_or_bytes(kept, kept.size() < text.size());
}

}  // namespace baleen::dissect
