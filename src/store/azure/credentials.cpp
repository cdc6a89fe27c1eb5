#include "store/azure/credentials.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <map>

#include "io/crypto.h"
#include "store/environment.h"
#include "store/json.h"

namespace baleen::store::azure {
namespace {

constexpr char kResource[] = "https://storage.azure.com/";
constexpr std::string_view kDevelopmentAccount = "devstoreaccount1";  // published, of the emulators
constexpr char kDevelopmentKey[] =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

std::string token_url() {
  std::string authority =
      env("AZURE_AUTHORITY_HOST") != nullptr ? env("AZURE_AUTHORITY_HOST") : "https://login.microsoftonline.com";
  while (authority.ends_with('/')) authority.pop_back();
  return fmt::format("{}/{}/oauth2/v2.0/token", authority, io::percent_encode(env_text("AZURE_TENANT_ID")));
}

std::string client_form() {
  return fmt::format("grant_type=client_credentials&client_id={}&scope={}",
                     io::percent_encode(env_text("AZURE_CLIENT_ID")),
                     io::percent_encode(std::string(kResource) + ".default"));
}

class WorkloadIdentity : public TokenSource {
 public:
  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    auto token = read_small_file(env_text("AZURE_FEDERATED_TOKEN_FILE"));
    if (!token) return std::move(token).error().in("AZURE_FEDERATED_TOKEN_FILE");
    const std::string form = client_form() + "&client_assertion_type=" +
                             io::percent_encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") +
                             "&client_assertion=" + io::percent_encode(trimmed(*std::move(token)));
    BALEEN_TRY(const io::HttpAnswer answer, post_form(http, token_url(), form));
    return read_token(answer, "token for the " + identity());
  }
  std::string identity() const override {
    return fmt::format("workload identity {} (tenant {})", env_text("AZURE_CLIENT_ID"), env_text("AZURE_TENANT_ID"));
  }
};

class ClientSecret : public TokenSource {
 public:
  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    const std::string form = client_form() + "&client_secret=" + io::percent_encode(env_text("AZURE_CLIENT_SECRET"));
    BALEEN_TRY(const io::HttpAnswer answer, post_form(http, token_url(), form));
    return read_token(answer, "token for the " + identity());
  }
  std::string identity() const override {
    return fmt::format("application {} (tenant {}, client secret)", env_text("AZURE_CLIENT_ID"),
                       env_text("AZURE_TENANT_ID"));
  }
};

class ManagedIdentity : public TokenSource {
 public:
  Result<Token> fetch(io::HttpClient& http, Timestamp) override {
    io::HttpRequest request;
    request.connect_timeout = std::chrono::seconds(3);
    request.total_timeout = std::chrono::seconds(15);
    request.max_body = 1 << 20;
    const std::string resource = io::percent_encode(kResource);
    if (const char* service = env("IDENTITY_ENDPOINT"); service != nullptr && env("IDENTITY_HEADER") != nullptr) {
      request.url = fmt::format("{}?api-version=2019-08-01&resource={}", service, resource);
      request.headers = {{"X-IDENTITY-HEADER", env_text("IDENTITY_HEADER")}};
    } else {
      const char* host = env("AZURE_POD_IDENTITY_AUTHORITY_HOST");
      request.url = fmt::format("{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}",
                                host != nullptr ? host : "http://169.254.169.254", resource);
      request.headers = {{"Metadata", "true"}};
    }
    if (const char* client = env("AZURE_CLIENT_ID")) request.url += "&client_id=" + io::percent_encode(client);
    auto answer = http.send(request);
    if (!answer)
      return std::move(answer).error().in(
          "no credentials were given or found, and the metadata service does not answer");
    return read_token(*answer, "token for " + identity());
  }
  std::string identity() const override {
    const char* client = env("AZURE_CLIENT_ID");
    return client != nullptr ? fmt::format("managed identity {}", client) : "the machine's managed identity";
  }
};

/// "AccountName=...;AccountKey=...;BlobEndpoint=...": names and values.
std::map<std::string, std::string> parse_connection_string(std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos) out[std::string(pair.substr(0, equals))] = pair.substr(equals + 1);
  }
  return out;
}

/// What is left to say of an account once its name and a way in are known.
Result<Access> with_key(Access access, const std::string& key, const char* source) {
  const auto bytes = io::base64_decode(key);
  if (!bytes || bytes->empty()) return Error{Code::kInvalid, fmt::format("the account key ({}) is not base64", source)};
  access.key = *bytes;
  access.identity = fmt::format("key of account {} ({})", access.account, source);
  return access;
}

Access with_sas(Access access, std::string sas, const char* source) {
  if (sas.starts_with('?')) sas.erase(0, 1);
  access.sas = std::move(sas);
  access.identity = fmt::format("shared access signature for account {} ({})", access.account, source);
  return access;
}

Result<Access> from_connection_string(Access access, const std::string& text, const char* source) {
  auto parts = parse_connection_string(text);
  if (parts["UseDevelopmentStorage"] == "true") {
    parts["AccountName"] = kDevelopmentAccount;
    parts["AccountKey"] = kDevelopmentKey;
    parts["BlobEndpoint"] = "http://127.0.0.1:10000/" + std::string(kDevelopmentAccount);
  }
  if (access.account.empty()) access.account = parts["AccountName"];
  const bool same = parts["AccountName"].empty() || parts["AccountName"] == access.account;
  if (!same)
    return Error{Code::kInvalid, fmt::format("the connection string ({}) is for account {}, the location for {}",
                                             source, parts["AccountName"], access.account)};
  if (access.endpoint.empty()) access.endpoint = parts["BlobEndpoint"];
  if (access.endpoint.empty() && !parts["EndpointSuffix"].empty())
    access.endpoint = fmt::format(
        "{}://{}.blob.{}", parts["DefaultEndpointsProtocol"].empty() ? "https" : parts["DefaultEndpointsProtocol"],
        access.account, parts["EndpointSuffix"]);
  if (!parts["AccountKey"].empty()) return with_key(std::move(access), parts["AccountKey"], source);
  if (!parts["SharedAccessSignature"].empty())
    return with_sas(std::move(access), parts["SharedAccessSignature"], source);
  return Error{Code::kInvalid, fmt::format("the connection string ({}) has neither a key nor a signature", source)};
}

Result<Access> find_way_in(Access access, const OpenOptions& options) {
  if (!options.azure_connection_string.empty())
    return from_connection_string(std::move(access), options.azure_connection_string, "configuration");
  if (!options.azure_key.empty()) return with_key(std::move(access), options.azure_key, "configuration");
  if (!options.azure_sas.empty()) return with_sas(std::move(access), options.azure_sas, "configuration");
  if (const char* text = env("AZURE_STORAGE_CONNECTION_STRING"))
    return from_connection_string(std::move(access), text, "environment");
  if (const char* key = env("AZURE_STORAGE_KEY")) return with_key(std::move(access), key, "environment");
  if (const char* sas = env("AZURE_STORAGE_SAS_TOKEN")) return with_sas(std::move(access), sas, "environment");
  const bool client = env("AZURE_CLIENT_ID") != nullptr && env("AZURE_TENANT_ID") != nullptr;
  if (client && env("AZURE_FEDERATED_TOKEN_FILE") != nullptr) {
    access.tokens = workload_identity();
  } else if (client && env("AZURE_CLIENT_SECRET") != nullptr) {
    access.tokens = client_secret();
  } else {
    access.tokens = managed_identity();
  }
  access.identity = access.tokens->identity();
  return access;
}

/// "Fri, 26 Jun 2015 23:39:12 GMT"
std::string http_date(Timestamp now) {
  const std::time_t seconds = to_ns(now) / 1'000'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

std::unique_ptr<TokenSource> workload_identity() { return std::make_unique<WorkloadIdentity>(); }
std::unique_ptr<TokenSource> client_secret() { return std::make_unique<ClientSecret>(); }
std::unique_ptr<TokenSource> managed_identity() { return std::make_unique<ManagedIdentity>(); }

Result<Access> find_access(const std::string& account_of_location, const OpenOptions& options) {
  Access access;
  access.account = account_of_location;
  if (access.account.empty()) access.account = options.azure_account;
  if (access.account.empty()) access.account = env_text("AZURE_STORAGE_ACCOUNT");
  access.endpoint = options.endpoint;
  BALEEN_TRY(access, find_way_in(std::move(access), options));
  if (access.account.empty())
    return Error{Code::kInvalid,
                 "no storage account: name it as in azblob://container@account/prefix, or set AZURE_STORAGE_ACCOUNT"};
  if (access.endpoint.empty()) access.endpoint = fmt::format("https://{}.blob.core.windows.net", access.account);
  while (access.endpoint.ends_with('/')) access.endpoint.pop_back();
  return access;
}

std::string string_to_sign(const io::HttpRequest& request, const std::string& account) {
  std::map<std::string, std::string> headers, ours;
  for (const auto& [name, value] : request.headers) {
    const std::string key = lower(name);
    (key.starts_with("x-ms-") ? ours : headers)[key] = trimmed(value);
  }
  const uint64_t length = request.body_size();
  std::string out = request.method + "\n";
  for (const char* name : {"content-encoding", "content-language", "content-length", "content-md5", "content-type",
                           "date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"}) {
    if (std::string_view(name) == "content-length") {
      if (length != 0) out += std::to_string(length);
    } else {
      out += headers[name];
    }
    out += '\n';
  }
  for (const auto& [name, value] : ours) out += fmt::format("{}:{}\n", name, value);

  std::string_view url = request.url;
  url.remove_prefix(std::min(url.size(), url.find("://") + 3));
  url.remove_prefix(std::min(url.size(), url.find('/')));
  out += fmt::format("/{}{}", account, url.substr(0, url.find('?')));
  std::map<std::string, std::vector<std::string>> query;
  if (const size_t mark = url.find('?'); mark != std::string_view::npos) {
    std::string_view rest = url.substr(mark + 1);
    while (!rest.empty()) {
      const std::string_view pair = rest.substr(0, rest.find('&'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      const size_t equals = std::min(pair.find('='), pair.size());
      query[lower(io::percent_decode(pair.substr(0, equals)))].push_back(
          io::percent_decode(pair.substr(std::min(equals + 1, pair.size()))));
    }
  }
  for (auto& [name, values] : query) {
    std::sort(values.begin(), values.end());
    out += fmt::format("\n{}:", name);
    for (size_t i = 0; i < values.size(); ++i) out += (i == 0 ? "" : ",") + values[i];
  }
  return out;
}

void sign(io::HttpRequest& request, const std::string& account, const std::string& key, Timestamp now) {
  request.headers.emplace_back("x-ms-date", http_date(now));
  const io::Sha256 signature = io::hmac_sha256(as_bytes(key), as_bytes(string_to_sign(request, account)));
  request.headers.emplace_back("Authorization", fmt::format("SharedKey {}:{}", account, io::base64(signature)));
}

}  // namespace baleen::store::azure
