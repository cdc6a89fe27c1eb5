#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "io/http_client.h"

namespace baleen::store::gcs {

struct Token {
  std::string value;
  std::chrono::seconds lifetime{0};
};

/// Where access tokens come from. One thread at a time.
class Credentials {
 public:
  virtual ~Credentials() = default;
  /// A new token; `now` is the time as the other side has it.
  virtual Result<Token> fetch(io::HttpClient& http, Timestamp now) = 0;
  /// "service account x@y (key)", for messages; never a secret.
  virtual std::string identity() const = 0;
};

/// A service account's key, as its JSON file has it. A JWT signed with it is changed for a token at its "token_uri"
/// (RFC 7523).
Result<std::unique_ptr<Credentials>> service_account(std::string_view key_json, std::string source);
/// Any file that GOOGLE_APPLICATION_CREDENTIALS may name: service_account, authorized_user, external_account.
Result<std::unique_ptr<Credentials>> from_file(const std::string& path);
/// The machine's own account, from the metadata server of Compute Engine and of GKE's Workload Identity.
std::unique_ptr<Credentials> metadata_server();
/// Application default credentials, in Google's order: GOOGLE_APPLICATION_CREDENTIALS, gcloud's file, the metadata
/// server.
Result<std::unique_ptr<Credentials>> application_default();

/// One token for all threads, fetched anew four minutes before its end or when it was refused.
///
/// A token that a wrong clock of ours made be refused ("invalid_grant") is asked for once more with the time of the
/// server's own Date header.
class TokenCache {
 public:
  TokenCache(std::unique_ptr<Credentials> credentials, std::function<Timestamp()> now);

  /// The value of an Authorization header, or nothing when there are no credentials (an emulator).
  Result<std::string> authorization(io::HttpClient& http);
  /// The store answered 401 to `authorization`: the next call fetches a new one.
  void refused(const std::string& authorization);
  /// The Date of an answer: how far our clock is off.
  void saw_date(std::string_view date);
  std::optional<std::chrono::seconds> skew() const;
  std::string identity() const;

 private:
  std::unique_ptr<Credentials> credentials_;
  std::function<Timestamp()> now_;
  mutable std::mutex mutex_;  // held while a token is fetched: the others wait for it
  std::string authorization_;
  Timestamp until_{};
  mutable std::mutex skew_mutex_;
  std::optional<std::chrono::seconds> skew_;
};

}  // namespace baleen::store::gcs
