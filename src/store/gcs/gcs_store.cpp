#include "store/gcs/gcs_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "base/crc32c.h"
#include "io/crypto.h"
#include "store/checksum.h"
#include "store/gcs/answers.h"
#include "store/json.h"
#include "store/upload_body.h"

namespace baleen::store::gcs {
namespace {

constexpr uint64_t kMultipartLimit = 8 << 20;
constexpr uint64_t kPartUnit = 256 * 1024;  // parts but the last are multiples of it
constexpr uint64_t kGetLimit = uint64_t{4} << 30;
constexpr uint64_t kMaxAnswer = 64 << 20;

nlohmann::json object_resource(std::string_view key, const UploadBody& body, const PutOptions& options) {
  nlohmann::json resource{{"name", key}, {"contentType", options.content_type}, {"crc32c", encode_crc32c(body.crc32c)}};
  for (const auto& [name, value] : options.metadata) resource["metadata"][name] = value;
  if (!options.storage_class.empty()) resource["storageClass"] = options.storage_class;
  return resource;
}

/// cloud.google.com/storage/docs/objects#naming
Result<> check_key(std::string_view key) {
  if (key.empty() || key.size() > 1024) return Error{Code::kInvalid, "an object's name has 1 to 1024 bytes"};
  if (key.find_first_of("\r\n") != std::string_view::npos)
    return Error{Code::kInvalid, "an object's name has no line break"};
  if (key == "." || key == "..") return Error{Code::kInvalid, "\".\" and \"..\" are no objects' names"};
  return {};
}

}  // namespace

GcsStore::GcsStore(Settings settings, io::HttpOptions http, std::unique_ptr<Credentials> credentials,
                   std::function<Timestamp()> now)
    : settings_(std::move(settings)), http_(std::move(http)), tokens_(std::move(credentials), std::move(now)) {}

std::string GcsStore::what(std::string_view verb, std::string_view key) const {
  return fmt::format("{} {}{}{}", verb, name(), key.empty() ? "" : "/", key);
}

Error GcsStore::refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key) const {
  return error_of(answer, what(verb, key), tokens_.identity());
}

std::string GcsStore::object_url(std::string_view key, std::string_view query) const {
  std::string url = fmt::format("{}/storage/v1/b/{}/o", settings_.endpoint, settings_.bucket);
  if (!key.empty()) url += "/" + io::percent_encode(key);
  std::string_view glue = "?";
  if (!query.empty()) url += std::exchange(glue, "&"), url += query;
  if (!settings_.user_project.empty())
    url += fmt::format("{}userProject={}", glue, io::percent_encode(settings_.user_project));
  return url;
}

std::string GcsStore::bucket_url(std::string_view query) const {
  std::string url = fmt::format("{}/storage/v1/b/{}?{}", settings_.endpoint, settings_.bucket, query);
  if (!settings_.user_project.empty()) url += "&userProject=" + io::percent_encode(settings_.user_project);
  return url;
}

std::string GcsStore::upload_url(const char* type, const PutOptions& options) const {
  std::string url =
      fmt::format("{}/upload/storage/v1/b/{}/o?uploadType={}", settings_.endpoint, settings_.bucket, type);
  if (options.only_if_absent) url += "&ifGenerationMatch=0";
  if (!options.encryption_key_name.empty()) url += "&kmsKeyName=" + io::percent_encode(options.encryption_key_name);
  if (!settings_.user_project.empty()) url += "&userProject=" + io::percent_encode(settings_.user_project);
  return url;
}

/// cloud.google.com/storage/docs/encryption/using-customer-supplied-keys: with all that concerns an object's content.
void GcsStore::add_customer_key(io::HttpRequest& request) const {
  const std::string& key = settings_.objects.customer_key;
  if (key.empty()) return;
  request.headers.emplace_back("x-goog-encryption-algorithm", "AES256");
  request.headers.emplace_back("x-goog-encryption-key", io::base64(as_bytes(key)));
  request.headers.emplace_back("x-goog-encryption-key-sha256", io::base64(io::sha256(as_bytes(key))));
}

/// Adds the token. One that was refused (revoked, or older than its word) is fetched anew once.
Result<io::HttpAnswer> GcsStore::send(io::HttpRequest request) {
  request.idle_timeout = settings_.objects.idle_timeout;
  request.total_timeout = settings_.objects.request_timeout;
  for (bool again = false;; again = true) {
    BALEEN_TRY(const std::string authorization, tokens_.authorization(http_));
    auto with_token = request;
    if (!authorization.empty()) with_token.headers.emplace_back("Authorization", authorization);
    auto answer = http_.send(with_token);
    if (!answer) return answer;
    tokens_.saw_date(answer->header("date"));
    if (answer->status != 401 || authorization.empty() || again) return answer;
    tokens_.refused(authorization);
  }
}

/// The store's own account of what it has now, against ours.
Result<ObjectFacts> GcsStore::finish(const io::HttpAnswer& answer, std::string_view key, const UploadBody& body) {
  auto object = parse_object(answer.body);
  if (!object) return std::move(object).error().in(what("put", key));
  if (object->size == body.size && (!object->crc32c || *object->crc32c == body.crc32c)) return object;
  std::string query;
  if (!object->generation.empty()) query = "ifGenerationMatch=" + io::percent_encode(object->generation);
  const auto removed = send({.method = "DELETE", .url = object_url(key, query)});
  const bool gone = removed && (removed->ok() || removed->status == 404);
  return Error{Code::kUnavailable,
               fmt::format("{}: it arrived damaged ({} bytes, CRC {:08x}, not {} bytes, CRC {:08x}) and was {}",
                           what("put", key), object->size, object->crc32c.value_or(0), body.size, body.crc32c,
                           gone ? "removed" : "not removed")};
}

Result<ObjectFacts> GcsStore::put_multipart(std::string_view key, const UploadBody& body, const PutOptions& options) {
  const std::string boundary = "baleen-" + io::random_hex(16);
  std::string content =
      fmt::format("--{}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n--{}\r\nContent-Type: {}\r\n\r\n",
                  boundary, dump_json(object_resource(key, body, options)), boundary, options.content_type);
  content += as_text(body.bytes);
  content += fmt::format("\r\n--{}--\r\n", boundary);

  io::HttpRequest request{.method = "POST", .url = upload_url("multipart", options)};
  request.headers = {{"Content-Type", "multipart/related; boundary=" + boundary}};
  add_customer_key(request);
  request.body = as_bytes(content);
  request.max_body = kMaxAnswer;
  request.cancel = options.cancel;
  request.bandwidth = options.bandwidth;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "put", key);
  if (options.on_progress) options.on_progress(body.size);
  return finish(answer, key, body);
}

Result<std::string> GcsStore::begin_session(std::string_view key, const UploadBody& body, const PutOptions& options) {
  const std::string resource = dump_json(object_resource(key, body, options));
  io::HttpRequest request{.method = "POST",
                          .url = upload_url("resumable", options) + "&name=" + io::percent_encode(key)};
  request.headers = {{"Content-Type", "application/json; charset=UTF-8"},
                     {"X-Upload-Content-Type", options.content_type},
                     {"X-Upload-Content-Length", std::to_string(body.size)}};
  add_customer_key(request);
  request.body = as_bytes(resource);
  request.cancel = options.cancel;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "put", key);
  const std::string session(answer.header("location"));
  if (session.empty()) return Error{Code::kUnavailable, what("put", key) + ": the store opened no session"};
  return session;
}

/// How far is it? 308 with a Range, or 200 when it is all there.
Result<io::HttpAnswer> GcsStore::ask_session(const std::string& session, const UploadBody& body,
                                             const PutOptions& options) {
  io::HttpRequest request{.method = "PUT", .url = session};
  request.headers = {{"Content-Range", fmt::format("bytes */{}", body.size)}};
  add_customer_key(request);
  request.cancel = options.cancel;
  return send(std::move(request));
}

/// cloud.google.com/storage/docs/performing-resumable-uploads. An interrupted request is an error that the caller may
/// try again with the session: it then asks first how much had arrived.
Result<ObjectFacts> GcsStore::put_resumable(std::string_view key, const UploadBody& body, const PutOptions& options) {
  const auto keep = [&](const std::string& session) {
    if (options.on_session) options.on_session(session);
  };
  std::string session = options.session;
  uint64_t sent = 0;
  if (!session.empty()) {
    // A kept session is only followed to where we would have opened it: credentials go with it.
    if (!session.starts_with(settings_.endpoint + "/")) {
      session.clear();
    } else {
      BALEEN_TRY(const io::HttpAnswer answer, ask_session(session, body, options));
      if (answer.ok()) {
        keep("");
        return finish(answer, key, body);
      }
      if (answer.status == 308) {
        sent = received_of_range_header(answer.header("range"));
      } else if (io::code_of_status(answer.status) == Code::kUnavailable || answer.status == 408) {
        return refused(answer, "put", key);
      } else {
        session.clear();  // forgotten (a week), cancelled, or of something else
      }
    }
    if (sent > body.size) session.clear(), sent = 0;
  }
  if (session.empty()) {
    BALEEN_TRY(session, begin_session(key, body, options));
    keep(session);
  }
  if (options.on_progress && sent != 0) options.on_progress(sent);

  const uint64_t part =
      options.part_bytes == 0 ? body.size : std::max(options.part_bytes / kPartUnit, uint64_t{1}) * kPartUnit;
  for (;;) {
    const uint64_t n = std::min(part, body.size - sent);
    io::HttpRequest request{.method = "PUT", .url = session};
    request.headers = {{"Content-Range", n == 0 ? fmt::format("bytes */{}", body.size)
                                                : fmt::format("bytes {}-{}/{}", sent, sent + n - 1, body.size)}};
    add_customer_key(request);
    body.attach(request, sent, n);
    request.max_body = kMaxAnswer;
    request.cancel = options.cancel;
    request.bandwidth = options.bandwidth;
    BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
    if (answer.status == 308) {
      const uint64_t now = received_of_range_header(answer.header("range"));
      if (now <= sent) return Error{Code::kUnavailable, what("put", key) + ": the store took nothing of a part"};
      if (now > body.size)
        return Error{Code::kInternal, what("put", key) + ": the store says it has more than there is"};
      sent = now;
      if (options.on_progress) options.on_progress(sent);
      continue;
    }
    if (!answer.ok()) {
      // A session that is gone is of no use to a later try.
      if (answer.status == 404 || answer.status == 410) {
        keep("");
        return Error{Code::kUnavailable, what("put", key) + ": the store has forgotten the upload's session"};
      }
      if (!error_of(answer, "", "").retryable()) keep("");
      return refused(answer, "put", key);
    }
    if (options.on_progress) options.on_progress(body.size);
    keep("");
    return finish(answer, key, body);
  }
}

Result<ObjectFacts> GcsStore::put_body(std::string_view key, const UploadBody& body, const PutOptions& asked) {
  BALEEN_TRY_DO(check_key(key));
  const PutOptions options = settings_.objects.fill(asked);
  if (options.crc32c && *options.crc32c != body.crc32c)
    return Error{Code::kInvalid, what("put", key) + ": the content's CRC is not the one that was expected"};
  if (body.source == nullptr && body.size <= kMultipartLimit) return put_multipart(key, body, options);
  return put_resumable(key, body, options);
}

Result<ObjectFacts> GcsStore::put(std::string_view key, Bytes content, const PutOptions& options) {
  return put_body(key, UploadBody{content, nullptr, content.size(), crc32c(content)}, options);
}

Result<ObjectFacts> GcsStore::put_source(std::string_view key, const io::ByteSource& source,
                                         const PutOptions& options) {
  if (source.size() <= kMultipartLimit && options.session.empty()) {
    std::vector<uint8_t> content(source.size());
    BALEEN_TRY_DO(io::read_all(source, 0, content));
    return put(key, content, options);
  }
  // A sum that is known goes to the store, which checks it; content that is not what it says is found out afterwards.
  BALEEN_TRY(const UploadBody body, body_of(source, options.crc32c));
  auto object = put_body(key, body, options);
  if (object || !options.crc32c || object.error().code != Code::kUnavailable) return object;
  // Perhaps it arrived as it left, and is not what was said of it: no later try would help.
  if (const auto real = sum_of(source); real && *real != body.crc32c)
    return Error{Code::kInvalid, what("put", key) + ": the content's CRC is not the one that was expected"};
  return object;
}

Result<std::string> GcsStore::get(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  io::HttpRequest request{.url = object_url(key, "alt=media")};
  // What is stored compressed comes as it is stored, so that its checksum is the object's.
  request.headers = {{"Accept-Encoding", "gzip"}};
  add_customer_key(request);
  request.max_body = kGetLimit;
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "get", key);
  const auto expected = crc32c_of_hash_header(answer.header("x-goog-hash"));
  if (expected && *expected != crc32c(as_bytes(answer.body)))
    return Error{Code::kUnavailable, what("get", key) + ": it arrived damaged: its CRC is not the store's"};
  return std::move(answer.body);
}

Result<std::string> GcsStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  BALEEN_TRY_DO(check_key(key));
  if (length == 0) return std::string();
  length = std::min(length, kGetLimit);
  const uint64_t last = length - 1 > UINT64_MAX / 2 - offset ? UINT64_MAX / 2 : offset + length - 1;
  io::HttpRequest request{.url = object_url(key, "alt=media")};
  request.headers = {{"Accept-Encoding", "gzip"}, {"Range", fmt::format("bytes={}-{}", offset, last)}};
  add_customer_key(request);
  request.max_body = kGetLimit;
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request)));
  if (answer.status == 416) return std::string();  // at or past the end
  if (!answer.ok()) return refused(answer, "get", key);
  if (answer.status == 206) return std::move(answer.body);
  // The whole object (RFC 9110 14.2 lets a server ignore Range).
  if (offset >= answer.body.size()) return std::string();
  return answer.body.substr(offset, length);
}

Result<ObjectFacts> GcsStore::head(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  io::HttpRequest request{.url = object_url(key, ""), .max_body = kMaxAnswer};
  add_customer_key(request);
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "look at", key);
  auto object = parse_object(answer.body);
  if (!object) return std::move(object).error().in(what("look at", key));
  return object;
}

Result<ListPage> GcsStore::list(const ListOptions& options) {
  std::string query = fmt::format("maxResults={}", std::clamp<uint32_t>(options.page_size, 1, 1000));
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) query += fmt::format("&{}={}", name, io::percent_encode(value));
  };
  add("prefix", options.prefix);
  add("delimiter", options.delimiter);
  add("startOffset", options.start_offset);
  add("pageToken", options.page_token);
  query += "&fields=nextPageToken,prefixes,items(name,size,crc32c,updated,etag,generation)";
  BALEEN_TRY(const io::HttpAnswer answer, send({.url = object_url("", query), .max_body = kMaxAnswer}));
  if (!answer.ok()) return refused(answer, "list", options.prefix);
  auto page = parse_list(answer.body);
  if (!page) return std::move(page).error().in(what("list", options.prefix));
  // Emulators do not know startOffset.
  std::erase_if(page->objects, [&](const ObjectFacts& object) { return object.key < options.start_offset; });
  return page;
}

Result<> GcsStore::remove(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  BALEEN_TRY(const io::HttpAnswer answer, send({.method = "DELETE", .url = object_url(key, "")}));
  if (!answer.ok()) return refused(answer, "remove", key);
  return {};
}

/// cloud.google.com/storage/docs/lifecycle; the version is the bucket's metageneration.
Result<LifecycleText> GcsStore::lifecycle() {
  BALEEN_TRY(const io::HttpAnswer answer, send({.url = bucket_url("fields=lifecycle,metageneration")}));
  if (!answer.ok()) return refused(answer, "read the lifecycle rules of", "");
  const auto bucket = parse_json(answer.body);
  if (!bucket) return Error{Code::kUnavailable, what("read the lifecycle rules of", "") + ": the answer is not JSON"};
  LifecycleText out;
  if (const auto rules = bucket->find("lifecycle"); rules != bucket->end()) out.text = dump_json(*rules);
  out.version = json_text(*bucket, "metageneration");
  return out;
}

Result<> GcsStore::set_lifecycle(const LifecycleText& rules) {
  const auto lifecycle = parse_json(rules.text);
  if (!lifecycle) return Error{Code::kInvalid, "lifecycle rules of Cloud Storage are a JSON object"};
  std::string query = "fields=lifecycle";
  if (!rules.version.empty()) query += "&ifMetagenerationMatch=" + io::percent_encode(rules.version);
  const std::string body = dump_json({{"lifecycle", *lifecycle}});
  io::HttpRequest request{.method = "PATCH", .url = bucket_url(query)};
  request.headers = {{"Content-Type", "application/json; charset=UTF-8"}};
  request.body = as_bytes(body);
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!answer.ok()) return refused(answer, "set the lifecycle rules of", "");
  return {};
}

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options) {
  GcsStore::Settings settings;
  settings.bucket = location.bucket;
  settings.user_project = options.gcs_user_project;
  settings.objects = options.objects;
  if (!settings.objects.tags.empty())
    return Error{Code::kInvalid, "Cloud Storage has no tags of objects: use metadata in their place"};
  settings.endpoint = options.endpoint;
  const char* emulator = std::getenv("STORAGE_EMULATOR_HOST");
  const bool emulated = settings.endpoint.empty() && emulator != nullptr && *emulator != 0;
  if (emulated) {
    settings.endpoint = emulator;
    if (settings.endpoint.find("://") == std::string::npos) settings.endpoint = "http://" + settings.endpoint;
  }
  if (settings.endpoint.empty()) settings.endpoint = "https://storage.googleapis.com";
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();

  std::unique_ptr<Credentials> credentials;
  if (!options.gcs_service_account_json.empty()) {
    BALEEN_TRY(credentials, service_account(options.gcs_service_account_json, "the key that was given"));
  } else if (!emulated) {
    BALEEN_TRY(credentials, application_default());
  }
  return std::unique_ptr<ObjectStore>(std::make_unique<GcsStore>(
      std::move(settings), io::HttpOptions{.proxy = options.proxy, .ca_file = options.ca_file}, std::move(credentials),
      options.now));
}

}  // namespace baleen::store::gcs
