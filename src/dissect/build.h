#pragma once

// Lists and maps of values whose number is not known beforehand: they grow on the stack, then in an arena.

#include <algorithm>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/arena.h"
#include "dissect/text.h"
#include "item/value.h"

namespace baleen::dissect {

/// At most kMost elements are kept; what comes beyond is only counted.
template <class T, size_t kInline>
class Growing {
 public:
  static constexpr size_t kMost = 4096;

  explicit Growing(Arena& arena) : arena_(arena) {}
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;

  void push(const T& value) {
    ++seen_;
    if (size_ == room_) {
      if (size_ >= kMost) return;
      grow();
    }
    new (at_ + size_++) T(value);
  }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  /// How many were pushed, kept or not.
  size_t seen() const { return seen_; }
  std::span<const T> kept() const { return {at_, size_}; }
  /// What was collected, in the arena.
  std::span<const T> take() {
    if (size_ == 0) return {};
    if (at_ != first_) return {at_, size_};
    T* to = static_cast<T*>(arena_.allocate(size_ * sizeof(T), alignof(T)));
    std::uninitialized_copy(at_, at_ + size_, to);
    return {to, size_};
  }

 protected:
  Arena& arena_;

 private:
  void grow() {
    T* to = static_cast<T*>(arena_.allocate(room_ * 2 * sizeof(T), alignof(T)));
    std::uninitialized_copy(at_, at_ + size_, to);
    at_ = to;
    room_ *= 2;
  }

  union {
    T first_[kInline];
  };
  T* at_ = first_;
  size_t size_ = 0, room_ = kInline, seen_ = 0;
};

class ListOf final : public Growing<item::Value, 16> {
 public:
  using Growing::Growing;
  item::Value build() { return item::Value::list(take()); }
};

/// Names are not copied: they live as long as the arena, or are constants.
class MapOf final : public Growing<item::Member, 20> {
 public:
  using Growing::Growing;
  void add(std::string_view name, item::Value value) { push({name, value}); }
  /// Leaves out what is empty.
  void add_text(std::string_view name, std::string_view text) {
    if (!text.empty()) add(name, item::Value(text));
  }
  item::Value build() { return item::Value::map(take()); }
};

/// Bytes in lower-case hexadecimal.
inline std::string_view hex(Bytes bytes, Arena& arena) {
  char* const out = static_cast<char*>(arena.allocate(bytes.size() * 2 + 1, 1));
  for (size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  return {out, bytes.size() * 2};
}

/// Parts one after the other, in the arena.
inline std::string_view join(std::initializer_list<std::string_view> parts, Arena& arena) {
  size_t size = 0;
  for (const auto part : parts) size += part.size();
  char* const out = static_cast<char*>(arena.allocate(size + 1, 1));
  char* at = out;
  for (const auto part : parts) at = std::copy(part.begin(), part.end(), at);
  return {out, size};
}

/// A number in decimal, in the arena.
inline std::string_view decimal(uint64_t n, Arena& arena) {
  char digits[20];
  char* at = digits + sizeof digits;
  do *--at = static_cast<char>('0' + n % 10);
  while ((n /= 10) != 0);
  return arena.copy(std::string_view(at, static_cast<size_t>(digits + sizeof digits - at)));
}

/// An IPv4 address, or (16 bytes) an IPv6 address, as text; other lengths in hexadecimal.
std::string_view address_text(Bytes address, Arena& arena);

/// ASCII only.
inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
inline char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
inline std::string_view lower(std::string_view text, Arena& arena) {
  char* const out = static_cast<char*>(arena.allocate(text.size() + 1, 1));
  std::transform(text.begin(), text.end(), out, [](char c) { return lower(c); });
  return {out, text.size()};
}
inline std::string_view upper(std::string_view text, Arena& arena) {
  char* const out = static_cast<char*>(arena.allocate(text.size() + 1, 1));
  std::transform(text.begin(), text.end(), out, [](char c) { return upper(c); });
  return {out, text.size()};
}
inline bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}
inline bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() && same_word(text.substr(0, word.size()), word);
}
/// Printable ASCII.
inline bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

/// A name by its number, in a table that need not be sorted; empty when it is not there.
struct Name {
  uint32_t number;
  std::string_view name;
};
inline std::string_view name_in(std::span<const Name> table, uint32_t number) {
  for (const Name& n : table)
    if (n.number == number) return n.name;
  return {};
}

}  // namespace baleen::dissect
