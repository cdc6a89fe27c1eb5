#include "store/check.h"

#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "base/crc32c.h"
#include "io/crypto.h"

namespace baleen::store {
namespace {

using Outcome = CheckStep::Outcome;

/// What each thing takes, in the clouds' own words.
struct PermissionRow {
  std::string_view step, gs, s3, azblob;
};
constexpr std::string_view kBlobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/";
constexpr PermissionRow kPermissions[] = {{"list", "storage.objects.list", "s3:ListBucket", "read"},
                                          {"create", "storage.objects.create", "s3:PutObject", "write"},
                                          {"read", "storage.objects.get", "s3:GetObject", "read"},
                                          {"range", "storage.objects.get", "s3:GetObject", "read"},
                                          {"head", "storage.objects.get", "s3:GetObject", "read"},
                                          {"refuse", "storage.objects.create", "s3:PutObject", "write"},
                                          {"remove", "storage.objects.delete", "s3:DeleteObject", "delete"}};

std::string permission_of(std::string_view step, std::string_view scheme) {
  for (const PermissionRow& row : kPermissions) {
    if (row.step != step) continue;
    if (scheme == "gs") return std::string(row.gs);
    if (scheme == "s3") return std::string(row.s3);
    if (scheme == "azblob") return fmt::format("{}{}", kBlobs, row.azblob);
  }
  return {};
}

/// Runs the steps and keeps their account.
class Checker {
 public:
  Checker(ObjectStore& store, const Location& location) : store_(store), location_(location) {}

  void step(const char* name, const char* what, const char* needed_for, const std::function<Result<>()>& act) {
    CheckStep step{name, what, permission_of(name, location_.scheme), needed_for, {}, {}, {}};
    const auto begin = std::chrono::steady_clock::now();
    const Result<> result = act();
    step.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    step.outcome = result ? Outcome::kOk : result.error().code == Code::kDenied ? Outcome::kDenied : Outcome::kFailed;
    if (!result) step.message = result.error().message;
    step.unauthenticated = !result && result.error().unauthenticated;
    report_.steps.push_back(std::move(step));
  }
  void skip(const char* name, const char* what, const char* needed_for, const char* why) {
    report_.steps.push_back(
        {name, what, permission_of(name, location_.scheme), needed_for, Outcome::kSkipped, why, {}});
  }

  CheckReport run() {
    report_.location = location_.to_string();
    report_.endpoint = store_.endpoint();
    const std::string content = "baleen store check: this object may be removed\n";
    const std::string key = location_.key_prefix() + "baleen-check-" + io::random_hex(8);
    step("list", "list objects below the prefix", "reading", [&]() -> Result<> {
      ListOptions options;
      options.prefix = location_.key_prefix();
      options.page_size = 1;
      BALEEN_TRY_DO(store_.list(options));
      return {};
    });
    PutOptions once;
    once.only_if_absent = true;
    once.content_type = "text/plain";
    step("create", "create an object, only if there is none", "recording", [&]() -> Result<> {
      BALEEN_TRY_DO(store_.put(key, as_bytes(content), once));
      return {};
    });
    const bool created = report_.steps.back().outcome == Outcome::kOk;
    after_create(key, content, once, created);
    report_.identity = store_.identity();
    report_.clock_skew = store_.clock_skew();
    return std::move(report_);
  }

 private:
  void after_create(const std::string& key, const std::string& content, const PutOptions& once, bool created) {
    const auto with_probe = [&](const char* name, const char* what, const char* needed_for,
                                const std::function<Result<>()>& act) {
      if (created) {
        step(name, what, needed_for, act);
      } else {
        skip(name, what, needed_for, "no object to try it with: none could be created");
      }
    };
    with_probe("read", "read it", "reading", [&]() -> Result<> {
      BALEEN_TRY(const std::string back, store_.get(key));
      if (back != content) return Error{Code::kIo, "it comes back as something else"};
      return {};
    });
    with_probe("range", "read a range of it", "reading", [&]() -> Result<> {
      BALEEN_TRY(const std::string back, store_.get_range(key, 7, 5));
      if (back != content.substr(7, 5)) return Error{Code::kIo, "the range comes back as something else"};
      return {};
    });
    with_probe("head", "look at its size and checksum", "recording", [&]() -> Result<> {
      BALEEN_TRY(const ObjectFacts facts, store_.head(key));
      if (facts.size != content.size() || (facts.crc32c && *facts.crc32c != crc32c(as_bytes(content))))
        return Error{Code::kIo, "its size or checksum is another"};
      return {};
    });
    with_probe("refuse", "see that it cannot be overwritten", "recording", [&]() -> Result<> {
      const auto second = store_.put(key, as_bytes("another content\n"), once);
      if (second) return Error{Code::kIo, "it was overwritten: this store heeds no preconditions"};
      // Who may not remove may not overwrite either: some clouds say that first.
      if (second.error().code == Code::kConflict || second.error().code == Code::kDenied) return {};
      return second.error();
    });
    with_probe("remove", "remove it again", "", [&]() -> Result<> { return store_.remove(key); });
    if (created && report_.steps.back().outcome != Outcome::kOk) report_.left_over = key;
  }

  ObjectStore& store_;
  const Location& location_;
  CheckReport report_;
};

std::string member_of(const std::string& identity) {
  // "service account x@y (…)"
  const size_t at = identity.find('@');
  if (at == std::string::npos) return "MEMBER";
  const size_t begin = identity.find_last_of(" (", at) + 1;
  const std::string email = identity.substr(begin, identity.find_first_of(" )", at) - begin);
  return (identity.find("service account") != std::string::npos ? "serviceAccount:" : "user:") + email;
}

}  // namespace

const char* to_string(Outcome outcome) {
  constexpr const char* kNames[] = {"ok", "denied", "failed", "skipped"};
  return kNames[static_cast<int>(outcome)];
}

bool CheckReport::usable() const {
  return std::all_of(steps.begin(), steps.end(),
                     [](const CheckStep& s) { return s.outcome == Outcome::kOk || s.needed_for.empty(); });
}

bool CheckReport::all_ok() const {
  return std::all_of(steps.begin(), steps.end(), [](const CheckStep& s) { return s.outcome == Outcome::kOk; });
}

bool CheckReport::unauthenticated() const {
  return std::any_of(steps.begin(), steps.end(), [](const CheckStep& s) { return s.unauthenticated; });
}

std::vector<std::string> CheckReport::missing() const {
  std::vector<std::string> out;
  if (unauthenticated()) return out;  // an answer to HEAD cannot say why it is a refusal
  for (const CheckStep& s : steps)
    if (s.outcome == Outcome::kDenied && !s.permission.empty() &&
        std::find(out.begin(), out.end(), s.permission) == out.end())
      out.push_back(s.permission);
  return out;
}

std::vector<std::string> CheckReport::advice(const Location& location) const {
  std::vector<std::string> out;
  const std::vector<std::string> lacking = missing();
  if (unauthenticated())
    out.push_back(
        fmt::format("see to the credentials themselves ({}): they were not accepted, so what they may do is "
                    "not known yet",
                    identity));
  if (!lacking.empty() && location.scheme == "gs") {
    out.push_back(
        fmt::format("gcloud storage buckets add-iam-policy-binding gs://{} --member={} "
                    "--role=roles/storage.objectUser",
                    location.bucket, member_of(identity)));
    out.push_back("or, to record only, a role of your own with storage.objects.create, .get and .list");
  } else if (!lacking.empty() && location.scheme == "s3") {
    std::string actions;
    for (const std::string& p : lacking) actions += fmt::format("{}\"{}\"", actions.empty() ? "" : ", ", p);
    out.push_back(
        fmt::format("allow in the identity's or the bucket's policy: {{\"Effect\": \"Allow\", \"Action\": "
                    "[{}], \"Resource\": [\"arn:aws:s3:::{}\", \"arn:aws:s3:::{}/*\"]}}",
                    actions, location.bucket, location.bucket));
  } else if (!lacking.empty() && location.scheme == "azblob") {
    const size_t slash = location.bucket.find('/');
    out.push_back(
        fmt::format("az role assignment create --role \"Storage Blob Data Contributor\" --assignee PRINCIPAL "
                    "--scope .../storageAccounts/{}/blobServices/default/containers/{}",
                    slash == std::string::npos ? "ACCOUNT" : location.bucket.substr(0, slash),
                    location.bucket.substr(slash == std::string::npos ? 0 : slash + 1)));
    out.push_back("or a shared access signature with the permissions r, c, w and l (d to remove)");
  }
  if (clock_skew && std::chrono::abs(*clock_skew) > kTolerableSkew)
    out.push_back(
        "set this machine's clock (chronyc makestep, timedatectl set-ntp true): it is made up for where it "
        "can be, and times in recordings are wrong");
  if (!left_over.empty()) out.push_back("the probe's object is still there and may be removed: " + left_over);
  return out;
}

CheckReport check(ObjectStore& store, const Location& location) { return Checker(store, location).run(); }

}  // namespace baleen::store
