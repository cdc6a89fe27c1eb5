#pragma once

#include "dissect/http/draft.h"
#include "dissect/http2/hpack.h"

namespace baleen::dissect::http2 {

/// A stream that is not over, in its item's arena.
struct Stream {
  item::Item* item = nullptr;
  Stream* newer = nullptr;
  Stream* older = nullptr;
  uint32_t id = 0;
  bool request_done = false, response_done = false;
  bool doubtful = false;   // bytes were lost while it was open: its end may have been among them
  bool reflects = false;   // a server tells its types (grpc::is_reflection)
  uint32_t learnt = 0;     // ... bytes of the answers that were learnt from
  std::string_view error;  // it was reset or refused
  http::Draft request, response;

  http::Draft& half(bool is_response) { return is_response ? response : request; }
};

/// Fills a draft from the field block that begins it. `size`: bytes of the block.
void start_request(Stream& stream, const Block& block, size_t size);
/// The same for a response; false for an interim one (1xx), which is put aside.
bool start_response(Stream& stream, const Block& block, size_t size);
void add_trailers(http::Draft& draft, const Block& block);

/// Whether the block begins a message of that direction, and is not its trailers, as far as it can be told.
bool begins_message(const Block& block, bool is_response);

/// Whether this answer makes the stream a WebSocket (RFC 8441 5).
bool opens_websocket(Stream& stream);
/// Learns from what has come of a server's answers about its types.
void learn(Stream& stream, Output& out);

/// Completes both payloads and the outcome; turns it into gRPC's item where it is that.
void complete(Stream& stream, Output& out);

}  // namespace baleen::dissect::http2
