#include "kfl/datum.h"

#include <fmt/format.h>

namespace baleen::kfl {

item::Value to_value(const Datum& d, Arena& arena) {
  using item::Value;
  switch (d.kind) {
    case Kind::kBool: return Value(d.boolean);
    case Kind::kInt: return Value(d.integer);
    case Kind::kUint: return d.natural > INT64_MAX ? Value(static_cast<double>(d.natural)) : Value(d.natural);
    case Kind::kDouble: return Value(d.real);
    case Kind::kString:
    case Kind::kType: return Value(d.text());
    case Kind::kBytes: return Value::bytes(as_bytes(d.text()));
    case Kind::kItemList: return Value::list({d.items, d.size});
    case Kind::kItemMap: return Value::map({d.members, d.size}, d.fold_case);
    case Kind::kList: {
      const auto elements = arena.array<Value>(d.size);
      for (size_t i = 0; i < elements.size(); ++i) elements[i] = to_value(d.list[i], arena);
      return Value::list(elements);
    }
    case Kind::kMap: {
      const auto members = arena.array<item::Member>(d.size);
      for (size_t i = 0; i < members.size(); ++i) {
        const Datum key = d.entries[i].key;
        std::string_view name = key.text();
        if (key.is(Kind::kInt)) name = arena.copy(fmt::format("{}", key.integer));
        if (key.is(Kind::kUint)) name = arena.copy(fmt::format("{}", key.natural));
        if (key.is(Kind::kBool)) name = key.boolean ? "true" : "false";
        members[i] = {name, to_value(d.entries[i].value, arena)};
      }
      return Value::map(members);
    }
    case Kind::kOptional: return d.inner != nullptr ? to_value(*d.inner, arena) : Value();
    case Kind::kTimestamp:
    case Kind::kDuration: return Value(arena.copy(fmt::format("{}.{:09}s", d.integer, d.nanos())));
    default: return {};
  }
}

}  // namespace baleen::kfl
