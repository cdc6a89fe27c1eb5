#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "index/item_row.h"
#include "item/item.h"
#include "kfl/kfl.h"
#include "record/secrets.h"

namespace baleen::record {

/// What a recording does not keep, as its configuration has it.
struct RedactionRules {
  bool secrets = false;               // fields that their protocols' cards mark, and what is named like a secret
  std::vector<std::string> headers;   // names, without regard to case
  std::vector<std::string> json;      // "request.body.user.password"; bodies and other texts are opened on the way
  std::vector<std::string> patterns;  // RE2; of one with a group, what the first group matches
  std::string kfl;                    // redact("…") of KFL v1
  bool empty() const { return !secrets && headers.empty() && json.empty() && patterns.empty() && kfl.empty(); }
  bool operator==(const RedactionRules&) const = default;
};

/// All rules of both.
RedactionRules operator+(RedactionRules a, const RedactionRules& b);

/// How often each rule has replaced something. By the rule's name: "secrets", "headers: X-Key", "kfl".
using RuleCounts = std::map<std::string, uint64_t>;

/// Rules, compiled. Immutable; any thread.
class Redaction {
 public:
  /// `options`: what the KFL rule is compiled against.
  static Result<std::shared_ptr<const Redaction>> compile(const RedactionRules& rules, const kfl::Options& options);
  ~Redaction();

  /// Adds every text of the item that the rules call a secret. Texts only: what numbers are secret is not added.
  void find(const item::Item& item, std::vector<Secret>& out) const;
  /// What the pattern rules match in bytes that are no item's.
  void match(std::string_view bytes, std::vector<Range>& out) const;
  /// The item's row (index::row_from) without its secrets, in no column. Returns whether anything was replaced.
  bool redact(const item::Item& item, index::ItemRow& out, RuleCounts& counts, std::string_view recording = {}) const;

  const RedactionRules& rules() const { return rules_; }
  const std::string& name_of(uint16_t rule) const { return names_[rule]; }

 private:
  struct Compiled;
  struct Findings;
  Redaction();
  void collect(const item::Item& item, const item::Value& root, Findings& out, Arena& arena) const;

  RedactionRules rules_;
  std::vector<std::string> names_;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace baleen::record
