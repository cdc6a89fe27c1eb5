#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "item/value.h"

// What Redis's items hold.

namespace baleen::dissect::redis {

/// What a command says. `args` includes the verb and lives in the arena.
item::Value command_payload(std::string_view type, std::span<const item::Value> args, uint64_t count, bool truncated,
                            bool transaction, uint64_t verb, Arena& arena);
/// What a reply says; `type` is its first character, `count` the elements that it announced.
item::Value reply_payload(char type, const item::Value& value, uint64_t count, bool truncated, Arena& arena);
/// RESP's name of a type: "Bulk String".
std::string_view type_name(char type);
/// All of a value, in another arena.
item::Value copy_into(Arena& arena, const item::Value& v);

}  // namespace baleen::dissect::redis
