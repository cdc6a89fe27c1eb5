#pragma once

#include <cstdint>
#include <string>

#include "worker/packet_dump.h"

// Private to packet_dump.cpp and dump_reader.cpp: what frames look like. Both ends are on one machine.

namespace baleen::worker {

struct DumpFrame {
  uint32_t kind, size;
};
constexpr uint32_t kDumpPackets = 1;     // records
constexpr uint32_t kDumpInterfaces = 2;  // JSON: [{"name":"eth0","link":1}], all of them
constexpr uint32_t kDumpProgress = 3;    // JSON: a DumpProgress
constexpr uint32_t kLargestDumpFrame = 64 << 20;

/// A packet: its bytes follow, and nothing up to a multiple of eight.
struct DumpRecord {
  int64_t time_ns;
  uint64_t stream;
  uint32_t captured, wire_length, interface;
  uint16_t link;
  uint8_t kind;
  uint8_t reserved;
};
static_assert(sizeof(DumpRecord) == 32);

constexpr size_t record_size(uint32_t captured) { return (sizeof(DumpRecord) + captured + 7) & ~size_t{7}; }

}  // namespace baleen::worker
