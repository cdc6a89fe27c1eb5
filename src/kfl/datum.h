#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "item/value.h"

namespace re2 {
class RE2;
}

namespace baleen::kfl {

/// What a value of an expression is. The first rows are CEL's types; the last three never leave an evaluation.
enum class Kind : uint8_t {
  kNull,
  kBool,
  kInt,
  kUint,
  kDouble,
  kString,
  kBytes,
  kList,      // made by an expression: Datums
  kItemList,  // part of an item: item::Values, looked at in place
  kMap,
  kItemMap,
  kTimestamp,
  kDuration,
  kType,
  kOptional,
  kRegex,    // KFL v1 only
  kMissing,  // KFL v1 only: a path that is not there ("collapse")
  kError,
};

struct Entry;

/// A value while an expression is evaluated, in 16 bytes; what it points to lives in the item, in the program or in the
/// evaluation's arena.
struct Datum {
  union {
    bool boolean;
    int64_t integer;  // also the seconds of timestamps and durations
    uint64_t natural;
    double real;
    const char* chars;
    const Datum* list;
    const item::Value* items;
    const Entry* entries;
    const item::Member* members;
    const Datum* inner;  // optional: null when empty
    const re2::RE2* regex;
  };
  uint32_t size = 0;  // bytes, elements, entries; nanoseconds of timestamps (0..) and durations (sign of the seconds)
  Kind kind = Kind::kNull;
  bool fold_case = false;  // kItemMap: names are looked up without regard to case

  constexpr Datum() : integer(0) {}
  static Datum of(bool b) {
    return make(Kind::kBool, [&](Datum& d) { d.integer = 0, d.boolean = b; });
  }
  static Datum of(int64_t i) {
    return make(Kind::kInt, [&](Datum& d) { d.integer = i; });
  }
  static Datum of(uint64_t u) {
    return make(Kind::kUint, [&](Datum& d) { d.natural = u; });
  }
  static Datum of(double r) {
    return make(Kind::kDouble, [&](Datum& d) { d.real = r; });
  }
  static Datum text(std::string_view s, Kind kind = Kind::kString) {
    return make(kind, [&](Datum& d) { d.chars = s.data(), d.size = static_cast<uint32_t>(s.size()); });
  }
  static Datum of(std::span<const Datum> l) {
    return make(Kind::kList, [&](Datum& d) { d.list = l.data(), d.size = static_cast<uint32_t>(l.size()); });
  }
  static Datum of(std::span<const Entry> m) {
    return make(Kind::kMap, [&](Datum& d) { d.entries = m.data(), d.size = static_cast<uint32_t>(m.size()); });
  }
  static Datum of(const item::Value& v);
  static Datum timestamp(int64_t seconds, int32_t nanos) { return time(Kind::kTimestamp, seconds, nanos); }
  static Datum duration(int64_t seconds, int32_t nanos) { return time(Kind::kDuration, seconds, nanos); }
  static Datum optional(const Datum* inner) {
    return make(Kind::kOptional, [&](Datum& d) { d.inner = inner; });
  }
  static Datum of(const re2::RE2* r) {
    return make(Kind::kRegex, [&](Datum& d) { d.regex = r; });
  }
  static Datum missing() {
    return make(Kind::kMissing, [](Datum&) {});
  }
  /// `message` must live as long as the evaluation: a constant, or in its arena.
  static Datum error(std::string_view message) { return text(message, Kind::kError); }

  bool is(Kind k) const { return kind == k; }
  bool is_error() const { return kind == Kind::kError; }
  bool is_number() const { return kind == Kind::kInt || kind == Kind::kUint || kind == Kind::kDouble; }
  bool is_list() const { return kind == Kind::kList || kind == Kind::kItemList; }
  bool is_map() const { return kind == Kind::kMap || kind == Kind::kItemMap; }
  bool is_true() const { return kind == Kind::kBool && boolean; }
  bool is_false() const { return kind == Kind::kBool && !boolean; }
  /// Strings, bytes, type names and error messages.
  std::string_view text() const { return {chars, size}; }
  int32_t nanos() const { return static_cast<int32_t>(size); }
  /// REQUIRES: is_list() and i < size.
  inline Datum element(size_t i) const;
  /// REQUIRES: is_map() and i < size.
  inline Datum key(size_t i) const;
  inline Datum value(size_t i) const;

 private:
  template <class F>
  static Datum make(Kind kind, F set) {
    Datum d;
    set(d);
    d.kind = kind;
    return d;
  }
  static Datum time(Kind kind, int64_t seconds, int32_t nanos) {
    return make(kind, [&](Datum& d) { d.integer = seconds, d.size = static_cast<uint32_t>(nanos); });
  }
};
static_assert(sizeof(Datum) == 16);

struct Entry {
  Datum key, value;
};

inline Datum Datum::of(const item::Value& v) {
  using Type = item::Value::Type;
  switch (v.type()) {
    case Type::kNull: return {};
    case Type::kBool: return of(v.as_bool());
    case Type::kInt: return of(v.as_int());
    case Type::kDouble: return of(v.as_double());
    case Type::kString: return text(v.text());
    case Type::kBytes: return text(v.text(), Kind::kBytes);
    case Type::kList:
      return make(Kind::kItemList,
                  [&](Datum& d) { d.items = v.elements().data(), d.size = static_cast<uint32_t>(v.size()); });
    case Type::kMap:
      return make(Kind::kItemMap, [&](Datum& d) {
        d.members = v.members().data(), d.size = static_cast<uint32_t>(v.size()), d.fold_case = v.folds_case();
      });
  }
  return {};
}

inline Datum Datum::element(size_t i) const { return kind == Kind::kItemList ? of(items[i]) : list[i]; }
inline Datum Datum::key(size_t i) const { return kind == Kind::kItemMap ? text(members[i].name) : entries[i].key; }
inline Datum Datum::value(size_t i) const { return kind == Kind::kItemMap ? of(members[i].value) : entries[i].value; }

/// The same value as a part of an item; what has no JSON form (types, optionals) becomes text or null. Lists and maps
/// are made in `arena`.
item::Value to_value(const Datum& d, Arena& arena);

}  // namespace baleen::kfl
