#pragma once

#include <cstdint>
#include <string_view>

#include "dissect/dissector.h"

// memcached's binary protocol (protocol-binary.txt).

namespace baleen::dissect::memcached {

constexpr size_t kBinaryHead = 24;
constexpr uint8_t kBinaryStat = 0x10;

/// Empty for what has no name.
std::string_view opcode_name(uint8_t opcode);
std::string_view status_name(uint16_t status);
/// Whether a command is answered only where its plain form would not be (errors; hits of get).
bool is_quiet(uint8_t opcode);
/// Whether a message of the binary protocol can stand here. REQUIRES: `b` is not empty.
Probe binary_at(Direction d, Bytes b);

}  // namespace baleen::dissect::memcached
