#pragma once

#include "base/arena.h"
#include "dissect/grpc/descriptors.h"
#include "item/value.h"

namespace baleen::dissect::grpc {

/// What may still be made of messages: bounds the work that a sender can cause.
struct Budget {
  size_t records = 16384;  // fields and elements
  bool cut = false;        // it did not suffice: something was left out
};

/// A message of that type as JSON shows it (https://protobuf.dev/programming-guides/json/), fields by the names of the
/// .proto file: enums by name, bytes as bytes, well-known types as what they stand for. Fields that the type does not
/// have, or whose bytes do not fit it, stand by their numbers under "?", as wire_message() gives them. Null when the
/// bytes are no message.
item::Value decode_message(Bytes bytes, const codec::MessageType& type, const Types& types, Budget& budget,
                           Arena& arena);

/// A protobuf message by its wire format alone: a list of {number, type, value}. Where bytes can be text, a message or
/// neither, what they most likely are. Null when it is no message.
item::Value wire_message(Bytes bytes, Budget& budget, Arena& arena);

}  // namespace baleen::dissect::grpc
