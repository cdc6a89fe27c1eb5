#pragma once

#include <string_view>

#include "dissect/dissector.h"
#include "dissect/grpc/descriptors.h"

// gRPC on HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) and gRPC-Web on any HTTP
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md): what the bodies and fields of a finished exchange
// mean. It has no session: that of HTTP carries it.

namespace baleen::dissect::grpc {

extern const item::Protocol kWebProtocol;  // gRPC-Web over HTTP/1

/// Whether a Content-Type is gRPC's: "application/grpc", "application/grpc+proto".
bool is_grpc(std::string_view content_type);
/// Whether it is gRPC-Web's: "application/grpc-web+proto", "application/grpc-web-text".
bool is_web(std::string_view content_type);

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

/// The value of `request.grpc` and `response.grpc`; text is viewed or put into the arena. `path`: of the request;
/// `timeout`: its Grpc-Timeout. Trailers in the body of a response (gRPC-Web) are put into `ending`.
item::Value request_value(std::string_view path, std::string_view timeout, const Half& half, Arena& arena, Output& out);
item::Value response_value(std::string_view path, const Half& half, Ending& ending, Arena& arena, Output& out);

/// Whether a call to that path asks a server for its types.
bool is_reflection(std::string_view path);
/// Adds what these answers of reflection tell of the server's types to Settings::descriptors, from the message at
/// `from` on; returns where the first one begins that is not there as a whole.
size_t learn(std::string_view body, size_t from, std::string_view encoding, Output& out);

}  // namespace baleen::dissect::grpc
