#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "item/value.h"

namespace baleen::item {

/// What a field's value is, as filters and columns see it.
enum class FieldType : uint8_t { kBool, kInt, kDouble, kString, kBytes, kList, kMap };

/// One thing that can be asked of an item of a protocol. The tables of fields feed the filter languages, the
/// reference pages, completion, the columns of recordings and redaction; nothing else names a protocol's fields.
struct Field {
  std::string_view path;      // where it lies in the item's JSON: "response.status"
  std::string_view cel_name;  // the variable of KFL v2: "status_code"; empty when it has none
  FieldType type = FieldType::kString;
  std::string_view doc;  // one sentence
  bool secret = false;   // passwords, cookies, authorization, tokens
};

/// The card of a protocol: one constant in its folder.
struct Protocol {
  std::string_view name;          // "http"; with the version it is the key of the reference's cards
  std::string_view version;       // "1.1"
  std::string_view abbreviation;  // "HTTP"
  std::string_view long_name;     // "Hypertext Transfer Protocol -- HTTP/1.1"
  std::string_view macro;         // "http": the KFL macro and the v2 flag
  std::string_view reference;     // URL of the specification
  std::string_view background;    // "#326de6"
  std::string_view foreground;    // "#ffffff"
  uint8_t font_size = 12;
  uint8_t priority = 0;     // lower is asked first
  std::string_view layer4;  // "tcp"
  std::string_view layer3 = "ip";
  std::span<const uint16_t> ports{};  // hints that break ties, never a reason to claim a stream
  std::span<const Field> fields{};
  // Where a list row takes its columns from: paths as in Field, empty when the protocol has none.
  std::string_view method_path{};   // "request.method"
  std::string_view summary_path{};  // "request.path"
  std::string_view status_path{};   // "response.status"
};

}  // namespace baleen::item
