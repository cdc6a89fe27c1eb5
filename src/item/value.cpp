#include "item/value.h"

#include <cmath>

namespace baleen::item {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool alike(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

bool equal_maps(const Value& a, const Value& b) {
  if (a.size() != b.size()) return false;
  for (const Member& m : a.members()) {
    const Value* other = b.find(m.name);
    if (other == nullptr || !(*other == m.value)) return false;
  }
  return true;
}

}  // namespace

int64_t Value::as_int() const {
  if (type_ == Type::kInt) return int_;
  if (type_ != Type::kDouble || std::isnan(double_)) return 0;
  if (double_ >= 9223372036854775808.0) return INT64_MAX;
  if (double_ <= -9223372036854775808.0) return INT64_MIN;
  return static_cast<int64_t>(double_);
}

const Value* Value::find(std::string_view name) const {
  const auto all = members();
  for (const Member& m : all)
    if (m.name == name) return &m.value;
  if (!fold_case_) return nullptr;
  for (const Member& m : all)
    if (alike(m.name, name)) return &m.value;
  return nullptr;
}

bool operator==(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.type() == b.type() && a.type() == Value::Type::kInt) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Value::Type::kNull: return true;
    case Value::Type::kBool: return a.as_bool() == b.as_bool();
    case Value::Type::kString:
    case Value::Type::kBytes: return a.text() == b.text();
    case Value::Type::kList: {
      const auto x = a.elements(), y = b.elements();
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i)
        if (!(x[i] == y[i])) return false;
      return true;
    }
    case Value::Type::kMap: return equal_maps(a, b);
    default: return false;
  }
}

}  // namespace baleen::item
