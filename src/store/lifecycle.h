#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::store {

/// A bucket's rules for what is old, in the words of its own interface (Cloud Storage: JSON, S3: XML).
struct LifecycleText {
  std::string text;  // empty: there are none
  std::string
      version;  // of the bucket's settings, so that a change overwrites nobody else's; empty: the store has none
};

/// What a store is beside ObjectStore whose buckets have such rules.
class LifecycleKeeper {
 public:
  virtual ~LifecycleKeeper() = default;
  virtual Result<LifecycleText> lifecycle() = 0;
  /// Replaces all rules. kConflict when the bucket's settings are no longer those of `rules.version`.
  virtual Result<> set_lifecycle(const LifecycleText& rules) = 0;
};

/// Objects below a prefix are removed by the bucket itself when they are that old.
struct ExpireRule {
  std::string prefix;  // with its slash; never empty: a bucket has other things, too
  uint32_t days = 0;
};

/// What a bucket's rules are to become.
struct LifecyclePlan {
  LifecycleText rules;             // all of them, ours among them, as the store takes them
  std::vector<std::string> stay;   // the others, in words
  std::vector<std::string> leave;  // older ones of ours for the same prefix, in words
  bool changes = true;             // false: the rule is there already
};

/// `now` with `rule` in the place of what we had for its prefix; every other rule stays as it is written. `scheme` is
/// "gs" or "s3". kInvalid when `now` is not what such a store says, or the rule would be for a whole bucket.
Result<LifecyclePlan> plan_lifecycle(std::string_view scheme, const LifecycleText& now, const ExpireRule& rule);
/// Each rule in words.
Result<std::vector<std::string>> describe_lifecycle(std::string_view scheme, std::string_view text);

/// How to have such a rule by hand, with the cloud's own tool: the document and the command. Also for stores that we
/// install none in (Azure: its rules are the account's, not the container's; a folder).
std::string explain_lifecycle(const Location& location, uint32_t days);

}  // namespace baleen::store
