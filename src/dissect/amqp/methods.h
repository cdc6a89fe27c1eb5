#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::amqp {

/// What a method is to its conversation (AMQP 0-9-1, 1.4 and the class definitions).
enum class Role : uint8_t {
  kCall,     // is answered by a method of its own
  kAnswer,   // is that answer
  kAlone,    // stands for itself
  kContent,  // stands for itself and carries a content: a header frame and body frames follow
};

struct Method {
  uint16_t class_id, method_id;
  std::string_view name;  // "basic.publish"
  Role role;
  std::string_view fields;  // "reserved1:H queue:s passive:b"; methods.cpp says the letters
};

/// The method of these numbers, or null.
const Method* find_method(uint16_t class_id, uint16_t method_id);
/// Whether `answer` is what `call` waits for: get-ok and get-empty answer get, secure and tune answer start-ok.
bool answers(const Method& call, const Method& answer);

/// The arguments of a method as a map; sets `ok` to whether all were there. `bytes` live as long as the arena.
item::Value decode_arguments(const Method& method, ByteReader& reader, Arena& arena);
/// The properties of a content header (class basic).
item::Value decode_properties(ByteReader& reader, Arena& arena);

}  // namespace baleen::dissect::amqp
