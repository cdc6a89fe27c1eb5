#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace baleen::item {

struct Member;

/// A JSON-like value in 16 bytes: scalars inline, text, lists and maps as views of an arena's bytes.
///
/// Copying copies the view, never the content. Every accessor is total: asked for what it is not, a value
/// answers with the empty thing of that kind. Maps keep the order in which their members were written and may
/// repeat a name; find() gives the first.
class Value {
 public:
  enum class Type : uint8_t { kNull, kBool, kInt, kDouble, kString, kBytes, kList, kMap };

  constexpr Value() : int_(0) {}
  constexpr Value(bool b) : int_(b ? 1 : 0), type_(Type::kBool) {}
  constexpr Value(int i) : int_(i), type_(Type::kInt) {}
  constexpr Value(unsigned i) : int_(i), type_(Type::kInt) {}
  constexpr Value(int64_t i) : int_(i), type_(Type::kInt) {}
  /// Beyond the range of int64 the nearest that fits.
  constexpr Value(uint64_t i) : int_(i > INT64_MAX ? INT64_MAX : static_cast<int64_t>(i)), type_(Type::kInt) {}
  constexpr Value(double d) : double_(d), type_(Type::kDouble) {}
  constexpr Value(std::string_view text)
      : text_(text.data()), size_(static_cast<uint32_t>(text.size())), type_(Type::kString) {}
  constexpr Value(const char* text) : Value(std::string_view(text)) {}
  /// Bytes that are not text; JSON shows them in base64.
  static Value bytes(Bytes b) {
    Value v(as_text(b));
    v.type_ = Type::kBytes;
    return v;
  }
  static Value list(std::span<const Value> elements) {
    Value v;
    v.list_ = elements.data();
    v.size_ = static_cast<uint32_t>(elements.size());
    v.type_ = Type::kList;
    return v;
  }
  /// `fold_case`: names are looked up without regard to ASCII case, as those of header fields are.
  static Value map(std::span<const Member> members, bool fold_case = false) {
    Value v;
    v.map_ = members.data();
    v.size_ = static_cast<uint32_t>(members.size());
    v.type_ = Type::kMap;
    v.fold_case_ = fold_case;
    return v;
  }

  Type type() const { return type_; }
  bool is_null() const { return type_ == Type::kNull; }
  bool is_number() const { return type_ == Type::kInt || type_ == Type::kDouble; }
  bool is_string() const { return type_ == Type::kString; }
  bool is_list() const { return type_ == Type::kList; }
  bool is_map() const { return type_ == Type::kMap; }
  bool folds_case() const { return fold_case_; }

  bool as_bool() const { return type_ == Type::kBool && int_ != 0; }
  /// Numbers only; a double is cut to its integer part, within range.
  int64_t as_int() const;
  double as_double() const {
    return type_ == Type::kDouble ? double_ : type_ == Type::kInt ? static_cast<double>(int_) : 0;
  }
  /// Strings and bytes.
  std::string_view text() const {
    return type_ == Type::kString || type_ == Type::kBytes ? std::string_view(text_, size_) : std::string_view();
  }
  std::span<const Value> elements() const {
    return type_ == Type::kList ? std::span<const Value>(list_, size_) : std::span<const Value>();
  }
  inline std::span<const Member> members() const;
  /// Characters, elements or members.
  size_t size() const { return type_ >= Type::kString ? size_ : 0; }

  /// The first member of that name, or null where there is none; first exact, then (if the map folds case) alike.
  const Value* find(std::string_view name) const;
  /// The same, with a null value for a missing member.
  Value operator[](std::string_view name) const {
    const Value* v = find(name);
    return v != nullptr ? *v : Value();
  }

 private:
  union {
    int64_t int_;
    double double_;
    const char* text_;
    const Value* list_;
    const Member* map_;
  };
  uint32_t size_ = 0;
  Type type_ = Type::kNull;
  bool fold_case_ = false;
};
static_assert(sizeof(Value) == 16);

struct Member {
  std::string_view name;
  Value value;
};

inline std::span<const Member> Value::members() const {
  return type_ == Type::kMap ? std::span<const Member>(map_, size_) : std::span<const Member>();
}

/// Deep equality; numbers compare by value, maps without regard to order.
bool operator==(const Value& a, const Value& b);

}  // namespace baleen::item
