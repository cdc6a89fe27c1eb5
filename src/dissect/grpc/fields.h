#pragma once

#include "item/protocol.h"

namespace baleen::dissect::grpc {

inline constexpr std::string_view kMessagesDoc =
    "Messages with size, compressed (then decodedSize, or undecoded where that cannot be undone) and what they say: by "
    "their descriptor type and message, without one fields by protobuf's wire format: number, type, value. One of them "
    "by its index, from 0: `request.grpc.messages[0].message.name`.";

/// What can be asked of a call beside what can be asked of the HTTP that carries it.
inline constexpr item::Field kFields[] = {
    {"request.grpc.service", "request.grpc.service", item::FieldType::kString,
     "The service called, with its package: \"helloworld.Greeter\"."},
    {"request.grpc.method", "request.grpc.method", item::FieldType::kString, "The method called."},
    {"request.grpc.kind", "request.grpc.kind", item::FieldType::kString,
     "unary, client streaming, server streaming or bidirectional streaming, where the method's descriptor is known."},
    {"request.grpc.timeout", "request.grpc.timeout", item::FieldType::kString,
     "The deadline that the client sets, as sent: \"10S\"."},
    {"request.grpc.timeoutMs", "request.grpc.timeoutMs", item::FieldType::kDouble, "The same in milliseconds."},
    {"request.grpc.encoding", "request.grpc.encoding", item::FieldType::kString,
     "How compressed messages are compressed."},
    {"request.grpc.messageCount", "request.grpc.messageCount", item::FieldType::kInt, "Messages that the client sent."},
    {"request.grpc.messages", "request.grpc.messages", item::FieldType::kList, kMessagesDoc},
    {"request.grpc.incomplete", "request.grpc.incomplete", item::FieldType::kBool,
     "The last message is not there as a whole."},
    {"request.grpc.cut", "request.grpc.cut", item::FieldType::kBool,
     "The body is longer than what is kept, or bytes of it were lost."},
    {"response.grpc.status", "response.grpc.status", item::FieldType::kInt,
     "gRPC's status code; missing when the call has not ended."},
    {"response.grpc.statusName", "response.grpc.statusName", item::FieldType::kString,
     "The same by name: \"NOT_FOUND\"."},
    {"response.grpc.statusMessage", "response.grpc.statusMessage", item::FieldType::kString,
     "What the server says about it, decoded."},
    {"response.grpc.statusDetails", "response.grpc.statusDetails", item::FieldType::kMap,
     "google.rpc.Status: code, message and details, those of known types by their fields."},
    {"response.grpc.trailersOnly", "response.grpc.trailersOnly", item::FieldType::kBool,
     "The answer is nothing but a status."},
    {"response.grpc.encoding", "response.grpc.encoding", item::FieldType::kString,
     "How compressed messages are compressed."},
    {"response.grpc.messageCount", "response.grpc.messageCount", item::FieldType::kInt,
     "Messages that the server sent."},
    {"response.grpc.messages", "response.grpc.messages", item::FieldType::kList, kMessagesDoc},
    {"response.grpc.incomplete", "response.grpc.incomplete", item::FieldType::kBool,
     "The last message is not there as a whole."},
    {"response.grpc.cut", "response.grpc.cut", item::FieldType::kBool,
     "The body is longer than what is kept, or bytes of it were lost."},
};

}  // namespace baleen::dissect::grpc
