#include "store/token_cache.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "store/json.h"

namespace baleen::store {
namespace {

constexpr std::chrono::seconds kRefreshBefore{240};

}  // namespace

Error token_error(const io::HttpAnswer& answer, std::string_view what) {
  std::string error, detail;
  if (const auto json = parse_json(answer.body)) {
    error = json_text(*json, "error");
    detail = json_text(*json, "error_description");
  }
  std::string text = fmt::format("{}: {} {}", what, answer.status, error);
  if (!detail.empty()) text += ": " + detail;
  Code code = io::code_of_status(answer.status);
  if (answer.status == 400) code = Code::kDenied;  // RFC 6749 5.2: invalid_grant, invalid_client
  return Error{code, std::move(text), io::retry_after(answer)};
}

Result<Token> read_token(const io::HttpAnswer& answer, std::string_view what) {
  if (!answer.ok()) return token_error(answer, what);
  const auto json = parse_json(answer.body);
  Token token;
  if (json) token.value = json_text(*json, "access_token");
  if (token.value.empty()) return Error{Code::kUnavailable, std::string(what) + ": the answer has no access_token"};
  const std::string lifetime = json_text(*json, "expires_in");
  token.lifetime =
      std::chrono::seconds(lifetime.empty() ? 3600 : std::clamp(std::atoll(lifetime.c_str()), 0LL, 86400LL));
  return token;
}

Result<io::HttpAnswer> post_form(io::HttpClient& http, const std::string& url, const std::string& form,
                                 std::vector<std::pair<std::string, std::string>> headers) {
  io::HttpRequest request;
  request.method = "POST";
  request.url = url;
  request.headers = std::move(headers);
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  request.body = as_bytes(form);
  request.total_timeout = std::chrono::seconds(30);
  request.max_body = 1 << 20;
  return http.send(request);
}

TokenCache::TokenCache(std::unique_ptr<TokenSource> source, std::function<Timestamp()> now)
    : source_(std::move(source)), now_(std::move(now)) {
  if (!now_) now_ = [] { return baleen::now(); };
}

Result<std::string> TokenCache::authorization(io::HttpClient& http) {
  if (!source_) return std::string();
  const std::lock_guard lock(mutex_);
  const Timestamp time = now_();
  if (!authorization_.empty() && time < until_) return authorization_;
  const Result<Token> token = source_->fetch(http, time + skew().value_or(std::chrono::seconds(0)));
  if (!token) {
    Error error = token.error();
    error.unauthenticated = error.code == Code::kDenied;
    return error;
  }
  authorization_ = "Bearer " + token->value;
  // A token that lives shorter than the margin is used for half its life.
  until_ = time + std::max(token->lifetime - kRefreshBefore, token->lifetime / 2);
  return authorization_;
}

void TokenCache::refused(const std::string& authorization) {
  const std::lock_guard lock(mutex_);
  if (authorization_ == authorization) authorization_.clear();
}

void TokenCache::saw_date(std::string_view date) {
  const auto theirs = io::parse_http_date(date);
  if (!theirs) return;
  const auto skew = std::chrono::duration_cast<std::chrono::seconds>(*theirs - now_());
  const std::lock_guard lock(skew_mutex_);
  skew_ = skew;
}

std::optional<std::chrono::seconds> TokenCache::skew() const {
  const std::lock_guard lock(skew_mutex_);
  return skew_;
}

std::string TokenCache::identity() const { return source_ ? source_->identity() : "no credentials (emulator)"; }

}  // namespace baleen::store
