#pragma once

#include <cstdint>
#include <string_view>

namespace baleen::dissect::diameter {

/// How an AVP's value is written (RFC 6733 4.2, 4.3).
enum class Kind : uint8_t { kText, kNumber, kSigned, kLong, kSignedLong, kAddress, kBytes, kGrouped, kTime };

struct Avp {
  uint32_t vendor, code;
  std::string_view name;
  Kind kind;
  bool is_secret = false;  // a password, a key, or what proves that one knows it
};

/// Null when it is not known.
const Avp* find_avp(uint32_t vendor, uint32_t code);

// Names; empty when there is none.
/// Of a number that an AVP holds: "INITIAL_REQUEST" of CC-Request-Type.
std::string_view word_of(uint32_t vendor, uint32_t code, uint32_t number);
/// "Capabilities-Exchange".
std::string_view command_name(uint32_t code);
std::string_view application_name(uint32_t id);
/// "DIAMETER_SUCCESS".
std::string_view result_name(uint32_t code);
/// Of Experimental-Result-Code, which is the vendor's own (RFC 6733 7.7).
std::string_view experimental_result_name(uint32_t vendor, uint32_t code);

}  // namespace baleen::dissect::diameter
