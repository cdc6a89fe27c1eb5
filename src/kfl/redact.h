#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "item/value.h"
#include "kfl/path.h"

namespace baleen::kfl {

inline constexpr std::string_view kRedacted = "[REDACTED]";

/// A path of redact(): selectors, with a text to be opened between them (reference row K1-45).
struct Redaction {
  enum class Opens : uint8_t { kNothing, kJson, kXml };
  struct Part {
    std::vector<Step> steps;
    Opens then = Opens::kNothing;
  };
  std::vector<Part> parts;
};

/// "request.headers.Authorization", "..name", "response.body.json().a[0]", "x.xml().a.b"; null and the reason when it
/// is no path.
std::shared_ptr<const Redaction> parse_redaction(std::string_view text, std::string& why);

/// The tree with what the path names replaced; the tree itself where nothing is. Shares what did not change. `work` is
/// lowered by the values looked at.
item::Value redact(const item::Value& root, const Redaction& redaction, Arena& arena, int64_t& work);

}  // namespace baleen::kfl
