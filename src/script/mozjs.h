#pragma once

// Private to the SpiderMonkey binding: the only header, besides SpiderMonkey's own, that names its types.

#include <js/Class.h>
#include <js/TypeDecls.h>
#include <jsapi.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "item/item.h"
#include "item/value.h"

namespace baleen::script {

/// Makes the objects that scripts see for items. See mozjs_item.cpp.
class ItemObjects {
 public:
  struct Anchor;

  /// Takes over the context's nursery callback.
  explicit ItemObjects(JSContext* cx);
  ~ItemObjects();
  ItemObjects(const ItemObjects&) = delete;

  /// Interns the names of the top-level members; once.
  bool prepare();
  JSObject* wrap(const item::ItemRef& item);
  /// The item behind an object, or null.
  static const item::Item* item_of(JSObject* object);

  bool resolve_top(JSContext* cx, JS::HandleObject object, JS::HandleId id, bool* resolved);
  bool enumerate_top(JSContext* cx, JS::HandleObject object);
  void give(Anchor* anchor);
  void after_nursery();
  size_t live() const { return live_; }

 private:
  bool define_top(JSContext* cx, JS::HandleObject object, JS::HandleId id, std::string_view name, unsigned flags);

  JSContext* cx_;
  BlockPool blocks_;
  Anchor* free_ = nullptr;
  Anchor* young_ = nullptr;
  size_t live_ = 0;
  std::vector<std::string> names_;
  std::vector<JSString*> atoms_;  // pinned, as names_
};

/// Text that need not be UTF-8.
JSString* new_string(JSContext* cx, std::string_view text);

}  // namespace baleen::script
