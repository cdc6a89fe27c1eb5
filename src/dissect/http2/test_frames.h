#pragma once

// Frames and calls for tests, written as RFC 9113 and gRPC's PROTOCOL-HTTP2 say.

#include <string>
#include <utility>
#include <vector>

#include "dissect/http2/frame.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::http2 {

using Header = std::pair<std::string, std::string>;

inline std::string frame(int type, int flags, uint32_t stream, const std::string& payload) {
  return be(payload.size(), 3) + be(static_cast<uint64_t>(type), 1) + be(static_cast<uint64_t>(flags), 1) +
         be(stream, 4) + payload;
}
/// A literal field (RFC 7541 6.2): `first` is 0x40 to add it to the table, 0x00 not to, 0x10 never to.
inline std::string literal(const Header& h, int first = 0) {
  return be(static_cast<uint64_t>(first), 1) + sized(1, h.first) + sized(1, h.second);
}
inline std::string block(const std::vector<Header>& headers, int first = 0) {
  std::string out;
  for (const Header& h : headers) out += literal(h, first);
  return out;
}
inline std::string headers(uint32_t stream, const std::vector<Header>& fields, bool end = false, int first = 0) {
  return frame(kHeaders, kEndHeaders | (end ? kEndStream : 0), stream, block(fields, first));
}
inline std::string data(uint32_t stream, const std::string& bytes, bool end = false) {
  return frame(kData, end ? kEndStream : 0, stream, bytes);
}
inline std::string settings(const std::string& payload = "") { return frame(kSettings, 0, 0, payload); }
inline const std::string kSettings100 = unhex("00 03 00 00 00 64");
inline std::string rst(uint32_t stream, uint32_t code) { return frame(kRstStream, 0, stream, be(code, 4)); }
inline std::string goaway(uint32_t last, uint32_t code) {
  return frame(kGoaway, 0, 0, be(last, 4) + be(code, 4) + "bye");
}

inline std::string hello() { return std::string(kPreface) + settings(kSettings100); }
inline std::string get(uint32_t stream, const std::string& path = "/") {
  return headers(stream, {{":method", "GET"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}}, true);
}
inline std::string post(uint32_t stream) {
  return headers(stream, {{":method", "POST"}, {":scheme", "http"}, {":path", "/p"}, {"content-type", "text/plain"}});
}
inline std::string ok(uint32_t stream, bool end = false) {
  return headers(stream, {{":status", "200"}, {"content-type", "text/plain"}}, end);
}

/// A message of gRPC with its prefix.
inline std::string message(const std::string& bytes, int compressed = 0) {
  return be(static_cast<uint64_t>(compressed), 1) + sized(4, bytes);
}
inline std::string call(uint32_t stream, std::vector<Header> more = {}) {
  std::vector<Header> h = {{":method", "POST"},
                           {":scheme", "http"},
                           {":path", "/pkg.Svc/Do"},
                           {"content-type", "application/grpc+proto"},
                           {"te", "trailers"}};
  h.insert(h.end(), more.begin(), more.end());
  return headers(stream, h);
}
inline std::string answer(uint32_t stream, std::vector<Header> more = {}) {
  std::vector<Header> h = {{":status", "200"}, {"content-type", "application/grpc"}};
  h.insert(h.end(), more.begin(), more.end());
  return headers(stream, h);
}
inline std::string status(uint32_t stream, const std::string& code, const std::string& text = "") {
  return headers(stream, {{"grpc-status", code}, {"grpc-message", text}}, true);
}

}  // namespace baleen::dissect::http2
