#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::kafka {

/// The types of https://kafka.apache.org/protocol#protocol_types.
enum class Type : uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint16,
  kUuid,
  kDouble,
  kString,
  kBytes,
  kRecords,
  kSubscription,  // bytes that hold a message of the consumers' own protocol
  kAssignment,
  kStruct
};

/// One field of a message; a structure's own fields lie behind one another in the same table.
struct Node {
  std::string_view name;
  Type type = Type::kStruct;
  bool is_array = false;
  bool is_topic = false;  // goes into the summary
  bool is_error = false;  // an error code
  bool is_secret = false;
  int16_t first_version = 0, last_version = INT16_MAX;
  int16_t tag = -1;  // >= 0: stands among the tagged fields
  std::span<const Node> fields{};
};

/// An operation: number, names, the last version that its texts describe, and the first that is flexible (KIP-482).
struct Api {
  int16_t key = -1;
  std::string_view name;  // "Produce"
  int16_t last_version = 0;
  int16_t flexible_from = 0;  // INT16_MAX: none
  std::span<const Node> request{}, response{};
  bool is_described = false;  // whether request and response are known
};

/// The operation of that number, or null. The tables are built from their texts at the first call; any thread.
const Api* find_api(int key);

/// "UNKNOWN_TOPIC_OR_PARTITION"; empty for a number that is not known.
std::string_view error_name(int code);

/// What a message says beside its payload.
struct Findings {
  std::string_view summary;  // topics, separated by commas
  int error = 0;             // the first error code that is not zero
  bool no_answer = false;    // Produce with acks=0
  bool ok = true;            // every field was there
};

/// Decodes the fields of a message that `reader` stands before. `bytes` behind the reader live as long as the arena.
item::Value decode(std::span<const Node> fields, int version, bool flexible, ByteReader& reader, size_t cap,
                   Arena& arena, Findings& findings);

/// Whether the fields fill the rest of the reader exactly; makes nothing.
bool fits(std::span<const Node> fields, int version, bool flexible, ByteReader& reader);

/// Base-128 numbers, least significant first; `signed_varint` undoes zigzag.
uint64_t varint(ByteReader& reader);
int64_t signed_varint(ByteReader& reader);
/// Skips the tagged fields of KIP-482.
void skip_tags(ByteReader& reader);

}  // namespace baleen::dissect::kafka
