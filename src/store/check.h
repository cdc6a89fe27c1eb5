#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/object_store.h"

namespace baleen::store {

/// One thing that was tried at a bucket.
struct CheckStep {
  enum class Outcome { kOk, kDenied, kFailed, kSkipped };
  std::string name;        // "create"
  std::string what;        // "create an object, only if there is none"
  std::string permission;  // what it takes in the cloud's own words; empty for a folder
  std::string needed_for;  // "recording", "reading"; empty: nothing of ours depends on it
  Outcome outcome = Outcome::kSkipped;
  std::string message;           // of the failure, with the permission that the cloud itself named
  bool unauthenticated = false;  // it failed of who we are, not of what we may do
  std::chrono::milliseconds took{0};
};

/// What works at a location, and as whom. Holds no secret.
struct CheckReport {
  std::string location, endpoint, identity;
  std::optional<std::chrono::seconds> clock_skew;  // the other side's clock minus ours
  std::vector<CheckStep> steps;
  std::string left_over;  // the probe's key, when it could not be removed

  /// All that something of ours depends on worked.
  bool usable() const;
  bool all_ok() const;
  /// Who we are was not accepted: what we may do is not known then.
  bool unauthenticated() const;
  /// Permissions that are missing, each once.
  std::vector<std::string> missing() const;
  /// What to do about it, in commands of the cloud's own tool where there is one; empty when all is well.
  std::vector<std::string> advice(const Location& location) const;
};

/// "ok", "denied", "failed", "skipped".
const char* to_string(CheckStep::Outcome outcome);

/// Lists, creates an object of its own with a random name, reads it whole and in part, looks at it, sees that it cannot
/// be overwritten, and removes it again. Tries everything that can be tried, whatever fails.
CheckReport check(ObjectStore& store, const Location& location);

/// Clocks that are further apart make signatures and tokens be refused, were it not for our making up for it.
inline constexpr std::chrono::seconds kTolerableSkew{240};

}  // namespace baleen::store
