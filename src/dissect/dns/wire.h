#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

// The wire format (RFC 1035 section 4) and its names (IANA's DNS parameters). Pure functions.

namespace baleen::dissect::dns {

constexpr size_t kHeaderBytes = 12;

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kUri = 256,
  kIxfr = 251,
  kAxfr = 252
};

struct Header {
  uint16_t id = 0, flags = 0, questions = 0, answers = 0, authorities = 0, additionals = 0;
  bool is_response() const { return (flags & 0x8000) != 0; }
  unsigned opcode() const { return flags >> 11 & 15; }
  unsigned rcode() const { return flags & 15; }
};
/// REQUIRES: 12 bytes.
Header read_header(Bytes message);

/// Steps over the name at `at` without following it: the offset behind it, zero when it is malformed.
size_t skip_name(Bytes message, size_t at);

/// Appends the name at `at` in presentation form (RFC 1035 5.1, RFC 4343 2.1) without its last dot; the root is ".".
/// Follows compression (RFC 1035 4.1.4) strictly backwards, so that it ends. Returns the offset behind the name where
/// it stands, zero when it is malformed or longer than 255 bytes.
size_t append_name(Bytes message, size_t at, std::string& out);
/// Whether append_name() could read it.
bool is_name(Bytes message, size_t at);

/// Appends the RDATA at [at, at + size) in presentation form: that of its type's RFC where we know it and it is well
/// formed, otherwise that of RFC 3597 section 5.
void append_rdata(Bytes message, uint16_t type, size_t at, size_t size, std::string& out);

/// "A", or "TYPE65280" (RFC 3597 5), appended.
void append_type(uint16_t type, std::string& out);
/// Empty when it has none.
std::string_view type_name(uint16_t type);
/// "IN"; empty when it has none.
std::string_view class_name(uint16_t klass);
/// "Query", as the reference names them.
std::string_view opcode_name(unsigned opcode);
/// "No Error", as the reference names them; and "NOERROR", as everybody else does.
std::string_view rcode_name(unsigned rcode);
std::string_view rcode_mnemonic(unsigned rcode);
/// "COOKIE"; empty when it has none.
std::string_view option_name(uint16_t option);
/// Appends the value of an EDNS option (RFC 6891 6.1.2).
void append_option(uint16_t option, Bytes value, std::string& out);

}  // namespace baleen::dissect::dns
