#include "store/azure/azure_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "base/crc32c.h"
#include "base/log.h"
#include "store/azure/answers.h"
#include "store/checksum.h"
#include "store/json.h"
#include "store/xml.h"

namespace baleen::store::azure {
namespace {

constexpr char kVersion[] = "2021-12-02";
constexpr uint64_t kWholeLimit = 16 << 20, kUsualBlock = 16 << 20, kLeastBlock = 1 << 20, kMostBlocks = 50'000;
constexpr uint64_t kGetLimit = uint64_t{4} << 30;
constexpr uint64_t kMaxAnswer = 64 << 20;
constexpr std::chrono::minutes kToleratedSkew{10};  // the service tolerates fifteen

/// learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
Result<> check_key(std::string_view key) {
  if (key.empty() || key.size() > 1024) return Error{Code::kInvalid, "a blob's name has 1 to 1024 bytes"};
  if (key.ends_with('/') || key.ends_with('.'))
    return Error{Code::kInvalid, "a blob's name ends neither in / nor in ."};
  return {};
}

std::string metadata_name(std::string_view name) {
  std::string out(name);
  for (char& c : out)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  if (out.empty() || std::isdigit(static_cast<unsigned char>(out[0]))) out.insert(0, "_");
  return out;
}

/// Values of headers are printable ASCII; anything else is percent-encoded.
std::string header_value(std::string_view text) {
  std::string keep;
  for (char c = 0x20; c < 0x7F; ++c)
    if (c != '%') keep += c;
  return io::percent_encode(text, keep);
}

/// All blocks of a blob have names of one length; ours say of which content they are.
std::string block_id(const UploadBody& body, uint64_t block_bytes, uint64_t number) {
  const std::string name = fmt::format("{:08x}{:016x}{:08x}{:08x}", body.crc32c, body.size, block_bytes >> 20, number);
  return io::base64(as_bytes(name));
}

}  // namespace

AzureStore::AzureStore(std::string container, Access access, io::HttpOptions http, ObjectDefaults objects,
                       std::function<Timestamp()> now)
    : container_(std::move(container)),
      access_(std::move(access)),
      objects_(std::move(objects)),
      now_(now ? std::move(now) : [] { return baleen::now(); }),
      http_(std::move(http)),
      tokens_(std::move(access_.tokens), now_) {}

std::string AzureStore::what(std::string_view verb, std::string_view key) const {
  return fmt::format("{} {}{}{}", verb, name(), key.empty() ? "" : "/", key);
}

Error AzureStore::refused(const io::HttpAnswer& answer, std::string_view verb, std::string_view key,
                          std::string_view action) const {
  return error_of(answer, what(verb, key), action, access_.identity);
}

/// Adds what opens the account. A token that was refused is fetched anew once, and what a wrong clock made be refused
/// is signed once more with the server's.
Result<io::HttpAnswer> AzureStore::send(io::HttpRequest request, std::string_view key, std::string query) {
  request.idle_timeout = objects_.idle_timeout;
  request.total_timeout = objects_.request_timeout;
  if (!access_.sas.empty()) query += (query.empty() ? "" : "&") + access_.sas;
  request.url = fmt::format("{}/{}{}{}{}{}", access_.endpoint, container_, key.empty() ? "" : "/",
                            io::percent_encode(key, "/"), query.empty() ? "" : "?", query);
  request.headers.emplace_back("x-ms-version", kVersion);
  for (bool again = false;; again = true) {
    io::HttpRequest opened = request;
    std::string authorization;
    if (!access_.key.empty()) {
      const auto skew = sign_with_their_clock_ ? tokens_.skew() : std::nullopt;
      sign(opened, access_.account, access_.key, now_() + skew.value_or(std::chrono::seconds(0)));
    } else if (access_.sas.empty()) {
      BALEEN_TRY(authorization, tokens_.authorization(http_));
      opened.headers.emplace_back("Authorization", authorization);
    }
    auto answer = http_.send(opened);
    if (!answer) return answer;
    tokens_.saw_date(answer->header("date"));
    if (again) return answer;
    if (answer->status == 401 && !authorization.empty()) {
      tokens_.refused(authorization);
    } else if (answer->status == 403 && !access_.key.empty() && !sign_with_their_clock_ && tokens_.skew() &&
               std::chrono::abs(*tokens_.skew()) > kToleratedSkew) {
      log::warning("this machine's clock is {} s {}: signing for {} with the server's time",
                   std::chrono::abs(*tokens_.skew()).count(), tokens_.skew()->count() > 0 ? "slow" : "fast", name());
      sign_with_their_clock_ = true;
    } else {
      return answer;
    }
  }
}

/// The scope of a new blob, or the key that every request about content has to bring
/// (learn.microsoft.com/azure/storage/ blobs/encryption-customer-provided-keys). `options` is null where nothing is
/// written.
void AzureStore::add_encryption(const PutOptions* options, io::HttpRequest& request) const {
  if (!objects_.customer_key.empty()) {
    const Bytes key = as_bytes(objects_.customer_key);
    request.headers.emplace_back("x-ms-encryption-algorithm", "AES256");
    request.headers.emplace_back("x-ms-encryption-key", io::base64(key));
    request.headers.emplace_back("x-ms-encryption-key-sha256", io::base64(io::sha256(key)));
  } else if (options != nullptr && !options->encryption_key_name.empty()) {
    request.headers.emplace_back("x-ms-encryption-scope", options->encryption_key_name);
  }
}

/// What the store shall know of the blob, at Put Blob or at Put Block List.
void AzureStore::describe(const UploadBody& body, const PutOptions& options, io::HttpRequest& request) const {
  auto& headers = request.headers;
  headers.emplace_back("x-ms-blob-content-type", options.content_type);
  headers.emplace_back(kCrcHeader, encode_crc32c(body.crc32c));
  for (const auto& [name, value] : options.metadata)
    headers.emplace_back("x-ms-meta-" + metadata_name(name), header_value(value));
  if (!options.storage_class.empty()) headers.emplace_back("x-ms-access-tier", options.storage_class);
  if (!objects_.tags.empty()) {
    std::string tags;
    for (const auto& [name, value] : objects_.tags)
      tags += fmt::format("{}{}={}", tags.empty() ? "" : "&", io::percent_encode(name), io::percent_encode(value));
    headers.emplace_back("x-ms-tags", tags);
  }
  add_encryption(&options, request);
  if (options.only_if_absent) headers.emplace_back("If-None-Match", "*");
}

Result<ObjectFacts> AzureStore::put_whole(std::string_view key, const UploadBody& body, const PutOptions& options) {
  BALEEN_TRY(const io::PartDigests digests, body.digests(0, body.size, {.md5 = true}));
  io::HttpRequest request{.method = "PUT"};
  request.headers = {{"x-ms-blob-type", "BlockBlob"},
                     {"Content-MD5", io::base64(digests.md5)},
                     {"Content-Type", options.content_type}};
  describe(body, options, request);
  body.attach(request, 0, body.size);
  request.cancel = options.cancel;
  request.bandwidth = options.bandwidth;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request), key));
  if (!answer.ok()) return refused(answer, "put", key, "write");
  if (options.on_progress) options.on_progress(body.size);
  ObjectFacts object = facts_of_headers(answer, key);
  object.size = body.size;
  object.crc32c = body.crc32c;
  return object;
}

Result<> AzureStore::put_block(std::string_view key, const UploadBody& body, const PutOptions& options,
                               const std::string& id, uint64_t offset, uint64_t length, const io::Md5& md5) {
  io::HttpRequest request{.method = "PUT"};
  request.headers = {{"Content-MD5", io::base64(md5)}};
  add_encryption(&options, request);
  body.attach(request, offset, length);
  request.cancel = options.cancel;
  request.bandwidth = options.bandwidth;
  BALEEN_TRY(const io::HttpAnswer answer,
             send(std::move(request), key, "comp=block&blockid=" + io::percent_encode(id)));
  if (!answer.ok()) return refused(answer, "put", key, "write");
  return {};
}

Result<ObjectFacts> AzureStore::put_list(std::string_view key, const UploadBody& body, const PutOptions& options,
                                         const std::vector<std::string>& ids) {
  std::string xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
  for (const std::string& id : ids) xml += "<Latest>" + escape_xml(id) + "</Latest>";
  xml += "</BlockList>";
  io::HttpRequest request{.method = "PUT"};
  request.headers = {{"Content-Type", "application/xml"}};
  describe(body, options, request);
  request.body = as_bytes(xml);
  request.cancel = options.cancel;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request), key, "comp=blocklist"));
  if (!answer.ok()) return refused(answer, "put", key, "write");
  ObjectFacts object = facts_of_headers(answer, key);
  object.size = body.size;
  object.crc32c = body.crc32c;
  return object;
}

/// A session's text holds the size of the blocks only: which blocks the store has, their names tell.
Result<ObjectFacts> AzureStore::put_blocks(std::string_view key, const UploadBody& body, const PutOptions& options) {
  const auto keep = [&](const std::string& text) {
    if (options.on_session) options.on_session(text);
  };
  uint64_t block = choose_part(body.size, options.part_bytes, kUsualBlock, kLeastBlock, kMostBlocks);
  std::map<std::string, uint64_t> theirs;
  if (const auto json = options.session.empty() ? std::nullopt : parse_json(options.session)) {
    const uint64_t before = parse_number(json_text(*json, "azblob")).value_or(0);
    if (before >= kLeastBlock && before % kLeastBlock == 0 && body.size / before < kMostBlocks) block = before;
    BALEEN_TRY(const io::HttpAnswer answer,
               send({.max_body = kMaxAnswer}, key, "comp=blocklist&blocklisttype=uncommitted"));
    if (answer.ok()) {
      auto blocks = parse_blocks(answer.body);
      if (!blocks) return std::move(blocks).error().in(what("put", key));
      theirs = *std::move(blocks);
    } else if (const Error error = refused(answer, "put", key, "read"); error.retryable()) {
      return error;
    }  // none yet, or may write and not read: all are sent
  }
  keep(dump_json({{"azblob", block}}));

  std::vector<std::string> ids;
  DigestsAhead ahead(body, block);
  for (uint64_t offset = 0; offset < body.size || ids.empty(); offset += block) {
    const uint64_t length = std::min(block, body.size - offset);
    ids.push_back(block_id(body, block, ids.size()));
    const auto there = theirs.find(ids.back());
    if (there == theirs.end() || there->second != length) {
      BALEEN_TRY(const io::PartDigests digests, ahead.of(offset, {.md5 = true}));
      if (auto put = put_block(key, body, options, ids.back(), offset, length, digests.md5); !put) {
        if (!put.error().retryable() && put.error().code != Code::kIo) keep("");
        return std::move(put).error();
      }
    }
    if (options.on_progress) options.on_progress(offset + length);
  }
  auto object = put_list(key, body, options, ids);
  if (object || !object.error().retryable()) keep("");
  return object;
}

Result<ObjectFacts> AzureStore::put_body(std::string_view key, const UploadBody& body, const PutOptions& asked) {
  BALEEN_TRY_DO(check_key(key));
  const PutOptions options = objects_.fill(asked);
  if (options.crc32c && *options.crc32c != body.crc32c)
    return Error{Code::kInvalid, what("put", key) + ": the content's CRC is not the one that was expected"};
  if (body.size <= kWholeLimit) return put_whole(key, body, options);
  if (options.only_if_absent) {  // said before all the blocks and not after; the list's own condition decides
    if (head(key)) return Error{Code::kConflict, what("put", key) + ": it is there already"};
  }
  return put_blocks(key, body, options);
}

Result<ObjectFacts> AzureStore::put(std::string_view key, Bytes content, const PutOptions& options) {
  return put_body(key, UploadBody{content, nullptr, content.size(), crc32c(content)}, options);
}

Result<ObjectFacts> AzureStore::put_source(std::string_view key, const io::ByteSource& source,
                                           const PutOptions& options) {
  BALEEN_TRY(const UploadBody body, body_of(source, std::nullopt));
  return put_body(key, body, options);
}

Result<std::string> AzureStore::get(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  io::HttpRequest request{.max_body = kGetLimit};
  add_encryption(nullptr, request);
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request), key));
  if (!answer.ok()) return refused(answer, "get", key, "read");
  const ObjectFacts object = facts_of_headers(answer, key);
  const std::string_view md5 = answer.header("content-md5");
  const bool damaged = object.crc32c ? *object.crc32c != crc32c(as_bytes(answer.body))
                                     : !md5.empty() && md5 != io::base64(io::md5(as_bytes(answer.body)));
  if (damaged)
    return Error{Code::kUnavailable, what("get", key) + ": it arrived damaged: its checksum is not the store's"};
  return std::move(answer.body);
}

Result<std::string> AzureStore::get_range(std::string_view key, uint64_t offset, uint64_t length) {
  BALEEN_TRY_DO(check_key(key));
  if (length == 0) return std::string();
  length = std::min(length, kGetLimit);
  const uint64_t last = length - 1 > UINT64_MAX / 4 - offset ? UINT64_MAX / 4 : offset + length - 1;
  io::HttpRequest request;
  request.headers = {{"x-ms-range", fmt::format("bytes={}-{}", offset, last)}};
  add_encryption(nullptr, request);
  request.max_body = kGetLimit;
  BALEEN_TRY(io::HttpAnswer answer, send(std::move(request), key));
  if (answer.status == 416) return std::string();  // at or past the end
  if (!answer.ok()) return refused(answer, "get", key, "read");
  if (answer.status != 206)  // the whole blob
    answer.body.erase(0, std::min<uint64_t>(offset, answer.body.size()));
  if (answer.body.size() > length) answer.body.resize(length);
  return std::move(answer.body);
}

Result<ObjectFacts> AzureStore::head(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  io::HttpRequest request{.method = "HEAD"};
  add_encryption(nullptr, request);
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request), key));
  if (!answer.ok()) return refused(answer, "look at", key, "read");
  return facts_of_headers(answer, key);
}

Result<ListPage> AzureStore::list(const ListOptions& options) {
  std::string query =
      fmt::format("restype=container&comp=list&maxresults={}", std::clamp<uint32_t>(options.page_size, 1, 5000));
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) query += fmt::format("&{}={}", name, io::percent_encode(value));
  };
  add("prefix", options.prefix);
  add("delimiter", options.delimiter);
  add("marker", options.page_token);
  BALEEN_TRY(const io::HttpAnswer answer, send({.max_body = kMaxAnswer}, "", std::move(query)));
  if (!answer.ok()) return refused(answer, "list", options.prefix, "list");
  auto page = parse_list(answer.body);
  if (!page) return std::move(page).error().in(what("list", options.prefix));
  const std::string& from = options.start_offset;
  std::erase_if(page->objects, [&](const ObjectFacts& object) { return object.key < from; });
  std::erase_if(page->prefixes, [&](const std::string& p) { return p < from && !from.starts_with(p); });
  return page;
}

Result<> AzureStore::remove(std::string_view key) {
  BALEEN_TRY_DO(check_key(key));
  io::HttpRequest request{.method = "DELETE"};
  request.headers = {{"x-ms-delete-snapshots", "include"}};
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request), key));
  if (!answer.ok()) return refused(answer, "remove", key, "delete");
  return {};
}

Result<std::unique_ptr<ObjectStore>> open(const Location& location, const OpenOptions& options) {
  const size_t slash = location.bucket.find('/');
  const std::string account = slash == std::string::npos ? "" : location.bucket.substr(0, slash);
  const std::string container = slash == std::string::npos ? location.bucket : location.bucket.substr(slash + 1);
  BALEEN_TRY(Access access, find_access(account, options));
  return std::unique_ptr<ObjectStore>(std::make_unique<AzureStore>(
      container, std::move(access), io::HttpOptions{.proxy = options.proxy, .ca_file = options.ca_file},
      options.objects, options.now));
}

}  // namespace baleen::store::azure
