#pragma once

#include <string_view>

#include "base/arena.h"
#include "item/value.h"

// What can be read out of a target, a cookie or a body: the maps and lists of an item's payload. Pure functions;
// results are views of the text given, or live in the arena.

namespace baleen::dissect::http {

/// More pairs than this of a query, a cookie field or a form are left in their text only.
constexpr size_t kMaxPairs = 256;

struct Target {
  std::string_view path;   // percent-decoded, as Go's URL.Path; the whole target where it has none ("*", "host:443")
  std::string_view query;  // as sent, without "?"
};
/// RFC 9112 3.2: origin, absolute, authority and asterisk form.
Target parse_target(std::string_view target, Arena& arena);

/// What stands between the slashes, after the first.
item::Value path_segments(std::string_view path, Arena& arena);

/// Name to decoded value, to a list of values where a name comes twice. As Go's url.ParseQuery: "+" is a space, and a
/// pair with a broken escape or a semicolon is left out.
item::Value query_map(std::string_view query, Arena& arena);

/// RFC 6265 5.4 and 4.1: name to value without quotes; values of a repeated name joined with ",". `fields` is the value
/// of Cookie, or those of Set-Cookie joined with LF.
item::Value request_cookies(std::string_view field, Arena& arena);
item::Value response_cookies(std::string_view fields, Arena& arena);

/// Lists of {name, value} of application/x-www-form-urlencoded and of {name, value, fileName, contentType} of
/// multipart/form-data (RFC 7578).
item::Value urlencoded_params(std::string_view body, Arena& arena);
item::Value multipart_params(std::string_view body, std::string_view boundary, Arena& arena);

/// A part of a multipart body (RFC 2046 5.1.1): two of its header fields and what it carries.
struct Part {
  std::string_view disposition, type, body;
};
/// The parts of a multipart body one after the other. Linear in the body.
class Parts {
 public:
  Parts(std::string_view body, std::string_view boundary);
  /// Takes the next part; false behind the last.
  bool next(Part& part);
  /// Whether the delimiter that ends the body was met.
  bool closed() const { return closed_; }

 private:
  std::string_view between() const { return {delimiter_, size_}; }
  std::string_view rest_;  // begins behind a delimiter
  char delimiter_[74];     // LF, "--" and the boundary
  size_t size_ = 0;
  bool more_ = false, closed_ = false;
};

/// "text/html" of "Text/HTML; charset=x", in lower case.
std::string_view media_type(std::string_view content_type, Arena& arena);
/// The value of a parameter ("boundary") of a Content-Type or Content-Disposition, without quotes; empty when missing.
std::string_view parameter(std::string_view field, std::string_view name);

/// Text as a string, anything else as bytes.
item::Value text_or_bytes(std::string_view text);

}  // namespace baleen::dissect::http
