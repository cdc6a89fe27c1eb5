#pragma once

#include "dissect/tls/talk.h"
#include "dissect/tls/tls.h"

// What tls.cpp, which reads records, and handshake.cpp, which reads what handshakes say, have in common.

namespace baleen::dissect::tls {

/// Of a record (RFC 8446 5.1, RFC 6520).
enum ContentType : uint8_t {
  kChangeCipherSpec = 20,
  kAlert = 21,
  kHandshake = 22,
  kApplicationData = 23,
  kHeartbeat = 24
};
constexpr size_t kRecordHead = 5;

/// One direction's handshake messages, put together.
struct Assembly {
  uint8_t* bytes = nullptr;
  uint32_t size = 0, room = 0, read = 0;
};

struct Handshake : Talk {
  Assembly assembly[2] = {};
  std::string_view cipher;
};

}  // namespace baleen::dissect::tls
