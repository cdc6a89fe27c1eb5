#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/http_client.h"
#include "store/object_store.h"

// What S3 answers (docs.aws.amazon.com/AmazonS3/latest/API), read without trust: wrong XML is an Error, never more.

namespace baleen::store::s3 {

/// A part that the store has.
struct Part {
  uint32_t number = 0;
  uint64_t size = 0;
  std::string etag;
  std::optional<uint32_t> crc32c{};  // that the store has checked, or ours
};

/// One page of ListParts; `next` is where the following one begins, zero at the last.
struct PartsPage {
  std::vector<Part> parts;
  uint32_t next = 0;
};

/// The answer of ListObjectsV2.
Result<ListPage> parse_list(std::string_view xml);
Result<PartsPage> parse_parts(std::string_view xml);
/// The UploadId of CreateMultipartUpload's answer.
Result<std::string> parse_upload_id(std::string_view xml);
/// What the headers of HEAD, GET or PUT say of an object.
ObjectFacts facts_of_headers(const io::HttpAnswer& answer, std::string_view key);
/// Without its quotes.
std::string plain_etag(std::string_view etag);
/// A part without Content-MD5 was refused for that: what is kept under Object Lock needs it.
bool asks_for_md5(const io::HttpAnswer& answer);
/// A request with a checksum's header was refused, maybe for that: stores that know none say so in several ways.
bool may_refuse_checksums(const io::HttpAnswer& answer);
/// The ETag is the content's MD5: neither of parts, nor encrypted with a key of somebody's.
bool etag_is_md5(const io::HttpAnswer& answer, std::string_view etag);

/// What an error's body says; all empty when there is none, as after HEAD.
struct Refusal {
  std::string code, message, region;
};
/// Also of an answer that is 200 and an error all the same, as CompleteMultipartUpload's may be.
std::optional<Refusal> parse_refusal(std::string_view xml);

/// Turns a refusal into a decision and a sentence: which permission is missing, for whom, what to do. `action` is what
/// the request needs: "s3:PutObject".
Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view action, std::string_view identity);

/// The name of our checksum among an object's metadata: stores that keep no CRC32C of their own keep it there.
inline constexpr char kCrcHeader[] = "x-amz-meta-baleen-crc32c";
/// A CRC32C that the store checks before it takes a body, and says again
/// (docs.aws.amazon.com/AmazonS3/latest/userguide/ checking-object-integrity.html). An object of parts has a sum of
/// their sums there, with their number behind a "-".
inline constexpr char kChecksumHeader[] = "x-amz-checksum-crc32c";

}  // namespace baleen::store::s3
