#pragma once

#include <string_view>

#include "dissect/dissector.h"

// gRPC on HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): what the bodies and fields of a
// finished stream mean. It has no session: HTTP/2's carries it.

namespace baleen::dissect::grpc {

/// Whether a Content-Type is gRPC's: "application/grpc", "application/grpc+proto".
bool is_grpc(std::string_view content_type);

/// One direction of a call.
struct Half {
  std::string_view content_type;
  std::string_view encoding;  // Grpc-Encoding: of messages whose flag says that they are compressed
  std::string_view body;      // as far as it was kept
  bool cut;                   // there was more, or bytes in between were lost
};

/// How a call ended (Trailers, or a response that is nothing but these).
struct Ending {
  std::string_view status, message, details;  // Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin
  bool trailers_only = false;
};

/// The value of `request.grpc` and `response.grpc`; text is viewed or put into the arena.
item::Value request_value(std::string_view path, const Half& half, Arena& arena, Output& out);
item::Value response_value(const Half& half, const Ending& ending, Arena& arena, Output& out);

/// A protobuf message by its wire format alone: a list of {number, type, value}. Where bytes can be text, a message or
/// neither, what they most likely are. Nothing when it is no message.
item::Value wire_message(Bytes message, Arena& arena);

}  // namespace baleen::dissect::grpc
