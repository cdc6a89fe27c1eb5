#include "store/s3/s3_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/crc32c.h"
#include "base/log.h"
#include "store/checksum.h"
#include "store/environment.h"

namespace baleen::store::s3 {
namespace {

constexpr uint64_t kWholeLimit = 16 << 20;
constexpr uint64_t kGetLimit = uint64_t{4} << 30;
constexpr uint64_t kMaxAnswer = 64 << 20;

/// docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
Result<> check_key(std::string_view key) {
  if (key.empty() || key.size() > 1024) return Error{Code::kInvalid, "an object's name has 1 to 1024 bytes"};
  return {};
}

/// Values of headers are printable ASCII; anything else is percent-encoded.
std::string header_value(std::string_view text) {
  std::string keep;
  for (char c = 0x20; c < 0x7F; ++c)
    if (c != '%') keep += c;
  return io::percent_encode(text, keep);
}

/// StartAfter is exclusive, we want `offset` itself: a text a little before it. What lies between is left out by us.
std::string just_before(std::string offset) {
  if (offset.empty()) return offset;
  const char last = offset.back();
  offset.pop_back();
  if (last > 0x21 && last < 0x7F) return offset + static_cast<char>(last - 1) + "~~~~";
  while (!offset.empty() && (offset.back() & 0xC0) == 0x80) offset.pop_back();
  return offset;
}

}  // namespace

S3Store::S3Store(Settings settings, io::HttpOptions http, std::unique_ptr<Credentials> credentials,
                 std::function<Timestamp()> now)
    : settings_(std::move(settings)),
      now_(now ? std::move(now) : [] { return baleen::now(); }),
      http_(std::move(http)),
      keys_(std::move(credentials), now_),
      region_(settings_.region.empty() ? "us-east-1" : settings_.region) {}

std::string S3Store::what(std::string_view verb, std::string_view key) const {
  return fmt::format("{} {}{}{}", verb, name(), key.empty() ? "" : "/", key);
}

Error S3Store::refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key,
                       std::string_view action) const {
  return error_of(answer, what(verb, key), action, keys_.identity());
}

std::optional<std::chrono::seconds> S3Store::clock_skew() const {
  const int64_t skew = skew_s_.load(std::memory_order_relaxed);
  if (skew == INT64_MIN) return std::nullopt;
  return std::chrono::seconds(skew);
}

Timestamp S3Store::time() const {
  const auto skew = clock_skew();
  return now_() + (skew && sign_with_their_clock_ ? *skew : std::chrono::seconds(0));
}

std::string S3Store::region() const {
  const std::lock_guard lock(region_mutex_);
  return region_;
}

std::string S3Store::base_url() const {
  if (!settings_.endpoint.empty()) return settings_.endpoint;
  const std::string where = region();
  return fmt::format("https://s3.{}.amazonaws.com{}", where, where.starts_with("cn-") ? ".cn" : "");
}

std::string S3Store::url_of(const Request& request) const {
  const std::string base = base_url();
  std::string url;
  if (settings_.path_style) {
    url = base + "/" + settings_.bucket;
    if (!request.key.empty()) url += "/";
  } else {
    const size_t host = base.find("://") + 3;
    url = base.substr(0, host) + settings_.bucket + "." + base.substr(host) + "/";
  }
  url += io::percent_encode(request.key, "/");
  if (!request.query.empty()) url += "?" + request.query;
  return url;
}

/// 301, 307 and 400 name the region where the bucket is.
bool S3Store::adopt_region(const io::HttpAnswer& answer) {
  std::string there(answer.header("x-amz-bucket-region"));
  if (there.empty() && answer.status == 400)
    if (const auto refusal = parse_refusal(answer.body); refusal && refusal->code == "AuthorizationHeaderMalformed")
      there = refusal->region;
  const bool sane = !there.empty() && there.size() < 64 &&
                    there.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  const std::lock_guard lock(region_mutex_);
  if (!sane || there == region_) return false;
  region_ = there;
  return true;
}

bool S3Store::adopt_clock(const io::HttpAnswer& answer) {
  const auto refusal = parse_refusal(answer.body);
  if (!refusal || refusal->code != "RequestTimeTooSkewed" || !clock_skew() || sign_with_their_clock_.exchange(true))
    return false;
  log::warning("this machine's clock is {} s {}: signing for {} with the server's time",
               std::abs(clock_skew()->count()), clock_skew()->count() > 0 ? "slow" : "fast", name());
  return true;
}

Result<io::HttpAnswer> S3Store::send_once(const Request& request, Keys* used) {
  auto keys = keys_.keys(http_);
  if (!keys) {
    Error error = std::move(keys).error();
    error.unauthenticated = error.code == Code::kDenied;
    return error;
  }
  *used = *std::move(keys);
  io::HttpRequest http = request.http;
  http.method = request.method;
  http.url = url_of(request);
  http.idle_timeout = settings_.objects.idle_timeout;
  http.total_timeout = settings_.objects.request_timeout;
  if (settings_.requester_pays) http.headers.emplace_back("x-amz-request-payer", "requester");
  sign(http, *used, {region(), "s3"}, request.payload_sha256, time());
  auto answer = http_.send(http);
  if (!answer) return answer;
  if (const auto date = io::parse_http_date(answer->header("date")))
    skew_s_.store(std::chrono::duration_cast<std::chrono::seconds>(*date - now_()).count(), std::memory_order_relaxed);
  return answer;
}

/// Signs and sends. What a wrong region, a wrong clock or keys that have expired made fail is sent once more.
Result<io::HttpAnswer> S3Store::send(Request request) {
  for (int again = 3;; --again) {
    Keys used;
    auto answer = send_once(request, &used);
    if (!answer || again == 0 || answer->status < 300 || answer->status >= 404) return answer;
    if (answer->status == 301 || answer->status == 307 || answer->status == 400) {
      if (adopt_region(*answer)) continue;
    }
    if (answer->status == 403 && adopt_clock(*answer)) continue;
    const auto refusal = parse_refusal(answer->body);
    // An answer to HEAD has no body that could say why.
    const bool expired = answer->status == 401 || (answer->status == 400 && request.method == "HEAD") ||
                         (refusal && (refusal->code == "ExpiredToken" || refusal->code == "InvalidToken" ||
                                      refusal->code == "TokenRefreshRequired"));
    if (expired && again == 3 && keys_.refused(used)) continue;
    return answer;
  }
}

/// docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-s3-c-encryption.html: with all that concerns the content.
void S3Store::add_customer_key(Request& request) const {
  const std::string& key = settings_.objects.customer_key;
  if (key.empty()) return;
  auto& headers = request.http.headers;
  headers.emplace_back("x-amz-server-side-encryption-customer-algorithm", "AES256");
  headers.emplace_back("x-amz-server-side-encryption-customer-key", io::base64(as_bytes(key)));
  headers.emplace_back("x-amz-server-side-encryption-customer-key-MD5", io::base64(io::md5(as_bytes(key))));
}

/// What the store shall know of the object, at its PUT or at the beginning of its upload by parts.
void S3Store::describe(const UploadBody& body, const PutOptions& options, Request& request) const {
  auto& headers = request.http.headers;
  headers.emplace_back("Content-Type", options.content_type);
  headers.emplace_back(kCrcHeader, encode_crc32c(body.crc32c));
  for (const auto& [name, value] : options.metadata)
    headers.emplace_back("x-amz-meta-" + io::percent_encode(name), header_value(value));
  if (!options.storage_class.empty()) headers.emplace_back("x-amz-storage-class", options.storage_class);
  if (!settings_.objects.tags.empty()) {
    std::string tags;
    for (const auto& [name, value] : settings_.objects.tags)
      tags += fmt::format("{}{}={}", tags.empty() ? "" : "&", io::percent_encode(name), io::percent_encode(value));
    headers.emplace_back("x-amz-tagging", tags);
  }
  add_customer_key(request);
  const std::string& key = options.encryption_key_name;
  if (key == "AES256" || key == "aws:kms") {  // the store's own key, the account's
    headers.emplace_back("x-amz-server-side-encryption", key);
  } else if (!key.empty()) {
    headers.emplace_back("x-amz-server-side-encryption", "aws:kms");
    headers.emplace_back("x-amz-server-side-encryption-aws-kms-key-id", key);
  }
}

bool has_checksum(const io::HttpRequest& request) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [](const auto& header) { return header.first == kChecksumHeader; });
}

/// For servers that do not heed If-None-Match. Who may not look is no worse off than without.
Result<> S3Store::absent(std::string_view key) {
  if (settings_.endpoint.empty()) return {};
  const auto there = head(key);
  if (there) return Error{Code::kConflict, what("put", key) + ": it is there already"};
  if (there.error().retryable()) return there.error();
  return {};
}

/// What makes an object, only if there is none. Between the look and the request of a server that knows no conditions
/// somebody else may make it: names that only we make are safe all the same.
Result<io::HttpAnswer> S3Store::send_once_only(Request request, std::string_view key) {
  if (!knows_no_conditions_) {
    Request conditional = request;
    conditional.http.headers.emplace_back("If-None-Match", "*");
    auto answer = send(std::move(conditional));
    if (!answer || answer->status != 501) return answer;
    if (has_checksum(request.http)) return answer;  // that may be what it does not know: our caller asks without
    if (!knows_no_conditions_.exchange(true))
      log::warning("{} knows no If-None-Match: whether an object is there already is looked up before", name());
  }
  const auto there = head(key);
  if (there) return Error{Code::kConflict, what("put", key) + ": it is there already"};
  if (there.error().retryable()) return there.error();
  return send(std::move(request));
}

/// With a header that some stores refuse: these are asked again without, and then always.
Result<io::HttpAnswer> S3Store::send_with_checksum(Request request, const char* header, const std::string& value,
                                                   const std::function<Result<io::HttpAnswer>(Request)>& send_it) {
  if (knows_no_checksums_) return send_it(std::move(request));
  Request without = request;
  request.http.headers.emplace_back(header, value);
  auto answer = send_it(std::move(request));
  if (!answer || !may_refuse_checksums(*answer)) return answer;
  answer = send_it(std::move(without));
  if (answer && answer->ok()) knows_no_checksums_ = true;
  return answer;
}

Result<ObjectFacts> S3Store::put_whole(std::string_view key, const UploadBody& body, const PutOptions& options) {
  io::Digests wanted = digests_of_content(!knows_no_checksums_);
  wanted.md5 = wants_md5_;
  BALEEN_TRY(const io::PartDigests digests, body.digests(0, body.size, wanted));
  if (digests.crc32c != body.crc32c) return unexpected_content(key);
  Request request{.method = "PUT", .key = std::string(key)};
  request.payload_sha256 = wanted.sha256 ? io::to_hex(digests.sha256) : kUnsigned;
  describe(body, options, request);
  if (wanted.md5) request.http.headers.emplace_back("Content-MD5", io::base64(digests.md5));
  body.attach(request.http, 0, body.size);
  request.http.cancel = options.cancel;
  request.http.bandwidth = options.bandwidth;
  const auto send_it = [&](Request ready) {
    return options.only_if_absent ? send_once_only(std::move(ready), key) : send(std::move(ready));
  };
  const std::string crc = encode_crc32c(body.crc32c);
  BALEEN_TRY(const io::HttpAnswer answer, send_with_checksum(std::move(request), kChecksumHeader, crc, send_it));
  if (!wanted.md5 && asks_for_md5(answer)) {
    wants_md5_ = true;
    return put_whole(key, body, options);
  }
  if (!answer.ok()) return refused(answer, "put", key, "s3:PutObject");

  ObjectFacts object = facts_of_headers(answer, key);
  object.size = body.size;
  object.crc32c = body.crc32c;
  checks_crcs_ = answer.header(kChecksumHeader) == crc;
  if (!checks_crcs_ && etag_is_md5(answer, object.etag)) {
    BALEEN_TRY(const io::PartDigests more, body.digests(0, body.size, {.md5 = true}));
    const std::string md5 = io::to_hex(more.md5);
    if (object.etag != md5) {
      const auto removed = send({.method = "DELETE", .key = std::string(key)});
      return Error{Code::kUnavailable,
                   fmt::format("{}: it arrived damaged (MD5 {}, not {}) and was {}", what("put", key), object.etag, md5,
                               removed && removed->ok() ? "removed" : "not removed")};
    }
  } else if (!checks_crcs_ &&
             !wanted.sha256) {  // taken unseen, behind an answer that said otherwise: once more, signed
    const auto removed = send({.method = "DELETE", .key = std::string(key)});
    if (!removed || !removed->ok())
      return Error{Code::kUnavailable, what("put", key) + ": the store has not checked it, and does not remove it"};
    return put_whole(key, body, options);
  }
  if (options.on_progress) options.on_progress(body.size);
  return object;
}

Error S3Store::unexpected_content(std::string_view key) const {
  return {Code::kInvalid, what("put", key) + ": the content's CRC is not the one that was expected"};
}

/// What is little longer than a part goes as one, in one request.
bool S3Store::goes_by_parts(uint64_t size, const PutOptions& options) {
  return !options.session.empty() || size > std::max(kWholeLimit, options.part_bytes + options.part_bytes / 8);
}

Result<ObjectFacts> S3Store::put_body(std::string_view key, const UploadBody& body, const PutOptions& asked) {
  BALEEN_TRY_DO(check_key(key));
  const PutOptions options = settings_.objects.fill(asked);
  if (options.crc32c && *options.crc32c != body.crc32c) return unexpected_content(key);
  if (options.only_if_absent) BALEEN_TRY_DO(absent(key));
  return goes_by_parts(body.size, options) ? put_parts(key, body, options) : put_whole(key, body, options);
}

Result<ObjectFacts> S3Store::put(std::string_view key, Bytes content, const PutOptions& options) {
  return put_body(key, UploadBody{content, nullptr, content.size(), crc32c(content)}, options);
}

Result<ObjectFacts> S3Store::put_source(std::string_view key, const io::ByteSource& source, const PutOptions& options) {
  // A sum that is said is looked at when the content is read for its digests.
  BALEEN_TRY(const UploadBody body, body_of(source, options.crc32c));
  return put_body(key, body, options);
}

Result<std::string> S3Store::get(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  Request request{.key = std::string(key)};
  request.http.headers = {{"x-amz-checksum-mode", "ENABLED"}};
  add_customer_key(request);
  request.http.max_body = kGetLimit;
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "get", key, "s3:GetObject");
  const ObjectFacts object = facts_of_headers(answer, key);
  const bool damaged = object.crc32c ? *object.crc32c != crc32c(as_bytes(answer.body))
                                     : etag_is_md5(answer, object.etag) && answer.header("content-encoding").empty() &&
                                           object.etag != io::to_hex(io::md5(as_bytes(answer.body)));
  if (damaged)
    return Error{Code::kUnavailable, what("get", key) + ": it arrived damaged: its checksum is not the store's"};
  return std::move(answer.body);
}

Result<std::string> S3Store::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  BALEEN_TRY_DO(check_key(key));
  if (length == 0) return std::string();
  length = std::min(length, kGetLimit);
  const uint64_t last = length - 1 > UINT64_MAX / 2 - offset ? UINT64_MAX / 2 : offset + length - 1;
  Request request{.key = std::string(key)};
  request.http.headers = {{"Range", fmt::format("bytes={}-{}", offset, last)}};
  add_customer_key(request);
  request.http.max_body = kGetLimit;
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request)));
  if (answer.status == 416) return std::string();  // at or past the end
  if (!answer.ok()) return refused(answer, "get", key, "s3:GetObject");
  if (answer.status != 206)  // the whole object (RFC 9110 14.2 lets a server ignore Range)
    answer.body.erase(0, std::min<uint64_t>(offset, answer.body.size()));
  if (answer.body.size() > length) answer.body.resize(length);
  return std::move(answer.body);
}

Result<ObjectFacts> S3Store::head(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  Request request{.method = "HEAD", .key = std::string(key)};
  request.http.headers = {{"x-amz-checksum-mode", "ENABLED"}};
  add_customer_key(request);
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) {
    Error error = refused(answer, "look at", key, "s3:GetObject");
    if (answer.status == 400)
      error.code = Code::kDenied;  // what keys get that have expired; nothing else is wrong here
    return error;
  }
  return facts_of_headers(answer, key);
}

Result<ListPage> S3Store::list(const ListOptions& options) {
  Request request;
  request.query =
      fmt::format("list-type=2&encoding-type=url&max-keys={}", std::clamp<uint32_t>(options.page_size, 1, 1000));
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) request.query += fmt::format("&{}={}", name, io::percent_encode(value));
  };
  add("prefix", options.prefix);
  add("delimiter", options.delimiter);
  add("continuation-token", options.page_token);
  if (options.page_token.empty()) add("start-after", just_before(options.start_offset));
  request.http.max_body = kMaxAnswer;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "list", options.prefix, "s3:ListBucket");
  auto page = parse_list(answer.body);
  if (!page) return std::move(page).error().in(what("list", options.prefix));
  const std::string& from = options.start_offset;
  std::erase_if(page->objects, [&](const ObjectFacts& object) { return object.key < from; });
  std::erase_if(page->prefixes, [&](const std::string& p) { return p < from && !from.starts_with(p); });
  return page;
}

Result<> S3Store::remove(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  // DELETE of nothing is a success to S3. Who may remove but not look is believed that it is there.
  const auto there = head(key);
  if (!there && there.error().code != Code::kDenied) return there.error();
  BALEEN_TRY(const io::HttpAnswer answer, send({.method = "DELETE", .key = std::string(key)}));
  if (!answer.ok()) return refused(answer, "remove", key, "s3:DeleteObject");
  return {};
}

/// docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
Result<LifecycleText> S3Store::lifecycle() {
  BALEEN_TRY(io::HttpAnswer answer, send({.query = "lifecycle="}));
  const auto refusal = parse_refusal(answer.body);
  if (answer.status == 404 && refusal && refusal->code == "NoSuchLifecycleConfiguration") return LifecycleText{};
  if (!answer.ok()) return refused(answer, "read the lifecycle rules of", "", "s3:GetLifecycleConfiguration");
  return LifecycleText{std::move(answer.body), {}};
}

Result<> S3Store::set_lifecycle(const LifecycleText& rules) {
  Request request{.method = "PUT", .query = "lifecycle="};
  request.payload_sha256 = io::to_hex(io::sha256(as_bytes(rules.text)));
  request.http.headers = {{"Content-Type", "application/xml"},
                          {"Content-MD5", io::base64(io::md5(as_bytes(rules.text)))}};
  request.http.body = as_bytes(rules.text);
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "set the lifecycle rules of", "", "s3:PutLifecycleConfiguration");
  return {};
}

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options) {
  S3Store::Settings settings;
  settings.bucket = location.bucket;
  settings.requester_pays = options.s3_requester_pays;
  settings.sign_payload = options.s3_sign_payload;
  settings.objects = options.objects;
  settings.endpoint = options.endpoint;
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"})
    if (settings.endpoint.empty()) settings.endpoint = env_text(name);
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  if (!settings.endpoint.empty() && settings.endpoint.find("://") == std::string::npos)
    settings.endpoint = "https://" + settings.endpoint;
  // A certificate for *.s3.region.amazonaws.com does not hold for a name with a dot.
  settings.path_style =
      options.s3_path_style.value_or(!settings.endpoint.empty() || location.bucket.find('.') != std::string::npos);
  settings.region = options.s3_region.empty() ? region_of_environment(options.s3_profile) : options.s3_region;

  ChainOptions sources;
  sources.keys = {options.s3_access_key, options.s3_secret_key, options.s3_session_token};
  sources.profile = options.s3_profile;
  sources.region = settings.region;
  sources.role = {options.s3_role_arn, options.s3_external_id, "", settings.region};
  BALEEN_TRY(auto credentials, chain(sources));
  return std::unique_ptr<ObjectStore>(std::make_unique<S3Store>(
      std::move(settings), io::HttpOptions{.proxy = options.proxy, .ca_file = options.ca_file}, std::move(credentials),
      options.now));
}

}  // namespace baleen::store::s3
