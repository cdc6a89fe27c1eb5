#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/http_client.h"
#include "store/object_store.h"

// What Azure Blob Storage answers (learn.microsoft.com/rest/api/storageservices/blob-service-rest-api), read without
// trust: wrong XML is an Error, never more.

namespace baleen::store::azure {

/// The answer of List Blobs.
Result<ListPage> parse_list(std::string_view xml);
/// The uncommitted blocks of Get Block List: name (base64, as it was given) and size.
Result<std::map<std::string, uint64_t>> parse_blocks(std::string_view xml);
/// What the headers of HEAD, GET or PUT say of a blob.
ObjectFacts facts_of_headers(const io::HttpAnswer& answer, std::string_view key);

/// Turns a refusal into a decision and a sentence: which permission is missing, for whom, what to do. `action` is what
/// the request needs: "read", "write", "delete", "list".
Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view action, std::string_view identity);

inline constexpr char kCrcHeader[] = "x-ms-meta-baleen_crc32c";

}  // namespace baleen::store::azure
