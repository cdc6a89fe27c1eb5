#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace baleen::kfl {

/// A type of CEL as the checker knows it.
struct Type {
  enum class Kind : uint8_t {
    kDyn,
    kNull,
    kBool,
    kInt,
    kUint,
    kDouble,
    kString,
    kBytes,
    kTimestamp,
    kDuration,
    kList,       // one parameter
    kMap,        // two
    kOptional,   // one
    kType,       // one: the type of a type
    kAbstract,   // named, with parameters
    kParameter,  // "A" of a generic signature, or a type that is not known yet
    kError,      // a mistake was said already
  };
  Kind kind = Kind::kDyn;
  std::string name;
  std::vector<const Type*> parameters;
  uint32_t id = 0;  // kParameter: which one
};

/// Makes types; they live as long as the pool.
class TypePool {
 public:
  const Type* make(Type::Kind kind, std::vector<const Type*> parameters = {}, std::string name = {}) {
    Type& t = types_.emplace_back();
    t.kind = kind, t.parameters = std::move(parameters), t.name = std::move(name);
    return &t;
  }
  const Type* fresh() {
    Type& t = types_.emplace_back();
    t.kind = Type::Kind::kParameter, t.id = ++next_, t.name = "_" + std::to_string(next_);
    return &t;
  }

 private:
  std::deque<Type> types_;
  uint32_t next_ = 0;
};

/// "list(map(string, dyn))".
std::string to_string(const Type& type);

}  // namespace baleen::kfl
