#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace baleen::record {

/// A text that is to be found nowhere in what is kept.
struct Secret {
  enum class Side : uint8_t { kAny, kRequest, kResponse };
  std::string text;
  Side side = Side::kAny;  // which message of the item it stands in
  /// It stands on the stream just so. When it is not found there, it stands there in some other form: compressed,
  /// encrypted, cut by a framing.
  bool verbatim = false;
  uint16_t rule = 0;
};

/// Bytes [begin, end) of a text.
struct Range {
  size_t begin = 0, end = 0;
  uint16_t rule = 0;
  bool operator==(const Range&) const = default;
};

/// A text and what it reads as once an escaping is undone: where each byte of it came from.
struct Reading {
  std::string text;
  std::vector<uint32_t> at;  // of text's bytes, and of its end
};
/// %41 and '+' (URLs, forms); nothing in it when there is no such escape.
Reading percent_decoded(std::string_view text);
/// \" and \u0041 (JSON); nothing in it when there is no such escape.
Reading unescaped(std::string_view text);

/// Finds secrets in bytes: as they are, percent-encoded, escaped as in JSON, and in base64. Those of fewer than four
/// bytes only where they stand alone.
class SecretFinder {
 public:
  explicit SecretFinder(const std::vector<Secret>& secrets);
  /// Ranges in the order of their begins, merged. `found`, when given, has one element for each secret and is set to 1
  /// for those that stand there.
  std::vector<Range> find(std::string_view text, std::vector<uint8_t>* found = nullptr) const;
  bool stands_in(std::string_view text) const { return !find(text).empty(); }

 private:
  void find_in(std::string_view text, const std::vector<uint32_t>* at, std::vector<Range>& out,
               std::vector<uint8_t>* found) const;
  const std::vector<Secret>& secrets_;
  std::vector<Secret> encoded_;  // what a secret looks like within base64
};

/// Sorts by begin and joins what touches.
void merge(std::vector<Range>& ranges);

}  // namespace baleen::record
