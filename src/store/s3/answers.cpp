#include "store/s3/answers.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "store/checksum.h"
#include "store/xml.h"

namespace baleen::store::s3 {
namespace {

/// "2026-11-23T12:00:00.000Z"
Timestamp parse_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || parts.tm_year < 70 || parts.tm_year > 300) return {};
  int64_t ns = int64_t{::timegm(&parts)} * 1'000'000'000;
  if (*rest == '.') {
    int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9' && unit > 0; ++rest, unit /= 10) ns += (*rest - '0') * unit;
  }
  return timestamp_from_ns(ns);
}

Result<XmlNode> parse_answer(std::string_view xml, std::string_view root) {
  auto node = parse_xml(xml);
  if (!node) return Error{Code::kUnavailable, "the answer is wrong: " + node.error().message};
  if (node->name != root)
    return Error{Code::kUnavailable, fmt::format("the answer is <{}>, not <{}>", node->name, root)};
  return node;
}

/// "s3:PutObject" out of a sentence, if it is there.
std::string permission_in(std::string_view message) {
  for (const std::string_view service : {"s3:", "kms:", "sts:"}) {
    const size_t at = message.find(service);
    if (at == std::string_view::npos) continue;
    size_t end = at + service.size();
    while (end < message.size() && std::isalpha(static_cast<unsigned char>(message[end]))) ++end;
    if (end > at + service.size()) return std::string(message.substr(at, end - at));
  }
  return {};
}

struct CodeRow {
  std::string_view name;
  Code code;
};
// Where the error's name decides and not its status
// (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
constexpr CodeRow kCodes[] = {
    {"BadDigest", Code::kUnavailable},
    {"XAmzContentSHA256Mismatch", Code::kUnavailable},
    {"XAmzContentChecksumMismatch", Code::kUnavailable},
    {"IncompleteBody", Code::kUnavailable},
    {"RequestTimeout", Code::kTimeout},
    {"InternalError", Code::kUnavailable},
    {"SlowDown", Code::kUnavailable},
    {"ServiceUnavailable", Code::kUnavailable},
    {"Throttling", Code::kUnavailable},
    {"ThrottlingException", Code::kUnavailable},
    {"RequestLimitExceeded", Code::kUnavailable},
    {"OperationAborted", Code::kUnavailable},
    {"ConditionalRequestConflict", Code::kUnavailable},
    {"ExpiredToken", Code::kDenied},
    {"InvalidToken", Code::kDenied},
    {"TokenRefreshRequired", Code::kDenied},
    {"NoSuchBucket", Code::kNotFound},
    {"NoSuchKey", Code::kNotFound},
    {"NoSuchUpload", Code::kNotFound},
    {"NotImplemented", Code::kInvalid},
};

/// Whether an error of that name says that nobody knows who we are.
bool is_about_identity(std::string_view code) {
  static constexpr std::string_view kNames[] = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "RequestTimeTooSkewed",
                                                "ExpiredToken",          "InvalidToken",       "TokenRefreshRequired"};
  return std::find(std::begin(kNames), std::end(kNames), code) != std::end(kNames);
}

/// What to do about an error of that name.
std::string_view advice_for(std::string_view code) {
  if (code == "SignatureDoesNotMatch") return "the secret key is not the one of this access key";
  if (code == "InvalidAccessKeyId") return "there is no such access key";
  if (code == "RequestTimeTooSkewed") return "this machine's clock is wrong";
  if (code == "ExpiredToken") return "the temporary keys have expired";
  if (code == "NoSuchBucket") return "there is no such bucket";
  if (code == "InvalidObjectState") return "the object is archived: restore it first";
  return {};
}

}  // namespace

Result<ListPage> parse_list(std::string_view xml) {
  BALEEN_TRY(const XmlNode root, parse_answer(xml, "ListBucketResult"));
  const bool encoded = root.child_text("EncodingType") == "url";
  const auto name = [&](std::string_view text) {
    std::string out(text);
    if (!encoded) return out;
    std::replace(out.begin(), out.end(), '+', ' ');  // as in a form
    return io::percent_decode(out);
  };
  ListPage page;
  if (root.child_text("IsTruncated") == "true") page.next_page_token = root.child_text("NextContinuationToken");
  for (const XmlNode& node : root.children) {
    if (node.name == "CommonPrefixes") {
      page.prefixes.push_back(name(node.child_text("Prefix")));
    } else if (node.name == "Contents") {
      ObjectFacts object;
      object.key = name(node.child_text("Key"));
      const auto size = parse_number(node.child_text("Size"));
      if (object.key.empty() || !size)
        return Error{Code::kUnavailable, "the answer lists an object without name or size"};
      object.size = *size;
      object.modified = parse_time(std::string(node.child_text("LastModified")));
      object.etag = plain_etag(node.child_text("ETag"));
      page.objects.push_back(std::move(object));
    }
  }
  return page;
}

Result<PartsPage> parse_parts(std::string_view xml) {
  BALEEN_TRY(const XmlNode root, parse_answer(xml, "ListPartsResult"));
  PartsPage page;
  if (root.child_text("IsTruncated") == "true")
    page.next = static_cast<uint32_t>(parse_number(root.child_text("NextPartNumberMarker")).value_or(0));
  for (const XmlNode& node : root.children) {
    if (node.name != "Part") continue;
    const auto number = parse_number(node.child_text("PartNumber")), size = parse_number(node.child_text("Size"));
    if (!number || *number > 10'000 || !size)
      return Error{Code::kUnavailable, "the answer lists a part without number"};
    page.parts.push_back({static_cast<uint32_t>(*number), *size, plain_etag(node.child_text("ETag")),
                          decode_crc32c(node.child_text("ChecksumCRC32C"))});
  }
  return page;
}

Result<std::string> parse_upload_id(std::string_view xml) {
  BALEEN_TRY(const XmlNode root, parse_answer(xml, "InitiateMultipartUploadResult"));
  std::string id(root.child_text("UploadId"));
  if (id.empty() || id.size() > 4096) return Error{Code::kUnavailable, "the answer has no UploadId"};
  return id;
}

std::string plain_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

bool asks_for_md5(const io::HttpAnswer& answer) {
  if (answer.status != 400) return false;
  const auto refusal = parse_refusal(answer.body);
  return refusal && refusal->code == "InvalidRequest" && refusal->message.find("Content-MD5") != std::string::npos;
}

bool may_refuse_checksums(const io::HttpAnswer& answer) {
  if (answer.status == 501) return true;
  if (answer.status != 400) return false;
  const auto refusal = parse_refusal(answer.body);
  return refusal && (refusal->code == "InvalidRequest" || refusal->code == "InvalidArgument");
}

bool etag_is_md5(const io::HttpAnswer& answer, std::string_view etag) {
  if (etag.size() != 32 || etag.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
  if (answer.header("x-amz-server-side-encryption").starts_with("aws:kms")) return false;
  return answer.header("x-amz-server-side-encryption-customer-algorithm").empty();
}

ObjectFacts facts_of_headers(const io::HttpAnswer& answer, std::string_view key) {
  ObjectFacts object;
  object.key = key;
  object.size = parse_number(answer.header("content-length")).value_or(0);
  object.crc32c = decode_crc32c(answer.header(kChecksumHeader));  // of parts: has a "-N" and is none
  if (!object.crc32c) object.crc32c = decode_crc32c(answer.header(kCrcHeader));
  object.modified = io::parse_http_date(answer.header("last-modified")).value_or(Timestamp{});
  object.etag = plain_etag(answer.header("etag"));
  object.generation = answer.header("x-amz-version-id");
  return object;
}

std::optional<Refusal> parse_refusal(std::string_view xml) {
  const auto root = parse_xml(xml);
  if (!root) return std::nullopt;
  const XmlNode* error = root->name == "Error" ? &*root : root->child("Error");  // the latter from STS
  if (error == nullptr) return std::nullopt;
  Refusal out{std::string(error->child_text("Code")), std::string(error->child_text("Message")),
              std::string(error->child_text("Region"))};
  if (out.message.size() > 1000) out.message.resize(1000);
  return out;
}

Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view action,
               std::string_view identity) {
  Refusal refusal = parse_refusal(answer.body).value_or(Refusal{});
  while (!refusal.message.empty() && (refusal.message.back() == '\n' || refusal.message.back() == '.'))
    refusal.message.pop_back();

  Code code = answer.ok() ? Code::kUnavailable : io::code_of_status(answer.status);
  for (const CodeRow& row : kCodes)
    if (row.name == refusal.code) code = row.code;
  if (answer.status == 301 || answer.status == 307) code = Code::kInvalid;

  std::string text =
      fmt::format("{}: {} {}", what, answer.status, refusal.code.empty() ? to_string(code) : refusal.code);
  if (!refusal.message.empty()) text += ": " + refusal.message;
  const std::string who = identity.empty() ? "these credentials" : std::string(identity);
  if (const std::string_view advice = advice_for(refusal.code); !advice.empty()) {
    text += fmt::format(" [{}]", advice);
  } else if (answer.status == 403 && code == Code::kDenied && !action.empty()) {
    const std::string permission = permission_in(refusal.message);
    text += fmt::format(" [{} lacks the permission {}{}]", who, permission.empty() ? action : permission,
                        permission.empty() && action == "s3:GetObject"
                            ? ", or there is no such object and the permission s3:ListBucket lacks to say so"
                            : "");
  } else if (answer.status == 401 || (code == Code::kDenied && answer.status == 400)) {
    text += fmt::format(" [{} was not accepted]", who);
  } else if (answer.status == 301 || answer.status == 307) {
    text += " [the bucket is in another region]";
  }
  Error error{code, std::move(text), io::retry_after(answer)};
  error.unauthenticated = answer.status == 401 || is_about_identity(refusal.code);
  return error;
}

}  // namespace baleen::store::s3
