#pragma once

// Frames for tests and benchmarks, written as RFC 6455 5.2 and RFC 7692 7.2.1 say.

#include <zlib.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include "dissect/test_bytes.h"
#include "dissect/websocket/frame.h"

namespace baleen::dissect::websocket {

/// `reserved`: 4 is RSV1.
inline std::string frame(uint8_t opcode, std::string_view payload, bool fin = true, int reserved = 0,
                         std::string_view mask = {}) {
  std::string out(1, static_cast<char>((fin ? 0x80 : 0) | reserved << 4 | opcode));
  const uint64_t masked = mask.empty() ? 0 : 0x80;
  if (payload.size() < 126) {
    out += be(masked | payload.size(), 1);
  } else if (payload.size() < 1 << 16) {
    out += be(masked | 126, 1) + be(payload.size(), 2);
  } else {
    out += be(masked | 127, 1) + be(payload.size(), 8);
  }
  out += mask;
  for (size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(mask.empty() ? payload[i] : payload[i] ^ mask[i & 3]);
  return out;
}
inline std::string masked(uint8_t opcode, std::string_view payload, bool fin = true, int reserved = 0,
                          std::string_view mask = "\x12\xe4\x5a\x07") {
  return frame(opcode, payload, fin, reserved, mask);
}

/// One direction's compressor; the context goes on from one message to the next unless it is reset.
class Deflater {
 public:
  explicit Deflater(int window_bits = 15, bool takeover = true) : takeover_(takeover) {
    if (deflateInit2(&z_, 9, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  }
  ~Deflater() { deflateEnd(&z_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  std::string message(std::string_view text) {
    std::string out(deflateBound(&z_, text.size()) + 64, '\0');
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    z_.avail_in = static_cast<uInt>(text.size());
    z_.next_out = reinterpret_cast<Bytef*>(out.data());
    z_.avail_out = static_cast<uInt>(out.size());
    if (deflate(&z_, Z_SYNC_FLUSH) != Z_OK) throw std::runtime_error("deflate");
    out.resize(out.size() - z_.avail_out);
    if (!out.ends_with(std::string("\0\0\xFF\xFF", 4))) throw std::runtime_error("no flush at the end");
    out.resize(out.size() - 4);
    if (!takeover_) deflateReset(&z_);
    return out;
  }

 private:
  z_stream z_{};
  bool takeover_;
};

inline std::string deflate_message(std::string_view text) { return Deflater().message(text); }

}  // namespace baleen::dissect::websocket
