#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "io/http_client.h"
#include "store/s3/signature.h"

namespace baleen::store::s3 {

/// Keys, and until when they are good: for ever when unset.
struct Lease {
  Keys keys;
  std::optional<Timestamp> until;
};

/// Where keys come from. One thread at a time.
class Credentials {
 public:
  virtual ~Credentials() = default;
  virtual Result<Lease> fetch(io::HttpClient& http, Timestamp now) = 0;
  /// "access key AKIA... (environment)", for messages; never a secret.
  virtual std::string identity() const = 0;
};

std::unique_ptr<Credentials> static_keys(Keys keys, std::string source);

/// AssumeRole with `base` for a role, for example of another account.
struct Role {
  std::string arn, external_id, session_name, region;
};
std::unique_ptr<Credentials> assumed_role(std::unique_ptr<Credentials> base, Role role);
/// A token of the cluster's for a role (IRSA): AssumeRoleWithWebIdentity. The file is read anew each time.
std::unique_ptr<Credentials> web_identity(std::string token_file, Role role);
/// ECS tasks and EKS Pod Identity: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI. The token goes to loopback, to
/// the two services' own addresses and over HTTPS only (kDenied for others).
Result<std::unique_ptr<Credentials>> container_credentials();
/// The machine's own role, by the second version of EC2's metadata service.
std::unique_ptr<Credentials> instance_metadata();

/// ~/.aws/config and ~/.aws/credentials: sections of names and values.
using Profiles = std::map<std::string, std::map<std::string, std::string>>;
/// Reads text of either file into `profiles`: "[profile x]" of the one is "[x]" of the other. Lines that are none are
/// left out, what is there already stays.
void parse_profiles(std::string_view text, Profiles& profiles);
/// Both files, where AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say or in ~/.aws; empty when there are none.
Profiles load_profiles();

/// What a chain begins with.
struct ChainOptions {
  Keys keys;            // the configuration's
  std::string profile;  // empty: AWS_PROFILE
  std::string region;   // for STS
  Role role;            // assumed with what the chain finds; none when its ARN is empty
};
/// The keys that were given, those of the environment, the profile that was named, web identity, the profile "default",
/// the container's, the machine's: the first that is there.
Result<std::unique_ptr<Credentials>> chain(const ChainOptions& options);
/// AWS_REGION, AWS_DEFAULT_REGION or the profile's; empty when none says.
std::string region_of_environment(const std::string& profile);

/// One set of keys for all threads, fetched anew five minutes before its end or when it was refused.
class KeyCache {
 public:
  KeyCache(std::unique_ptr<Credentials> credentials, std::function<Timestamp()> now);
  Result<Keys> keys(io::HttpClient& http);
  /// The store did not accept them any more: the next call fetches new ones. False when they cannot change.
  bool refused(const Keys& keys);
  std::string identity() const { return credentials_->identity(); }

 private:
  std::unique_ptr<Credentials> credentials_;
  std::function<Timestamp()> now_;
  std::mutex mutex_;  // held while keys are fetched: the others wait for them
  std::optional<Lease> lease_;
  Timestamp refresh_{};
};

}  // namespace baleen::store::s3
