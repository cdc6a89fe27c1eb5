#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace baleen::io {

class Bandwidth;
class ByteSource;

/// One HTTP request. Everything it points to outlives the call of HttpClient::send.
struct HttpRequest {
  std::string method = "GET";
  std::string url;                                             // http or https only
  std::vector<std::pair<std::string, std::string>> headers{};  // an empty value sends the header empty

  /// The body: bytes, or `body_length` bytes of a source from `body_offset` when there is one.
  Bytes body{};
  const ByteSource* body_source = nullptr;
  uint64_t body_offset = 0, body_length = 0;
  uint64_t body_size() const { return body_source != nullptr ? body_length : body.size(); }

  /// Pieces of a 2xx answer's body, instead of HttpAnswer::body. Returning false stops the transfer (kIo).
  std::function<bool(Bytes)> sink{};
  /// A longer body of a 2xx answer is an error (kInvalid). Other answers' bodies are cut at 64 KiB.
  uint64_t max_body = uint64_t{256} << 20;

  /// Bytes of the body handed to the network so far; called by the sending thread.
  std::function<void(uint64_t)> on_sent{};
  Bandwidth* bandwidth = nullptr;
  /// True from any thread ends the transfer within about a second (kIo, "cancelled").
  const std::atomic<bool>* cancel = nullptr;

  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds idle_timeout{60'000};  // no byte either way for so long; looked at once a second
  std::chrono::milliseconds total_timeout{0};      // zero: none
};

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  /// The first header of that name (in lower case), or nothing.
  std::string_view header(std::string_view name) const;
};

struct HttpOptions {
  std::string proxy;  // empty: http_proxy, https_proxy, no_proxy as libcurl reads them
  std::string
      ca_file;  // PEM; empty: SSL_CERT_FILE, then the system's. Takes the place of the system's, does not add to it
  std::string user_agent = "baleen";
};

/// A blocking HTTP/1.1 and HTTP/2 client. Any thread, many at once: each call takes a handle, with its open
/// connections, from a pool. Redirects are answers and are not followed, so that credentials go nowhere they were not
/// sent.
///
/// Errors: kTimeout; kUnavailable for a connection refused, cut or not resolved; kDenied for a certificate that is not
/// trusted; kInvalid for a wrong URL or an answer over its limit. Any status is an answer, not an error. Messages name
/// the host and path, never the query, headers or bodies: those hold secrets.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Result<HttpAnswer> send(const HttpRequest& request);

 private:
  class Pool;
  HttpOptions options_;
  std::unique_ptr<Pool> pool_;
};

/// The decision that a status means for a caller: 408, 429 and 5xx may be tried again, 404 and 410 are kNotFound, 409
/// and 412 kConflict, 401, 403 and 407 kDenied, the rest kInvalid (RFC 9110 15).
Code code_of_status(int status);
/// "Retry-After" in seconds or as a date (RFC 9110 10.2.3), against the answer's own Date; zero when absent or odd.
std::chrono::milliseconds retry_after(const HttpAnswer& answer);
/// A date of RFC 9110 5.6.7.
std::optional<Timestamp> parse_http_date(std::string_view text);
/// Percent-encodes all but unreserved characters (RFC 3986 2.3) and those in `keep`.
std::string percent_encode(std::string_view text, std::string_view keep = "");
/// Undoes percent_encode; what is not an escape stays as it is.
std::string percent_decode(std::string_view text);
/// The URL without query, fragment and user name: fit for a message.
std::string without_secrets(std::string_view url);

}  // namespace baleen::io
