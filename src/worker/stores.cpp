#include "worker/stores.h"

#include "io/crypto.h"
#include "store/environment.h"

namespace baleen::worker {
namespace {

using std::chrono::milliseconds;

/// A secret from the file that a key of the configuration names, without white space at its ends; nothing without one.
Result<std::string> secret(const char* key, const std::string& path) {
  if (path.empty()) return std::string();
  auto text = store::read_small_file(path);
  if (!text) return std::move(text).error().in(key);
  std::string out = store::trimmed(*std::move(text));
  if (out.empty()) return Error{Code::kInvalid, std::string(key) + ": " + path + " is empty"};
  return out;
}

Result<> use_bucket(const BucketConfig& bucket, const std::string& kind, store::OpenOptions& options) {
  options.endpoint = bucket.endpoint;
  options.objects.storage_class = bucket.storage_class;
  options.objects.encryption_key_name = bucket.encryption;
  const std::string key = kind + ".customerKeyFile";
  BALEEN_TRY(const std::string text, secret(key.c_str(), bucket.customer_key_file));
  if (text.empty()) return {};
  const auto bytes = io::base64_decode(text);
  if (!bytes || bytes->size() != 32)
    return Error{Code::kInvalid, key + ": expected 32 bytes as base64, as `openssl rand -base64 32` makes them"};
  options.objects.customer_key = *bytes;
  return {};
}

Result<> use_s3(const S3Config& s3, store::OpenOptions& options) {
  BALEEN_TRY_DO(use_bucket(s3, "s3", options));
  options.s3_region = s3.region;
  options.s3_profile = s3.profile;
  options.s3_access_key = s3.access_key;
  BALEEN_TRY(options.s3_secret_key, secret("s3.secretKeyFile", s3.secret_key_file));
  BALEEN_TRY(options.s3_session_token, secret("s3.sessionTokenFile", s3.session_token_file));
  options.s3_role_arn = s3.role_arn;
  options.s3_external_id = s3.external_id;
  options.s3_requester_pays = s3.requester_pays;
  if (s3.path_style != "auto" && !s3.path_style.empty()) options.s3_path_style = s3.path_style == "true";
  if (s3.sign_payload != "auto" && !s3.sign_payload.empty()) options.s3_sign_payload = s3.sign_payload == "true";
  return {};
}

Result<> use_azure(const AzureConfig& azure, store::OpenOptions& options) {
  BALEEN_TRY_DO(use_bucket(azure, "azblob", options));
  options.azure_account = azure.account;
  BALEEN_TRY(options.azure_key, secret("azblob.keyFile", azure.key_file));
  BALEEN_TRY(options.azure_sas, secret("azblob.sasFile", azure.sas_file));
  BALEEN_TRY(options.azure_connection_string, secret("azblob.connectionStringFile", azure.connection_string_file));
  return {};
}

}  // namespace

Result<store::OpenOptions> open_options(const Config& config, const store::Location& location) {
  const StoreConfig& stores = config.stores;
  store::OpenOptions options;
  if (location.scheme == "file") return options;
  options.proxy = stores.proxy;
  options.ca_file = stores.ca_file;
  // A configuration that nobody has read says nothing of time.
  if (stores.idle_timeout.count() > 0)
    options.objects.idle_timeout = std::chrono::duration_cast<milliseconds>(stores.idle_timeout);
  options.objects.request_timeout = std::chrono::duration_cast<milliseconds>(stores.request_timeout);
  options.objects.metadata = stores.metadata;
  if (location.scheme != "gs") options.objects.tags = stores.tags;
  if (location.scheme == "gs") {
    BALEEN_TRY_DO(use_bucket(stores.gcs, "gcs", options));
    options.gcs_user_project = stores.gcs.user_project;
    BALEEN_TRY(options.gcs_service_account_json, secret("gcs.serviceAccountKeyFile", stores.gcs.key_file));
  } else if (location.scheme == "s3") {
    BALEEN_TRY_DO(use_s3(stores.s3, options));
  } else if (location.scheme == "azblob") {
    BALEEN_TRY_DO(use_azure(stores.azure, options));
  }
  return options;
}

}  // namespace baleen::worker
