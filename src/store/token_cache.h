#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "io/http_client.h"

// OAuth 2.0 bearer tokens (RFC 6749, RFC 6750), as Google's and Microsoft's stores want them.

namespace baleen::store {

struct Token {
  std::string value;
  std::chrono::seconds lifetime{0};
};

/// Where access tokens come from. One thread at a time.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  /// A new token; `now` is the time as the other side has it.
  virtual Result<Token> fetch(io::HttpClient& http, Timestamp now) = 0;
  /// "service account x@y (key)", for messages; never a secret.
  virtual std::string identity() const = 0;
};

/// Sends a form; the answer comes whatever its status.
Result<io::HttpAnswer> post_form(io::HttpClient& http, const std::string& url, const std::string& form,
                                 std::vector<std::pair<std::string, std::string>> headers = {});
/// The token in an answer, or what the refusal means (RFC 6749 5.1, 5.2).
Result<Token> read_token(const io::HttpAnswer& answer, std::string_view what);
Error token_error(const io::HttpAnswer& answer, std::string_view what);

/// One token for all threads, fetched anew four minutes before its end or when it was refused.
///
/// A token that a wrong clock of ours made be refused ("invalid_grant") is asked for once more with the time of the
/// server's own Date header.
class TokenCache {
 public:
  TokenCache(std::unique_ptr<TokenSource> source, std::function<Timestamp()> now);

  /// The value of an Authorization header, or nothing when there are no credentials (an emulator).
  Result<std::string> authorization(io::HttpClient& http);
  /// The store answered 401 to `authorization`: the next call fetches a new one.
  void refused(const std::string& authorization);
  /// The Date of an answer: how far our clock is off.
  void saw_date(std::string_view date);
  std::optional<std::chrono::seconds> skew() const;
  std::string identity() const;

 private:
  std::unique_ptr<TokenSource> source_;
  std::function<Timestamp()> now_;
  mutable std::mutex mutex_;  // held while a token is fetched: the others wait for it
  std::string authorization_;
  Timestamp until_{};
  mutable std::mutex skew_mutex_;
  std::optional<std::chrono::seconds> skew_;
};

}  // namespace baleen::store
