// One libcurl easy handle per running call, from a pool. A handle keeps its connections open, and the pool is a stack,
// so the handle that was used last, whose connection is warmest, is used next. The lock is held for a push or a pop
// only.
//
// Large bodies go over HTTP/1.1 on purpose: in HTTP/2 libcurl 7.88 sends an upload in frames of 16 KiB through a 64 KiB
// window, and a single stream is slower than a plain connection; multiplexing buys nothing for a blocking client.

#include "io/http_client.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "io/bandwidth.h"
#include "io/byte_source.h"
#include "io/curl_library.h"

namespace baleen::io {
namespace {

constexpr uint64_t kErrorBodyLimit = 64 * 1024;
constexpr uint64_t kHttp2BodyLimit = 1 << 20;
constexpr size_t kIdleHandles = 16;

using Clock = std::chrono::steady_clock;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

/// What the callbacks of one transfer share.
struct Transfer {
  const HttpRequest& request;
  CURL* handle;
  HttpAnswer answer{};
  uint64_t received = 0;
  uint64_t sent = 0;
  Clock::time_point last_progress = Clock::now();
  curl_off_t last_total = -1;
  enum class Stop { kNone, kCancelled, kIdle, kTooLong, kSink, kRead } stop = Stop::kNone;
  std::optional<Error> read_error{};
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {  // a status line: forget the headers of a 1xx before it
    transfer.answer.headers.clear();
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos && transfer.answer.headers.size() < 256)
    transfer.answer.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  return line.size();
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t n = size * count;
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  std::string& body = transfer.answer.body;
  if (status < 200 || status >= 300) {
    if (body.size() < kErrorBodyLimit) body.append(data, std::min<size_t>(n, kErrorBodyLimit - body.size()));
    return n;
  }
  if (transfer.received + n > transfer.request.max_body) {
    transfer.stop = Transfer::Stop::kTooLong;
    return 0;
  }
  transfer.received += n;
  if (transfer.request.sink) {
    if (transfer.request.sink(Bytes(reinterpret_cast<const uint8_t*>(data), n))) return n;
    transfer.stop = Transfer::Stop::kSink;
    return 0;
  }
  if (body.empty()) {
    curl_off_t length = -1;
    curl_easy_getinfo(transfer.handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    // What the other side promises is not believed beyond a bound.
    if (length > 0)
      body.reserve(std::min<uint64_t>({static_cast<uint64_t>(length), transfer.request.max_body, 256u << 20}));
  }
  body.append(data, n);
  return n;
}

size_t on_read(char* out, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const HttpRequest& request = transfer.request;
  uint64_t n = std::min<uint64_t>(size * count, transfer.request.body_size() - transfer.sent);
  if (n == 0) return 0;
  if (request.bandwidth != nullptr) {
    n = std::min(n, request.bandwidth->piece());
    request.bandwidth->take(n);
    transfer.last_progress = Clock::now();  // the wait was ours
  }
  if (request.body_source != nullptr) {
    const auto got = request.body_source->read(request.body_offset + transfer.sent,
                                               {reinterpret_cast<uint8_t*>(out), static_cast<size_t>(n)});
    if (!got) {
      transfer.stop = Transfer::Stop::kRead;
      transfer.read_error = got.error();
      return CURL_READFUNC_ABORT;
    }
    n = *got;
  } else {
    std::copy_n(request.body.data() + transfer.sent, n, out);
  }
  transfer.sent += n;
  if (request.on_sent) request.on_sent(transfer.sent);
  return n;
}

/// libcurl sends a body again when a kept connection turns out to be dead.
int on_seek(void* user, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (origin != SEEK_SET || offset < 0 || static_cast<uint64_t>(offset) > transfer.request.body_size())
    return CURL_SEEKFUNC_FAIL;
  transfer.sent = static_cast<uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t downloaded, curl_off_t, curl_off_t uploaded) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.request.cancel != nullptr && transfer.request.cancel->load(std::memory_order_relaxed)) {
    transfer.stop = Transfer::Stop::kCancelled;
    return 1;
  }
  const auto time = Clock::now();
  if (downloaded + uploaded != transfer.last_total) {
    transfer.last_total = downloaded + uploaded;
    transfer.last_progress = time;
  } else if (transfer.request.idle_timeout.count() > 0 &&
             time - transfer.last_progress > transfer.request.idle_timeout) {
    transfer.stop = Transfer::Stop::kIdle;
    return 1;
  }
  return 0;
}

Code code_of_curl(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return Code::kTimeout;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT: return Code::kInvalid;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return Code::kDenied;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_NOT_BUILT_IN: return Code::kInternal;
    default: return Code::kUnavailable;  // resolving, connecting, TLS, sending, receiving, HTTP/2 framing
  }
}

Error transfer_error(const Transfer& transfer, CURLcode code, const char* detail) {
  const std::string where = transfer.request.method + " " + without_secrets(transfer.request.url);
  switch (transfer.stop) {
    case Transfer::Stop::kCancelled: return Error{Code::kIo, where + ": cancelled"};
    case Transfer::Stop::kIdle:
      return Error{Code::kTimeout,
                   fmt::format("{}: no byte for {} s", where, transfer.request.idle_timeout.count() / 1000.0)};
    case Transfer::Stop::kTooLong:
      return Error{Code::kInvalid,
                   fmt::format("{}: the answer is longer than {} bytes", where, transfer.request.max_body)};
    case Transfer::Stop::kSink: return Error{Code::kIo, where + ": the answer could not be stored"};
    case Transfer::Stop::kRead: return Error(*transfer.read_error).in(where + ": the body");
    case Transfer::Stop::kNone: break;
  }
  Error error{code_of_curl(code), where + ": " + (detail[0] != 0 ? detail : curl_easy_strerror(code))};
  error.unauthenticated = error.code == Code::kDenied;
  return error;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

void set_options(CURL* handle, const HttpRequest& request, const HttpOptions& options, Transfer& transfer,
                 char* detail) {
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_USERAGENT, options.user_agent.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);  // object names may hold "/../"
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  if (request.total_timeout.count() > 0)
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.total_timeout.count()));
  if (!options.proxy.empty()) curl_easy_setopt(handle, CURLOPT_PROXY, options.proxy.c_str());
  if (const char* file = options.ca_file.empty() ? std::getenv("SSL_CERT_FILE") : options.ca_file.c_str();
      file != nullptr)
    curl_easy_setopt(handle, CURLOPT_CAINFO, file);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 512L * 1024);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);

  const uint64_t size = transfer.request.body_size();
  if (request.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else if (size > 0 || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, size > kHttp2BodyLimit ? 512L * 1024 : 64L * 1024);
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
  }
  if (request.method != "HEAD") curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION,
                   size > kHttp2BodyLimit ? long{CURL_HTTP_VERSION_1_1} : long{CURL_HTTP_VERSION_2TLS});
}

}  // namespace

class HttpClient::Pool {
 public:
  ~Pool() {
    for (CURL* handle : idle_) curl_easy_cleanup(handle);
  }
  CURL* take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        CURL* handle = idle_.back();
        idle_.pop_back();
        return handle;
      }
    }
    return curl_easy_init();
  }
  void give(CURL* handle) {
    curl_easy_reset(handle);  // keeps connections, forgets options
    {
      const std::lock_guard lock(mutex_);
      if (idle_.size() < kIdleHandles) {
        idle_.push_back(handle);
        return;
      }
    }
    curl_easy_cleanup(handle);
  }

 private:
  std::mutex mutex_;
  std::vector<CURL*> idle_;
};

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)), pool_(std::make_unique<Pool>()) {}

HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::send(const HttpRequest& request) {
  BALEEN_TRY_DO(load_curl());
  CURL* handle = pool_->take();
  if (handle == nullptr) return Error{Code::kInternal, "curl_easy_init failed"};
  Transfer transfer{request, handle};
  char detail[CURL_ERROR_SIZE] = "";
  set_options(handle, request, options_, transfer, detail);

  std::unique_ptr<curl_slist, FreeList> list;
  const auto add = [&](const std::string& line) { list.reset(curl_slist_append(list.release(), line.c_str())); };
  // libcurl adds these by itself; a server that waits for "100 Continue" would cost a second.
  add("Expect:");
  bool typed = false;
  bool clean = true;
  for (const auto& [name, value] : request.headers) {
    typed |= lower(name) == "content-type";
    clean &= (name + value).find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos;
    add(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!typed) add("Content-Type:");
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list.get());

  Result<HttpAnswer> result = HttpAnswer{};
  if (!clean) {
    result = Error{Code::kInvalid, "a header of the request to " + without_secrets(request.url) + " has a line break"};
  } else if (const CURLcode code = curl_easy_perform(handle); code != CURLE_OK) {
    result = transfer_error(transfer, code, detail);
  } else {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    transfer.answer.status = static_cast<int>(status);
    result = std::move(transfer.answer);
  }
  pool_->give(handle);
  return result;
}

std::string_view HttpAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
    case 407: return Code::kDenied;
    case 404:
    case 410: return Code::kNotFound;
    case 408: return Code::kTimeout;
    case 409:
    case 412: return Code::kConflict;
    case 429: return Code::kUnavailable;
    case 501:
    case 505: return Code::kInvalid;
    default: return status >= 500 && status < 600 ? Code::kUnavailable : Code::kInvalid;
  }
}

std::chrono::milliseconds retry_after(const HttpAnswer& answer) {
  using std::chrono::milliseconds;
  constexpr int64_t kMost = 24 * 3600;
  const std::string_view text = answer.header("retry-after");
  if (text.empty()) return milliseconds{0};
  int64_t seconds = 0;
  if (const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
      error == std::errc{}) {
    if (end != text.data() + text.size()) return milliseconds{0};
    return milliseconds{std::clamp<int64_t>(seconds, 0, kMost) * 1000};
  }
  const auto at = parse_http_date(text);
  if (!at) return milliseconds{0};
  const Timestamp from = parse_http_date(answer.header("date")).value_or(now());
  const int64_t wait = std::chrono::duration_cast<std::chrono::seconds>(*at - from).count();
  return milliseconds{std::clamp<int64_t>(wait, 0, kMost) * 1000};
}

std::optional<Timestamp> parse_http_date(std::string_view text) {
  if (text.empty() || text.size() > 64) return std::nullopt;
  if (!load_curl()) return std::nullopt;
  const time_t seconds = curl_getdate(std::string(text).c_str(), nullptr);
  if (seconds == -1) return std::nullopt;
  return timestamp_from_ns(int64_t{seconds} * 1'000'000'000);
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool unreserved = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                            (byte >= 'a' && byte <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved || keep.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string without_secrets(std::string_view url) {
  std::string out(url.substr(0, url.find_first_of("?#")));
  const size_t host = out.find("://");
  if (host == std::string::npos) return out;
  const size_t slash = out.find('/', host + 3);
  const size_t at = out.rfind('@', slash);
  if (at != std::string::npos && at > host) out.erase(host + 3, at - host - 2);
  return out;
}

}  // namespace baleen::io
