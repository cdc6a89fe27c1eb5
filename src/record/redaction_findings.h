#pragma once

// Private to redaction: compiled rules, and what they find in one item.
//
// Two steps. First the rules say which values of an item are secrets; then every text of the item in which one of these
// stands, in whatever field or column and in whatever encoding, loses it. So a password that a card marks as
// request.password is also cut out of a query, an error message, a raw head, a summary.
//
//   redaction.cpp           rules, compiled
//   redaction_findings.cpp  the first step
//   redaction_rewrite.cpp   the second

#include <re2/re2.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "record/redaction.h"

namespace baleen::record {

constexpr std::string_view kRedacted = "[REDACTED]";
constexpr size_t kLeastBase64 = 12;

inline bool is_text(const item::Value& v) {
  return v.type() == item::Value::Type::kString || v.type() == item::Value::Type::kBytes;
}
std::vector<std::string> split(std::string_view text, char separator);
/// What the expression's first group, or all of it, matches: begin and end.
void each_match(const re2::RE2& expression, std::string_view text, const std::function<void(size_t, size_t)>& each);

struct Redaction::Compiled {
  struct Header {
    std::string name;
    uint16_t rule;
  };
  struct Path {
    std::vector<std::string> steps;
    uint16_t rule;
  };
  struct Pattern {
    std::unique_ptr<re2::RE2> expression;
    uint16_t rule;
  };
  std::vector<Header> headers;
  std::vector<Path> paths;
  std::vector<Pattern> patterns;
  kfl::Filter filter;
  uint16_t filter_rule = 0;
};

/// What the rules have to say about one item.
struct Redaction::Findings {
  std::vector<Secret> secrets;
  std::unordered_set<const item::Value*> whole;  // values that are replaced as they stand
  std::map<const item::Value*, uint16_t> rules;  // of those
  Secret::Side side = Secret::Side::kAny;
  bool too_many = false;

  void mark(const item::Value& v, uint16_t rule);
  void add(std::string_view text, uint16_t rule, bool verbatim);

  /// Credentials within credentials: "Basic dTpw", "a=b; c=d", SASL's PLAIN.
  void add_parts(std::string_view text, uint16_t rule);

  /// Everything below `v` is secret.
  void add_all(const item::Value& v, uint16_t rule);

  /// Small ones are everywhere; a key of 32 bits or more is found as text and as binary numbers write it.
  void add_number(int64_t n, uint16_t rule);

  /// A user's password and the parameters that sound like secrets.
  void add_url(std::string_view url, uint16_t rule);

  /// Headers of a raw head; -1: by no rule.
  void add_head(std::string_view head, const std::function<int(std::string_view name)>& rule_of);

  /// What a text holds that was opened as JSON: its values are none of the item's.
  void add_opened(const item::Value& v, uint16_t rule);

  /// The fields of "request", "response" or "data" that the protocol's card marks.
  void add_fields(const item::Protocol& protocol, std::string_view side_name, const item::Value& message, Arena& arena);

  /// What is named like a header of the rules, or, with `secrets_too`, like a secret: as a whole where it is a list or
  /// a map. URLs and raw heads have such names within.
  void add_named(const item::Value& message, bool secrets_too,
                 const std::function<int(std::string_view name)>& rule_of);

  void add_matches(const item::Value& message, const re2::RE2& expression, uint16_t rule, Arena& arena);

  /// What dissectors make of a URL or a path that is marked goes with it.
  void add_derived(const item::Value& message);

  /// What a KFL rule has taken out.
  void add_differences(const item::Value& root, const item::Value& redacted, uint16_t rule, Arena& arena);

  /// The values at a path. A text on the way is opened as JSON; then what is found is no value of the item's.
  void add_path(const item::Value& v, std::span<const std::string> steps, uint16_t rule, Arena& arena,
                bool live = true);
};

}  // namespace baleen::record
