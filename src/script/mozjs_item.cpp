#include <js/Array.h>
#include <js/CharacterEncoding.h>
#include <js/GCAPI.h>
#include <js/HeapAPI.h>
#include <js/Object.h>
#include <js/PropertyAndElement.h>
#include <js/String.h>
#include <js/ValueArray.h>

#include <algorithm>

#include "item/json.h"
#include "script/mozjs.h"

// A script gets an object that is empty until it is asked: the engine calls resolve() for a name that it does not find,
// and we define the member then. From there on it is an ordinary property: same identity, writable, deletable.
// Names that JSON prints are enumerable; Go's spellings (reference row S-09) and other cases of header names are not.
//
// An object that a script keeps keeps its item. Items are precious, so they go home as soon as possible: most objects
// die in the nursery, whose dead are not finalized. Each object has an Anchor that holds the item. Anchors made since
// the last nursery collection are in a list; the objects that survive it tell so (objectMovedOp), the anchors of the
// others are freed at its end. The survivors' are freed by their finalizer.

namespace baleen::script {

struct ItemObjects::Anchor {
  item::ItemRef item;
  Arena arena;
  ItemObjects* home = nullptr;
  Anchor* next = nullptr;
  bool tenured = false;
  explicit Anchor(BlockPool* blocks) : arena(blocks) {}
};

namespace {

// Slots of both classes.
constexpr uint32_t kAnchor = 0;      // item: Anchor*; map: the item's object, which it keeps alive
constexpr uint32_t kComplete = 1;    // true: every member was made, resolve() has nothing to add
constexpr uint32_t kValue = 2;       // map: const item::Value*
constexpr uint32_t kPlainNames = 3;  // map: its names are data (headers, cookies), not fields with a Go spelling

extern const JSClass kItemClass;
extern const JSClass kMapClass;

bool to_js(JSContext* cx, JS::HandleObject root, const item::Value* value, bool plain_names,
           JS::MutableHandleValue out);

ItemObjects::Anchor* anchor_of(JSObject* object) {
  const JS::Value v = JS::GetReservedSlot(object, kAnchor);
  return v.isUndefined() ? nullptr : static_cast<ItemObjects::Anchor*>(v.toPrivate());
}

bool is_complete(JSObject* object) { return JS::GetReservedSlot(object, kComplete).isTrue(); }

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

/// The JSON spelling of a Go field name: Name -> name, URL -> url, HTTPVersion -> httpVersion, Abbreviation -> abbr.
/// Empty when it is none.
std::string_view json_spelling(std::string_view name, std::array<char, 64>& buffer) {
  if (name.empty() || name.size() > buffer.size() || !is_upper(name[0])) return {};
  if (name == "Source") return "src";
  if (name == "Destination") return "dst";
  if (name == "Abbreviation") return "abbr";
  size_t run = 0;
  while (run < name.size() && is_upper(name[run])) ++run;
  if (run > 1 && run < name.size()) --run;  // the last capital begins the next word
  std::copy(name.begin(), name.end(), buffer.begin());
  for (size_t i = 0; i < run; ++i) buffer[i] = static_cast<char>(buffer[i] + ('a' - 'A'));
  return {buffer.data(), name.size()};
}

/// The characters of a property's name in `buffer`; empty for symbols, indices and names that no member has.
std::string_view name_of(JSContext* cx, JS::HandleId id, std::array<char, 256>& buffer) {
  if (!id.isString()) return {};
  JSLinearString* text = JS_EnsureLinearString(cx, id.toString());
  if (text == nullptr) return {};
  const size_t n = JS::GetLinearStringLength(text);
  if (n == 0 || n > buffer.size()) return {};
  for (size_t i = 0; i < n; ++i) {
    const char16_t c = JS::GetLinearStringCharAt(text, i);
    if (c > 0x7F) return {};
    buffer[i] = static_cast<char>(c);
  }
  return {buffer.data(), n};
}

bool has_plain_names(std::string_view name, const item::Value& value) {
  return value.folds_case() || name == "headers" || name == "trailers" || name == "cookies" || name == "queryString" ||
         name == "labels" || name == "annotations";
}

JSString* base64(JSContext* cx, std::string_view bytes) {
  std::string quoted;
  item::append_json(item::Value::bytes(as_bytes(bytes)), quoted);
  return JS_NewStringCopyN(cx, quoted.data() + 1, quoted.size() - 2);
}

bool map_to_js(JSContext* cx, JS::HandleObject root, const item::Value* value, bool plain, JS::MutableHandleValue out) {
  JSObject* object = JS_NewObject(cx, &kMapClass);
  if (object == nullptr) return false;
  JS::SetReservedSlot(object, kAnchor, JS::ObjectValue(*root));
  JS::SetReservedSlot(object, kComplete, JS::FalseValue());
  JS::SetReservedSlot(object, kValue, JS::PrivateValue(const_cast<item::Value*>(value)));
  JS::SetReservedSlot(object, kPlainNames, JS::BooleanValue(plain));
  out.setObject(*object);
  return true;
}

bool list_to_js(JSContext* cx, JS::HandleObject root, const item::Value* value, bool plain,
                JS::MutableHandleValue out) {
  const auto elements = value->elements();
  JS::RootedValueVector made(cx);
  if (!made.resize(elements.size())) return false;
  for (size_t i = 0; i < elements.size(); ++i)
    if (!to_js(cx, root, &elements[i], plain, made[i])) return false;
  JSObject* array = JS::NewArrayObject(cx, made);
  if (array == nullptr) return false;
  out.setObject(*array);
  return true;
}

/// `value` lives as long as the item's anchor.
bool to_js(JSContext* cx, JS::HandleObject root, const item::Value* value, bool plain_names,
           JS::MutableHandleValue out) {
  using Type = item::Value::Type;
  JSString* text = nullptr;
  switch (value->type()) {
    case Type::kNull: out.setNull(); return true;
    case Type::kBool: out.setBoolean(value->as_bool()); return true;
    case Type::kInt:
    case Type::kDouble: out.setNumber(value->as_double()); return true;
    case Type::kString: text = new_string(cx, value->text()); break;
    case Type::kBytes: text = base64(cx, value->text()); break;
    case Type::kList: return list_to_js(cx, root, value, plain_names, out);
    case Type::kMap: return map_to_js(cx, root, value, plain_names, out);
  }
  if (text == nullptr) return false;
  out.setString(text);
  return true;
}

// ---- maps ----

bool define_member(JSContext* cx, JS::HandleObject object, JS::HandleId id, std::string_view name,
                   const item::Value* value, unsigned flags) {
  JS::RootedObject root(cx, &JS::GetReservedSlot(object, kAnchor).toObject());
  JS::RootedValue made(cx);
  const bool plain = JS::GetReservedSlot(object, kPlainNames).isTrue() || has_plain_names(name, *value);
  return to_js(cx, root, value, plain, &made) && JS_DefinePropertyById(cx, object, id, made, flags);
}

bool map_resolve(JSContext* cx, JS::HandleObject object, JS::HandleId id, bool* resolved) {
  *resolved = false;
  const JS::Value slot = JS::GetReservedSlot(object, kValue);
  if (slot.isUndefined() || is_complete(object)) return true;
  const auto* map = static_cast<const item::Value*>(slot.toPrivate());
  std::array<char, 256> buffer;
  std::string_view name = name_of(cx, id, buffer);
  if (name.empty() && !id.isString() && !id.isInt()) return true;
  if (name.empty()) {  // not ASCII, long or a number: rare enough for the whole map
    JS::SetReservedSlot(object, kComplete, JS::TrueValue());
    bool found = false;
    for (const item::Member& m : map->members()) {
      JS::RootedString key(cx, new_string(cx, m.name));
      JS::RootedId key_id(cx);
      if (!key || !JS_StringToId(cx, key, &key_id)) return false;
      bool has = false;
      if (!JS_AlreadyHasOwnPropertyById(cx, object, key_id, &has)) return false;
      if (!has && !define_member(cx, object, key_id, m.name, &m.value, JSPROP_ENUMERATE)) return false;
      found |= key_id == id.get();
    }
    *resolved = found;
    return true;
  }
  const item::Value* value = nullptr;
  unsigned flags = JSPROP_ENUMERATE;
  for (const item::Member& m : map->members())
    if (m.name == name) {
      value = &m.value;
      break;
    }
  if (value == nullptr) {
    flags = 0;
    value = map->find(name);  // headers in another case
    std::array<char, 64> lower;
    std::string_view spelling;
    if (value == nullptr && !JS::GetReservedSlot(object, kPlainNames).isTrue()) spelling = json_spelling(name, lower);
    if (!spelling.empty() && map->find(spelling) != nullptr) {  // through the other name, so both are one object
      JS::RootedValue made(cx);
      if (!JS_GetProperty(cx, object, std::string(spelling).c_str(), &made)) return false;
      *resolved = true;
      return JS_DefinePropertyById(cx, object, id, made, 0);
    }
    if (value == nullptr) return true;
  }
  *resolved = true;
  return define_member(cx, object, id, name, value, flags);
}

bool map_enumerate(JSContext* cx, JS::HandleObject object) {
  const JS::Value slot = JS::GetReservedSlot(object, kValue);
  if (slot.isUndefined() || is_complete(object)) return true;
  const auto* map = static_cast<const item::Value*>(slot.toPrivate());
  JS::RootedString key(cx);
  JS::RootedId id(cx);
  for (const item::Member& m : map->members()) {
    key = new_string(cx, m.name);
    if (!key || !JS_StringToId(cx, key, &id)) return false;
    bool has = false;
    if (!JS_AlreadyHasOwnPropertyById(cx, object, id, &has)) return false;
    if (!has && !define_member(cx, object, id, m.name, &m.value, JSPROP_ENUMERATE)) return false;
  }
  JS::SetReservedSlot(object, kComplete, JS::TrueValue());
  return true;
}

/// Before the first member goes all are made: then what is gone stays gone.
bool map_delete(JSContext* cx, JS::HandleObject object, JS::HandleId, JS::ObjectOpResult& result) {
  return map_enumerate(cx, object) && result.succeed();
}

// ---- items ----

bool item_resolve(JSContext* cx, JS::HandleObject object, JS::HandleId id, bool* resolved) {
  *resolved = false;
  ItemObjects::Anchor* anchor = anchor_of(object);
  if (anchor == nullptr || is_complete(object) || !id.isString()) return true;
  return anchor->home->resolve_top(cx, object, id, resolved);
}

bool item_enumerate(JSContext* cx, JS::HandleObject object) {
  ItemObjects::Anchor* anchor = anchor_of(object);
  if (anchor == nullptr || is_complete(object)) return true;
  return anchor->home->enumerate_top(cx, object);
}

bool item_delete(JSContext* cx, JS::HandleObject object, JS::HandleId, JS::ObjectOpResult& result) {
  return item_enumerate(cx, object) && result.succeed();
}

void item_finalize(JS::GCContext*, JSObject* object) {
  if (ItemObjects::Anchor* anchor = anchor_of(object)) anchor->home->give(anchor);
}

size_t item_moved(JSObject* object, JSObject*) {
  if (ItemObjects::Anchor* anchor = anchor_of(object)) anchor->tenured = true;
  return 0;
}

const JSClassOps kItemOps = {nullptr, item_delete,   item_enumerate, nullptr, item_resolve,
                             nullptr, item_finalize, nullptr,        nullptr, nullptr};
const js::ClassExtension kItemExtension = {item_moved};
const JSClass kItemClass = {
    "Item",          JSCLASS_HAS_RESERVED_SLOTS(2) | JSCLASS_FOREGROUND_FINALIZE | JSCLASS_SKIP_NURSERY_FINALIZE,
    &kItemOps,       nullptr,
    &kItemExtension, nullptr};
const JSClassOps kMapOps = {nullptr, map_delete, map_enumerate, nullptr, map_resolve,
                            nullptr, nullptr,    nullptr,       nullptr, nullptr};
const JSClass kMapClass = {"Object", JSCLASS_HAS_RESERVED_SLOTS(4), &kMapOps, nullptr, nullptr, nullptr};

// The callback has no pointer of its own; an engine lives on one thread.
thread_local ItemObjects* t_objects = nullptr;

void nursery_callback(JSContext*, JS::GCNurseryProgress progress, JS::GCReason) {
  if (progress == JS::GCNurseryProgress::GC_NURSERY_COLLECTION_END && t_objects != nullptr) t_objects->after_nursery();
}

}  // namespace

JSString* new_string(JSContext* cx, std::string_view text) {
  bool ascii = true;
  for (char c : text) ascii &= static_cast<signed char>(c) >= 0;
  if (ascii) return JS_NewStringCopyN(cx, text.data(), text.size());
  size_t n = 0;
  const JS::UTF8Chars utf8(text.data(), text.size());
  JS::TwoByteCharsZ chars = JS::LossyUTF8CharsToNewTwoByteCharsZ(cx, utf8, &n, js::StringBufferArena);
  if (!chars) return nullptr;
  JSString* made = JS_NewUCStringCopyN(cx, chars.get(), n);
  JS_free(cx, chars.get());
  return made;
}

ItemObjects::ItemObjects(JSContext* cx) : cx_(cx), blocks_(4096) {
  t_objects = this;
  JS::SetGCNurseryCollectionCallback(cx, nursery_callback);
}

ItemObjects::~ItemObjects() {
  t_objects = nullptr;
  while (Anchor* anchor = young_) {
    young_ = anchor->next;
    delete anchor;
  }
  while (Anchor* anchor = free_) {
    free_ = anchor->next;
    delete anchor;
  }
}

bool ItemObjects::prepare() {
  item::Item none(nullptr);
  Arena arena;
  for (const item::Member& m : item::as_value(none, arena).members()) names_.emplace_back(m.name);
  for (const std::string& name : names_) {
    JSString* atom = JS_AtomizeAndPinStringN(cx_, name.data(), name.size());
    if (atom == nullptr) return false;
    atoms_.push_back(atom);
  }
  return true;
}

JSObject* ItemObjects::wrap(const item::ItemRef& item) {
  JS::RootedObject object(cx_, JS_NewObject(cx_, &kItemClass));
  if (!object) return nullptr;
  Anchor* anchor = free_;
  if (anchor != nullptr) {
    free_ = anchor->next;
  } else {
    anchor = new Anchor(&blocks_);
    anchor->home = this;
  }
  anchor->item = item;
  anchor->tenured = !js::gc::IsInsideNursery(object.get());
  if (!anchor->tenured) {
    anchor->next = young_;
    young_ = anchor;
  }
  ++live_;
  JS::SetReservedSlot(object, kAnchor, JS::PrivateValue(anchor));
  JS::SetReservedSlot(object, kComplete, JS::FalseValue());
  return object;
}

const item::Item* ItemObjects::item_of(JSObject* object) {
  if (object == nullptr || JS::GetClass(object) != &kItemClass) return nullptr;
  const Anchor* anchor = anchor_of(object);
  return anchor != nullptr ? anchor->item.get() : nullptr;
}

void ItemObjects::give(Anchor* anchor) {
  anchor->item.reset();
  anchor->arena.clear();
  anchor->next = free_;
  free_ = anchor;
  --live_;
}

void ItemObjects::after_nursery() {
  while (Anchor* anchor = young_) {
    young_ = anchor->next;
    if (!anchor->tenured) give(anchor);
  }
}

bool ItemObjects::define_top(JSContext* cx, JS::HandleObject object, JS::HandleId id, std::string_view name,
                             unsigned flags) {
  Anchor* anchor = anchor_of(object);
  const auto* value = anchor->arena.make<item::Value>(item::member(*anchor->item, name, anchor->arena));
  JS::RootedValue made(cx);
  return to_js(cx, object, value, has_plain_names(name, *value), &made) &&
         JS_DefinePropertyById(cx, object, id, made, flags);
}

bool ItemObjects::resolve_top(JSContext* cx, JS::HandleObject object, JS::HandleId id, bool* resolved) {
  JSString* wanted = id.toString();
  for (size_t i = 0; i < atoms_.size(); ++i)
    if (atoms_[i] == wanted) {
      *resolved = true;
      return define_top(cx, object, id, names_[i], JSPROP_ENUMERATE);
    }
  std::array<char, 256> buffer;
  const std::string_view name = name_of(cx, id, buffer);
  if (name.empty()) return true;
  std::array<char, 64> lower;
  const std::string_view spelling = name == "pcapFile" ? "stream" : json_spelling(name, lower);
  const auto known = std::find(names_.begin(), names_.end(), spelling);
  if (spelling.empty() || known == names_.end()) return true;
  JS::RootedValue made(cx);  // through the other name, so both are one object
  if (!JS_GetProperty(cx, object, known->c_str(), &made)) return false;
  *resolved = true;
  return JS_DefinePropertyById(cx, object, id, made, 0);
}

bool ItemObjects::enumerate_top(JSContext* cx, JS::HandleObject object) {
  JS::RootedId id(cx);
  JS::RootedString atom(cx);
  for (size_t i = 0; i < atoms_.size(); ++i) {
    atom = atoms_[i];
    bool has = false;
    if (!JS_StringToId(cx, atom, &id) || !JS_AlreadyHasOwnPropertyById(cx, object, id, &has)) return false;
    if (!has && !define_top(cx, object, id, names_[i], JSPROP_ENUMERATE)) return false;
  }
  JS::SetReservedSlot(object, kComplete, JS::TrueValue());
  return true;
}

}  // namespace baleen::script
