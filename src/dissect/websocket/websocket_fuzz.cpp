#include "dissect/fuzz.h"
#include "dissect/websocket/websocket.h"

namespace baleen::dissect::websocket {
namespace {

struct Plain final : Websocket {};
struct Deflated final : Websocket {
  Deflated() { agree("permessage-deflate"); }
};
struct Forgetful final : Websocket {
  Forgetful() {
    agree(
        "x-mux, permessage-deflate; server_no_context_takeover; client_max_window_bits=\"9\"; client_max_window_bits");
  }
};

}  // namespace
}  // namespace baleen::dissect::websocket

/// The first byte chooses cuts (as everywhere) and, by its two highest bits, what was agreed on.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen::dissect;
  if (size < 1) return 0;
  switch (data[0] >> 6) {
    case 0: return fuzz<websocket::Plain>(data, size);
    case 1: return fuzz<websocket::Forgetful>(data, size);
    default: return fuzz<websocket::Deflated>(data, size);
  }
}
