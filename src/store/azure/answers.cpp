#include "store/azure/answers.h"

#include <fmt/core.h>

#include "store/checksum.h"
#include "store/xml.h"

namespace baleen::store::azure {
namespace {

Result<XmlNode> parse_answer(std::string_view xml, std::string_view root) {
  // The service begins its answers with a byte-order mark, which expat knows.
  auto node = parse_xml(xml);
  if (!node) return Error{Code::kUnavailable, "the answer is wrong: " + node.error().message};
  if (node->name != root)
    return Error{Code::kUnavailable, fmt::format("the answer is <{}>, not <{}>", node->name, root)};
  return node;
}

struct CodeRow {
  std::string_view name;
  Code code;
};
// Where the error's name decides and not its status (.../rest/api/storageservices/blob-service-error-codes).
constexpr CodeRow kCodes[] = {
    {"ServerBusy", Code::kUnavailable},
    {"InternalError", Code::kUnavailable},
    {"OperationTimedOut", Code::kTimeout},
    {"Md5Mismatch", Code::kUnavailable},
    {"Crc64Mismatch", Code::kUnavailable},
    {"ContainerBeingDeleted", Code::kUnavailable},
    {"InvalidBlockList", Code::kUnavailable},
    {"InvalidBlobOrBlock", Code::kInvalid},
    {"LeaseIdMissing", Code::kDenied},
    {"ContainerNotFound", Code::kNotFound},
    {"BlobNotFound", Code::kNotFound},
    {"ContainerDisabled", Code::kDenied},
    {"BlobArchived", Code::kInvalid},
    {"BlobImmutableDueToPolicy", Code::kDenied},
    {"PublicAccessNotPermitted", Code::kDenied},
    {"UnauthorizedBlobOverwrite", Code::kConflict},
};

/// What to do about an error of that name.
std::string_view advice_for(std::string_view code) {
  if (code == "AuthenticationFailed") return "the key or signature is wrong or has expired, or a clock is";
  if (code == "ContainerNotFound") return "there is no such container";
  if (code == "LeaseIdMissing") return "somebody holds a lease";
  if (code == "BlobArchived") return "the blob is archived: rehydrate it first";
  if (code == "KeyBasedAuthenticationNotPermitted") return "the account allows no keys: use an identity";
  if (code == "AuthorizationSourceIPMismatch") return "the signature is not for this address";
  return {};
}

/// What lets a request of that kind through, in the words of roles and of shared access signatures.
std::string permission_for(std::string_view action) {
  constexpr std::string_view kBase = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/";
  if (action == "read") return fmt::format("{}read (signature: r; role Storage Blob Data Reader)", kBase);
  if (action == "list") return fmt::format("{}read (signature: l; role Storage Blob Data Reader)", kBase);
  if (action == "delete") return fmt::format("{}delete (signature: d; role Storage Blob Data Contributor)", kBase);
  return fmt::format("{}write (signature: c and w; role Storage Blob Data Contributor)", kBase);
}

std::string plain_etag(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

}  // namespace

Result<ListPage> parse_list(std::string_view xml) {
  BALEEN_TRY(const XmlNode root, parse_answer(xml, "EnumerationResults"));
  ListPage page;
  page.next_page_token = root.child_text("NextMarker");
  const XmlNode* blobs = root.child("Blobs");
  if (blobs == nullptr) return Error{Code::kUnavailable, "the answer lists nothing"};
  for (const XmlNode& node : blobs->children) {
    const std::string_view name = node.child_text("Name");
    if (node.name == "BlobPrefix") {
      page.prefixes.emplace_back(name);
    } else if (node.name == "Blob") {
      const XmlNode* properties = node.child("Properties");
      const auto size = parse_number(properties != nullptr ? properties->child_text("Content-Length") : "");
      if (name.empty() || !size) return Error{Code::kUnavailable, "the answer lists a blob without name or size"};
      ObjectFacts object;
      object.key = name;
      object.size = *size;
      object.modified = io::parse_http_date(properties->child_text("Last-Modified")).value_or(Timestamp{});
      object.etag = plain_etag(properties->child_text("Etag"));
      page.objects.push_back(std::move(object));
    }
  }
  return page;
}

Result<std::map<std::string, uint64_t>> parse_blocks(std::string_view xml) {
  BALEEN_TRY(const XmlNode root, parse_answer(xml, "BlockList"));
  std::map<std::string, uint64_t> out;
  if (const XmlNode* blocks = root.child("UncommittedBlocks"))
    for (const XmlNode& block : blocks->children)
      if (const auto size = parse_number(block.child_text("Size")))
        out.emplace(std::string(block.child_text("Name")), *size);
  return out;
}

ObjectFacts facts_of_headers(const io::HttpAnswer& answer, std::string_view key) {
  ObjectFacts object;
  object.key = key;
  object.size = parse_number(answer.header("content-length")).value_or(0);
  object.crc32c = decode_crc32c(answer.header(kCrcHeader));
  object.modified = io::parse_http_date(answer.header("last-modified")).value_or(Timestamp{});
  object.etag = plain_etag(answer.header("etag"));
  object.generation = answer.header("x-ms-version-id");
  return object;
}

Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view action,
               std::string_view identity) {
  std::string name(answer.header("x-ms-error-code")), message;
  if (const auto root = parse_xml(answer.body); root && root->name == "Error") {
    if (name.empty()) name = root->child_text("Code");
    message = root->child_text("Message");
    // The first line says it; the others are an identifier and a time.
    message = message.substr(0, std::min<size_t>(message.find('\n'), 1000));
    if (const std::string_view detail = root->child_text("AuthenticationErrorDetail"); !detail.empty())
      message += fmt::format(" {}", detail.substr(0, 300));
  }
  while (!message.empty() && (message.back() == '.' || message.back() == '\r')) message.pop_back();
  Code code = io::code_of_status(answer.status);
  for (const CodeRow& row : kCodes)
    if (row.name == name) code = row.code;

  std::string text = fmt::format("{}: {} {}", what, answer.status, name.empty() ? to_string(code) : name);
  if (!message.empty()) text += ": " + message;
  const std::string who = identity.empty() ? "these credentials" : std::string(identity);
  if (const std::string_view advice = advice_for(name); !advice.empty()) {
    text += fmt::format(" [{}: {}]", who, advice);
  } else if (answer.status == 403 && code == Code::kDenied && !action.empty()) {
    text += fmt::format(" [{} lacks the permission {}]", who, permission_for(action));
  } else if (answer.status == 401) {
    text += fmt::format(" [{} was not accepted]", who);
  }
  Error error{code, std::move(text), io::retry_after(answer)};
  error.unauthenticated =
      answer.status == 401 || name == "AuthenticationFailed" || name == "InvalidAuthenticationInfo" ||
      message.find("failed to authenticate") != std::string::npos;  // some say AuthorizationFailure then
  return error;
}

}  // namespace baleen::store::azure
