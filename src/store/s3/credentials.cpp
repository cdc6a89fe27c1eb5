// Where an S3 request's keys come from, in the order of Amazon's own clients. Each source says who it is, so that a
// refusal can be read; no source says a secret.

#include "store/s3/credentials.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "io/crypto.h"
#include "store/environment.h"
#include "store/json.h"
#include "store/s3/answers.h"
#include "store/xml.h"

namespace baleen::store::s3 {
namespace {

constexpr std::chrono::seconds kRefreshBefore{300};
constexpr size_t kMaxRoles = 5;  // profiles that lead to one another

/// "2026-11-23T12:00:00Z", as STS and the metadata services write an end.
std::optional<Timestamp> parse_end(std::string_view text) {
  std::tm parts{};
  if (::strptime(std::string(text).c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return std::nullopt;
  return timestamp_from_ns(int64_t{::timegm(&parts)} * 1'000'000'000);
}

class StaticKeys : public Credentials {
 public:
  StaticKeys(Keys keys, std::string source) : keys_(std::move(keys)), source_(std::move(source)) {}
  Result<Lease> fetch(io::HttpClient&, Timestamp) override { return Lease{keys_, std::nullopt}; }
  std::string identity() const override { return fmt::format("access key {} ({})", keys_.access_key, source_); }

 private:
  Keys keys_;
  std::string source_;
};

/// AWS_ENDPOINT_URL_STS, else the region's own: a token for one region's service is good for all of S3.
std::string sts_url(const std::string& region) {
  if (const char* url = env("AWS_ENDPOINT_URL_STS")) return std::string(url) + "/";
  if (region.empty()) return "https://sts.amazonaws.com/";
  return fmt::format("https://sts.{}.amazonaws.com{}/", region, region.starts_with("cn-") ? ".cn" : "");
}

/// The Credentials element of AssumeRole's and AssumeRoleWithWebIdentity's answers.
Result<Lease> read_sts(const io::HttpAnswer& answer, std::string_view action, const std::string& who) {
  if (!answer.ok()) return error_of(answer, who, fmt::format("sts:{}", action), "");
  const auto root = parse_xml(answer.body);
  const XmlNode* result = root ? root->child(fmt::format("{}Result", action)) : nullptr;
  const XmlNode* found = result != nullptr ? result->child("Credentials") : nullptr;
  if (found == nullptr) return Error{Code::kUnavailable, who + ": the answer has no credentials"};
  Lease lease;
  lease.keys = {std::string(found->child_text("AccessKeyId")), std::string(found->child_text("SecretAccessKey")),
                std::string(found->child_text("SessionToken"))};
  lease.until = parse_end(found->child_text("Expiration"));
  if (lease.keys.access_key.empty() || lease.keys.secret_key.empty())
    return Error{Code::kUnavailable, who + ": the answer has no keys"};
  return lease;
}

std::string role_form(std::string_view action, const Role& role) {
  std::string form =
      fmt::format("Action={}&Version=2011-06-15&RoleArn={}&RoleSessionName={}", action, io::percent_encode(role.arn),
                  io::percent_encode(role.session_name.empty() ? "baleen" : role.session_name));
  if (!role.external_id.empty()) form += "&ExternalId=" + io::percent_encode(role.external_id);
  return form;
}

io::HttpRequest form_request(const std::string& url, const std::string& form) {
  io::HttpRequest request{.method = "POST", .url = url};
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = as_bytes(form);
  request.total_timeout = std::chrono::seconds(30);
  request.max_body = 1 << 20;
  return request;
}

class AssumedRole : public Credentials {
 public:
  AssumedRole(std::unique_ptr<Credentials> base, Role role) : base_(std::move(base)), role_(std::move(role)) {}

  Result<Lease> fetch(io::HttpClient& http, Timestamp now) override {
    BALEEN_TRY(const Lease base, base_->fetch(http, now));
    const std::string form = role_form("AssumeRole", role_);
    io::HttpRequest request = form_request(sts_url(role_.region), form);
    sign(request, base.keys, {role_.region.empty() ? "us-east-1" : role_.region, "sts"},
         io::to_hex(io::sha256(as_bytes(form))), now);
    BALEEN_TRY(const io::HttpAnswer answer, http.send(request));
    return read_sts(answer, "AssumeRole", fmt::format("role {} for {}", role_.arn, base_->identity()));
  }
  std::string identity() const override { return fmt::format("role {} (with {})", role_.arn, base_->identity()); }

 private:
  std::unique_ptr<Credentials> base_;
  Role role_;
};

class WebIdentity : public Credentials {
 public:
  WebIdentity(std::string file, Role role) : file_(std::move(file)), role_(std::move(role)) {}

  Result<Lease> fetch(io::HttpClient& http, Timestamp) override {
    auto token = read_small_file(file_);
    if (!token) return std::move(token).error().in("the web identity's token");
    const std::string form = role_form("AssumeRoleWithWebIdentity", role_) +
                             "&WebIdentityToken=" + io::percent_encode(trimmed(*std::move(token)));
    BALEEN_TRY(const io::HttpAnswer answer, http.send(form_request(sts_url(role_.region), form)));
    return read_sts(answer, "AssumeRoleWithWebIdentity", identity());
  }
  std::string identity() const override { return fmt::format("role {} (web identity {})", role_.arn, file_); }

 private:
  std::string file_;
  Role role_;
};

/// What the container's and the machine's services answer.
Result<Lease> read_service(const io::HttpAnswer& answer, const std::string& who) {
  if (!answer.ok())
    return Error{io::code_of_status(answer.status), fmt::format("{}: {}", who, answer.status), io::retry_after(answer)};
  const auto json = parse_json(answer.body);
  Lease lease;
  if (json) {
    lease.keys = {json_text(*json, "AccessKeyId"), json_text(*json, "SecretAccessKey"), json_text(*json, "Token")};
    lease.until = parse_end(json_text(*json, "Expiration"));
  }
  if (lease.keys.access_key.empty() || lease.keys.secret_key.empty())
    return Error{Code::kUnavailable, who + ": the answer has no keys"};
  return lease;
}

io::HttpRequest service_request(std::string url) {
  io::HttpRequest request{.url = std::move(url)};
  request.connect_timeout = std::chrono::seconds(3);
  request.total_timeout = std::chrono::seconds(15);
  request.max_body = 1 << 20;
  return request;
}

class Container : public Credentials {
 public:
  explicit Container(std::string url) : url_(std::move(url)) {}

  Result<Lease> fetch(io::HttpClient& http, Timestamp) override {
    io::HttpRequest request = service_request(url_);
    std::string token = env_text("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const char* file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
      BALEEN_TRY(std::string text, read_small_file(file));
      token = trimmed(std::move(text));
    }
    if (!token.empty()) request.headers.emplace_back("Authorization", token);
    BALEEN_TRY(const io::HttpAnswer answer, http.send(request));
    return read_service(answer, identity());
  }
  std::string identity() const override { return "the container's role (" + io::without_secrets(url_) + ")"; }

 private:
  std::string url_;
};

class InstanceMetadata : public Credentials {
 public:
  Result<Lease> fetch(io::HttpClient& http, Timestamp) override {
    if (env_text("AWS_EC2_METADATA_DISABLED") == "true")
      return Error{Code::kDenied, "no credentials were given or found, and the metadata service is switched off"};
    const char* named = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    std::string base = named != nullptr ? named : "http://169.254.169.254";
    while (base.ends_with('/')) base.pop_back();

    io::HttpRequest ask = service_request(base + "/latest/api/token");
    ask.method = "PUT";
    ask.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}};
    auto token = http.send(ask);
    if (!token)
      return std::move(token).error().in(
          "no credentials were given or found, and the metadata service does not answer");
    if (!token->ok())
      return Error{Code::kDenied, fmt::format("the metadata service gives no token: {}", token->status)};

    const std::string roles = base + "/latest/meta-data/iam/security-credentials/";
    BALEEN_TRY(const io::HttpAnswer list, get(http, roles, token->body));
    if (list.status == 404) return Error{Code::kDenied, "this machine has no role (metadata service)"};
    const std::string role = trimmed(list.body.substr(0, list.body.find('\n')));
    if (!list.ok() || role.empty())
      return Error{Code::kUnavailable, fmt::format("the metadata service names no role: {}", list.status)};
    BALEEN_TRY(const io::HttpAnswer answer, get(http, roles + io::percent_encode(role), token->body));
    return read_service(answer, "role " + role + " of this machine (metadata service)");
  }
  std::string identity() const override { return "the machine's own role (metadata service)"; }

 private:
  static Result<io::HttpAnswer> get(io::HttpClient& http, std::string url, const std::string& token) {
    io::HttpRequest request = service_request(std::move(url));
    request.headers = {{"X-aws-ec2-metadata-token", token}};
    return http.send(request);
  }
};

/// "http://host:port/path" -> may a token go there in the clear? Loopback and the two services' own addresses.
bool is_near(std::string_view url) {
  if (url.starts_with("https://")) return true;
  if (!url.starts_with("http://")) return false;
  url.remove_prefix(7);
  std::string_view host = url.substr(0, url.find_first_of("/?#"));
  if (host.starts_with('[')) {
    host = host.substr(0, host.find(']') + 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  return host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "169.254.170.2" ||
         host == "169.254.170.23" || host == "[fd00:ec2::23]";
}

std::string value_of(const std::map<std::string, std::string>& section, const char* name) {
  const auto at = section.find(name);
  return at == section.end() ? std::string() : at->second;
}

/// A profile's credentials; `depth` bounds profiles that name one another as their source.
Result<std::unique_ptr<Credentials>> from_profile(const Profiles& profiles, const std::string& name,
                                                  const std::string& region, size_t depth) {
  const auto at = profiles.find(name);
  if (at == profiles.end()) return Error{Code::kInvalid, fmt::format("there is no profile \"{}\"", name)};
  if (depth == 0) return Error{Code::kInvalid, fmt::format("profile \"{}\": its sources lead in a circle", name)};
  const auto& section = at->second;
  const Keys keys{value_of(section, "aws_access_key_id"), value_of(section, "aws_secret_access_key"),
                  value_of(section, "aws_session_token")};
  const Role role{value_of(section, "role_arn"), value_of(section, "external_id"),
                  value_of(section, "role_session_name"), region};
  const std::string source = "profile " + name;
  if (role.arn.empty()) {
    if (!keys.access_key.empty() && !keys.secret_key.empty()) return static_keys(keys, source);
    return Error{Code::kInvalid, source +
                                     ": it has neither keys nor a role (single sign-on and credential_process are "
                                     "not supported)"};
  }
  if (const std::string file = value_of(section, "web_identity_token_file"); !file.empty())
    return web_identity(file, role);
  std::unique_ptr<Credentials> base;
  const std::string from = value_of(section, "credential_source");
  if (const std::string other = value_of(section, "source_profile"); !other.empty()) {
    if (other == name && !keys.access_key.empty()) {  // its own keys
      base = static_keys(keys, source);
    } else {
      BALEEN_TRY(base, from_profile(profiles, other, region, depth - 1));
    }
  } else if (from == "Ec2InstanceMetadata") {
    base = instance_metadata();
  } else if (from == "EcsContainer") {
    BALEEN_TRY(base, container_credentials());
  } else if (from == "Environment" && env("AWS_ACCESS_KEY_ID") != nullptr) {
    base =
        static_keys({env_text("AWS_ACCESS_KEY_ID"), env_text("AWS_SECRET_ACCESS_KEY"), env_text("AWS_SESSION_TOKEN")},
                    "environment");
  } else {
    return Error{Code::kInvalid, source +
                                     ": role_arn wants a source_profile, a credential_source or a "
                                     "web_identity_token_file"};
  }
  return assumed_role(std::move(base), role);
}

bool has_credentials(const Profiles& profiles, const std::string& name) {
  const auto at = profiles.find(name);
  return at != profiles.end() && (at->second.contains("aws_access_key_id") || at->second.contains("role_arn"));
}

Result<std::unique_ptr<Credentials>> first_of_chain(const ChainOptions& options) {
  if (!options.keys.access_key.empty() || !options.keys.secret_key.empty()) {
    if (options.keys.access_key.empty() || options.keys.secret_key.empty())
      return Error{Code::kInvalid, "an access key and its secret key go together: one is missing"};
    return static_keys(options.keys, "configuration");
  }
  const std::string named = options.profile.empty() ? env_text("AWS_PROFILE") : options.profile;
  if (options.profile.empty() && env("AWS_ACCESS_KEY_ID") != nullptr) {
    if (env("AWS_SECRET_ACCESS_KEY") == nullptr)
      return Error{Code::kInvalid, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"};
    return static_keys(
        {env_text("AWS_ACCESS_KEY_ID"), env_text("AWS_SECRET_ACCESS_KEY"), env_text("AWS_SESSION_TOKEN")},
        "environment");
  }
  const Profiles profiles = load_profiles();
  if (!named.empty()) return from_profile(profiles, named, options.region, kMaxRoles);
  if (env("AWS_WEB_IDENTITY_TOKEN_FILE") != nullptr && env("AWS_ROLE_ARN") != nullptr)
    return web_identity(env("AWS_WEB_IDENTITY_TOKEN_FILE"),
                        {env("AWS_ROLE_ARN"), "", env_text("AWS_ROLE_SESSION_NAME"), options.region});
  if (has_credentials(profiles, "default")) return from_profile(profiles, "default", options.region, kMaxRoles);
  if (env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != nullptr || env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != nullptr)
    return container_credentials();
  return instance_metadata();
}

}  // namespace

std::unique_ptr<Credentials> static_keys(Keys keys, std::string source) {
  return std::make_unique<StaticKeys>(std::move(keys), std::move(source));
}

std::unique_ptr<Credentials> assumed_role(std::unique_ptr<Credentials> base, Role role) {
  return std::make_unique<AssumedRole>(std::move(base), std::move(role));
}

std::unique_ptr<Credentials> web_identity(std::string token_file, Role role) {
  return std::make_unique<WebIdentity>(std::move(token_file), std::move(role));
}

Result<std::unique_ptr<Credentials>> container_credentials() {
  std::string url = env_text("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (const char* relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))
    url = std::string("http://169.254.170.2") + relative;
  if (url.empty()) return Error{Code::kInvalid, "no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI is set"};
  if (!is_near(url))
    return Error{Code::kDenied, "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + io::without_secrets(url) +
                                    " is neither HTTPS nor on this machine"};
  return std::unique_ptr<Credentials>(std::make_unique<Container>(std::move(url)));
}

std::unique_ptr<Credentials> instance_metadata() { return std::make_unique<InstanceMetadata>(); }

void parse_profiles(std::string_view text, Profiles& profiles) {
  std::map<std::string, std::string>* section = nullptr;
  while (!text.empty()) {
    const std::string_view raw = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), raw.size() + 1));
    const bool nested = raw.starts_with(' ') || raw.starts_with('\t');  // a value of several lines, as "s3 ="
    const std::string line = trimmed(std::string(raw));
    if (line.empty() || line[0] == '#' || line[0] == ';' || nested) continue;
    if (line[0] == '[') {
      std::string name = trimmed(line.substr(1, line.find(']') - 1));
      if (name.starts_with("profile ")) name = trimmed(name.substr(8));
      section = &profiles[name];
      continue;
    }
    const size_t equals = line.find('=');
    if (section == nullptr || equals == std::string::npos) continue;
    std::string value = trimmed(line.substr(equals + 1));
    if (const size_t comment = value.find(" #"); comment != std::string::npos)
      value = trimmed(value.substr(0, comment));
    section->emplace(trimmed(line.substr(0, equals)), std::move(value));
  }
}

Profiles load_profiles() {
  const std::string home = env_text("HOME") + "/.aws/";
  Profiles profiles;
  // What the credentials file says goes before what the other one says of the same profile.
  const std::pair<const char*, const char*> files[] = {{"AWS_SHARED_CREDENTIALS_FILE", "credentials"},
                                                       {"AWS_CONFIG_FILE", "config"}};
  for (const auto& [variable, name] : files) {
    const char* named = env(variable);
    if (const auto text = read_small_file(named != nullptr ? named : home + name)) parse_profiles(*text, profiles);
  }
  return profiles;
}

Result<std::unique_ptr<Credentials>> chain(const ChainOptions& options) {
  auto found = first_of_chain(options);
  if (!found || options.role.arn.empty()) return found;
  return assumed_role(*std::move(found), options.role);
}

std::string region_of_environment(const std::string& profile) {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (const char* region = env(name)) return region;
  const Profiles profiles = load_profiles();
  const std::string named = !profile.empty() ? profile : env("AWS_PROFILE") != nullptr ? env("AWS_PROFILE") : "default";
  const auto at = profiles.find(named);
  return at == profiles.end() ? std::string() : value_of(at->second, "region");
}

KeyCache::KeyCache(std::unique_ptr<Credentials> credentials, std::function<Timestamp()> now)
    : credentials_(std::move(credentials)), now_(std::move(now)) {}

Result<Keys> KeyCache::keys(io::HttpClient& http) {
  const std::lock_guard lock(mutex_);
  const Timestamp time = now_();
  if (lease_ && (!lease_->until || time < refresh_)) return lease_->keys;
  auto fresh = credentials_->fetch(http, time);
  if (!fresh) {
    // Keys that are good for some minutes yet are better than none.
    if (lease_ && time < *lease_->until) return lease_->keys;
    return std::move(fresh).error();
  }
  lease_ = *std::move(fresh);
  // Keys that live shorter than the margin are used for half their life.
  if (lease_->until) refresh_ = time + std::max((*lease_->until - time) / 2, *lease_->until - time - kRefreshBefore);
  return lease_->keys;
}

bool KeyCache::refused(const Keys& keys) {
  const std::lock_guard lock(mutex_);
  if (!lease_ || lease_->keys.access_key != keys.access_key) return true;
  if (!lease_->until) return false;
  lease_.reset();
  return true;
}

}  // namespace baleen::store::s3
