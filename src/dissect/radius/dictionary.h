#pragma once

#include <cstdint>
#include <string_view>

namespace baleen::dissect::radius {

/// How an attribute's value is written.
enum class Kind : uint8_t {
  kText,
  kNumber,
  kAddress,
  kPrefix,  // RFC 3162 2.3, RFC 6572 4.11
  kBytes,
  kTime,
  kVendor,
  kExtended,  // RFC 6929 2
  kEap,
  kSecret,
  kTaggedText,  // RFC 2868 3.1
  kTaggedNumber
};

struct Attribute {
  uint8_t type;
  std::string_view name;
  Kind kind;
};
struct VendorAttribute {
  uint32_t vendor;
  uint8_t type;
  std::string_view name;
  Kind kind;
};

/// Null when it is not known.
const Attribute* find_attribute(uint8_t type);
const VendorAttribute* find_vendor_attribute(uint32_t vendor, uint8_t type);

// Names; empty when there is none.
/// Of a number that an attribute holds: "Start" of Acct-Status-Type.
std::string_view word_of(uint8_t type, uint32_t number);
std::string_view vendor_name(uint32_t vendor);
/// "Access-Request".
std::string_view code_name(uint8_t code);
/// RFC 3748 4: "Request"; "PEAP".
std::string_view eap_code_name(uint8_t code);
std::string_view eap_method_name(uint8_t method);

}  // namespace baleen::dissect::radius
