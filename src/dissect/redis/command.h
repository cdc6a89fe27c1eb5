#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "item/value.h"

namespace baleen::dissect::redis {

/// A verb of up to eight letters as one number, letters in upper case; 0 for others.
constexpr uint64_t verb_id(std::string_view verb) {
  if (verb.empty() || verb.size() > 8) return 0;
  uint64_t id = 0;
  for (size_t i = 0; i < verb.size(); ++i) {
    const auto c = static_cast<uint8_t>(verb[i]);
    id |= uint64_t{static_cast<uint8_t>(c >= 'a' && c <= 'z' ? c - 32 : c)} << (8 * i);
  }
  return id;
}

/// What a command line means, by position; views of the arguments. https://redis.io/docs/latest/commands/
struct Command {
  std::string_view key;                         // the first key, or the channel
  item::Value value;                            // what is written under it, when it is one thing
  std::string_view keyword;                     // subcommand: CONFIG GET, CLIENT REPLY
  uint32_t secret_first = 0, secret_count = 0;  // arguments that are passwords, by number; the verb is argument 0
  std::string_view user;                        // of AUTH and HELLO
};
Command understand(uint64_t verb, std::span<const item::Value> args);

/// Whether a text line that begins a connection can only be an inline command of this protocol.
bool only_ours(std::string_view verb);

/// Case does not count.
bool same_word(std::string_view a, std::string_view upper);

}  // namespace baleen::dissect::redis
