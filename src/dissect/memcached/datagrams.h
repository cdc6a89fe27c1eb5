#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace baleen::dissect::memcached {

/// The head of a datagram (protocol.txt, "UDP protocol").
struct DatagramHead {
  uint16_t request, part, parts;
};
constexpr size_t kDatagramHead = 8;
std::optional<DatagramHead> datagram_at(Bytes b);

}  // namespace baleen::dissect::memcached
