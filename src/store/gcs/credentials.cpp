#include "store/gcs/credentials.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "io/crypto.h"
#include "store/environment.h"
#include "store/json.h"

namespace baleen::store::gcs {
namespace {

constexpr char kScope[] = "https://www.googleapis.com/auth/devstorage.read_write";
constexpr char kCloudScope[] = "https://www.googleapis.com/auth/cloud-platform";
constexpr std::chrono::seconds kTolerableSkew{60};

class ServiceAccount : public Credentials {
 public:
  std::string email, key, key_id, token_uri, source;

  Result<Token> fetch(io::HttpClient& http, Timestamp now) override {
    Exchange first = exchange(http, now);
    if (first.token || first.token.error().code != Code::kDenied) return std::move(first.token);
    // A JWT is good for an hour around the server's time. Was it ours that was wrong?
    const auto theirs = io::parse_http_date(first.date);
    if (!theirs) return std::move(first.token);
    const auto skew = std::chrono::duration_cast<std::chrono::seconds>(*theirs - now);
    if (std::chrono::abs(skew) < kTolerableSkew) return std::move(first.token);
    log::warning("this machine's clock is {} s {}: signing for {} with the server's time",
                 std::chrono::abs(skew).count(), skew.count() > 0 ? "slow" : "fast", email);
    Exchange second = exchange(http, *theirs);
    if (second.token) return std::move(second.token);
    return std::move(second.token)
        .error()
        .in(fmt::format("this machine's clock is {} s {}, and with the server's time", std::chrono::abs(skew).count(),
                        skew.count() > 0 ? "slow" : "fast"));
  }

  std::string identity() const override { return fmt::format("service account {} ({})", email, source); }

 private:
  struct Exchange {
    Result<Token> token{Error{}};
    std::string date;  // how late it is there
  };

  Exchange exchange(io::HttpClient& http, Timestamp now) {
    const int64_t seconds = to_ns(now) / 1'000'000'000;
    const nlohmann::json claims{
        {"iss", email}, {"scope", kScope}, {"aud", token_uri}, {"iat", seconds}, {"exp", seconds + 3600}};
    Exchange out;
    const auto jwt = io::sign_jwt(dump_json(claims), key, key_id);
    if (!jwt) {
      out.token = jwt.error().in(identity());
      return out;
    }
    const auto answer = post_form(
        http, token_uri,
        "grant_type=" + io::percent_encode("urn:ietf:params:oauth:grant-type:jwt-bearer") + "&assertion=" + *jwt);
    if (!answer) {
      out.token = answer.error().in("token for " + email);
      return out;
    }
    out.date = answer->header("date");
    out.token = read_token(*answer, "token for " + email);
    return out;
  }
};

/// gcloud auth application-default login: a person's refresh token (RFC 6749 6).
class AuthorizedUser : public Credentials {
 public:
  std::string client_id, client_secret, refresh_token, token_uri, source;

  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    const std::string form = "grant_type=refresh_token&client_id=" + io::percent_encode(client_id) +
                             "&client_secret=" + io::percent_encode(client_secret) +
                             "&refresh_token=" + io::percent_encode(refresh_token);
    BALEEN_TRY(const io::HttpAnswer answer, post_form(http, token_uri, form));
    return read_token(answer, "token for the user of " + source);
  }
  std::string identity() const override { return "the user of " + source; }
};

/// Workload identity federation (RFC 8693): somebody else's token, from a file or an address, for one of Google's.
class ExternalAccount : public Credentials {
 public:
  nlohmann::json config;
  std::string source;

  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    BALEEN_TRY(const std::string subject, subject_token(http));
    const std::string impersonate = json_text(config, "service_account_impersonation_url");
    const std::string form =
        "grant_type=" + io::percent_encode("urn:ietf:params:oauth:grant-type:token-exchange") +
        "&requested_token_type=" + io::percent_encode("urn:ietf:params:oauth:token-type:access_token") +
        "&audience=" + io::percent_encode(json_text(config, "audience")) +
        "&scope=" + io::percent_encode(impersonate.empty() ? kScope : kCloudScope) +
        "&subject_token_type=" + io::percent_encode(json_text(config, "subject_token_type")) +
        "&subject_token=" + io::percent_encode(subject);
    BALEEN_TRY(const io::HttpAnswer answer, post_form(http, json_text(config, "token_url"), form));
    BALEEN_TRY(Token token, read_token(answer, "token exchange for " + source));
    if (impersonate.empty()) return token;

    const std::string body = dump_json({{"scope", {kScope}}, {"lifetime", "3600s"}});
    io::HttpRequest request;
    request.method = "POST";
    request.url = impersonate;
    request.headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer " + token.value}};
    request.body = as_bytes(body);
    request.total_timeout = std::chrono::seconds(30);
    BALEEN_TRY(const io::HttpAnswer account, http.send(request));
    if (!account.ok()) return token_error(account, "impersonating the service account of " + source);
    const auto json = parse_json(account.body);
    Token out;
    if (json) out.value = json_text(*json, "accessToken");
    if (out.value.empty()) return Error{Code::kUnavailable, "impersonating: the answer has no accessToken"};
    out.lifetime = std::chrono::seconds(3600);
    return out;
  }
  std::string identity() const override { return "workload identity of " + source; }

 private:
  Result<std::string> subject_token(io::HttpClient& http) {
    const auto from = config.find("credential_source");
    if (from == config.end() || !from->is_object()) return Error{Code::kInvalid, source + ": no credential_source"};
    std::string text;
    if (const std::string file = json_text(*from, "file"); !file.empty()) {
      BALEEN_TRY(text, read_small_file(file));
    } else if (const std::string url = json_text(*from, "url"); !url.empty()) {
      io::HttpRequest request;
      request.url = url;
      request.total_timeout = std::chrono::seconds(30);
      if (const auto headers = from->find("headers"); headers != from->end() && headers->is_object())
        for (const auto& [name, value] : headers->items())
          if (value.is_string()) request.headers.emplace_back(name, value.get<std::string>());
      BALEEN_TRY(const io::HttpAnswer answer, http.send(request));
      if (!answer.ok()) return token_error(answer, "subject token of " + source);
      text = answer.body;
    } else {
      return Error{Code::kInvalid,
                   source + ": its credential_source is neither a file nor a url; others are not supported"};
    }
    const auto format = from->find("format");
    if (format != from->end() && format->is_object() && json_text(*format, "type") == "json") {
      const auto json = parse_json(text);
      const std::string name = json_text(*format, "subject_token_field_name");
      text = json ? json_text(*json, name.c_str()) : std::string();
    }
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    if (text.empty()) return Error{Code::kInvalid, source + ": the subject token is empty"};
    return text;
  }
};

class MetadataServer : public Credentials {
 public:
  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    const char* host = env("GCE_METADATA_HOST");
    if (host == nullptr) host = env("GCE_METADATA_ROOT");  // the older name
    io::HttpRequest request;
    request.url = fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token?scopes={}",
                              host != nullptr ? host : "metadata.google.internal", io::percent_encode(kScope));
    request.headers = {{"Metadata-Flavor", "Google"}};
    request.connect_timeout = std::chrono::seconds(3);
    request.total_timeout = std::chrono::seconds(15);
    auto answer = http.send(request);
    if (!answer)
      return std::move(answer).error().in(
          "no credentials were given or found, and the metadata server does not answer");
    if (answer->header("metadata-flavor") != "Google")
      return Error{Code::kDenied,
                   "no credentials were given or found, and there is no metadata server of Google's here"};
    if (answer->status == 404) return Error{Code::kDenied, "this machine or pod has no service account"};
    return read_token(*answer, "token from the metadata server");
  }
  std::string identity() const override { return "the machine's own service account (metadata server)"; }
};

Result<std::unique_ptr<Credentials>> from_json(std::string_view text, std::string source) {
  const auto json = parse_json(text);
  if (!json) return Error{Code::kInvalid, source + ": not a JSON object"};
  const std::string type = json_text(*json, "type");
  if (type == "service_account") return service_account(text, std::move(source));
  if (type == "authorized_user") {
    auto user = std::make_unique<AuthorizedUser>();
    user->client_id = json_text(*json, "client_id");
    user->client_secret = json_text(*json, "client_secret");
    user->refresh_token = json_text(*json, "refresh_token");
    user->token_uri =
        json->contains("token_uri") ? json_text(*json, "token_uri") : "https://oauth2.googleapis.com/token";
    if (user->refresh_token.empty()) return Error{Code::kInvalid, source + ": no refresh_token"};
    user->source = std::move(source);
    return std::unique_ptr<Credentials>(std::move(user));
  }
  if (type == "external_account") {
    auto account = std::make_unique<ExternalAccount>();
    if (json_text(*json, "token_url").empty()) return Error{Code::kInvalid, source + ": no token_url"};
    account->config = *json;
    account->source = std::move(source);
    return std::unique_ptr<Credentials>(std::move(account));
  }
  return Error{
      Code::kInvalid,
      fmt::format("{}: type \"{}\" is none of service_account, authorized_user, external_account", source, type)};
}

}  // namespace

Result<std::unique_ptr<Credentials>> service_account(std::string_view key_json, std::string source) {
  const auto json = parse_json(key_json);
  if (!json) return Error{Code::kInvalid, source + ": the service-account key is not a JSON object"};
  auto account = std::make_unique<ServiceAccount>();
  account->email = json_text(*json, "client_email");
  account->key = json_text(*json, "private_key");
  account->key_id = json_text(*json, "private_key_id");
  account->token_uri =
      json->contains("token_uri") ? json_text(*json, "token_uri") : "https://oauth2.googleapis.com/token";
  account->source = source;
  for (const char* name : {"client_email", "private_key"})
    if (json_text(*json, name).empty())
      return Error{Code::kInvalid, fmt::format("{}: the service-account key has no {}", source, name)};
  // A key that cannot sign is said now and not at the first upload.
  if (auto probe = io::sign_jwt("{}", account->key, account->key_id); !probe)
    return std::move(probe).error().in(source);
  return std::unique_ptr<Credentials>(std::move(account));
}

Result<std::unique_ptr<Credentials>> from_file(const std::string& path) {
  BALEEN_TRY(const std::string text, read_small_file(path));
  return from_json(text, path);
}

std::unique_ptr<Credentials> metadata_server() { return std::make_unique<MetadataServer>(); }

Result<std::unique_ptr<Credentials>> application_default() {
  if (const char* path = env("GOOGLE_APPLICATION_CREDENTIALS")) {
    auto credentials = from_file(path);
    if (!credentials) return std::move(credentials).error().in("GOOGLE_APPLICATION_CREDENTIALS");
    return credentials;
  }
  std::string folder;
  if (const char* config = env("CLOUDSDK_CONFIG")) {
    folder = config;
  } else if (const char* home = env("HOME")) {
    folder = std::string(home) + "/.config/gcloud";
  }
  const std::string path = folder + "/application_default_credentials.json";
  struct stat facts{};
  if (!folder.empty() && ::stat(path.c_str(), &facts) == 0) return from_file(path);
  return metadata_server();
}

}  // namespace baleen::store::gcs
