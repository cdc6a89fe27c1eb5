#pragma once

#include <string>
#include <string_view>

#include "io/http_client.h"
#include "store/object_store.h"

// What Google Cloud Storage's JSON API answers, read without trust: wrong JSON is an Error, never more.

namespace baleen::store::gcs {

/// An Object resource (cloud.google.com/storage/docs/json_api/v1/objects#resource).
Result<ObjectFacts> parse_object(std::string_view json);
/// The answer of Objects: list.
Result<ListPage> parse_list(std::string_view json);
/// The crc32c of an "x-goog-hash: crc32c=...,md5=..." header.
std::optional<uint32_t> crc32c_of_hash_header(std::string_view value);
/// How many bytes the store has, of the "Range: bytes=0-N" of a 308; zero without one.
uint64_t received_of_range_header(std::string_view value);

/// Turns a refusal into a decision and a sentence: which permission is missing, for whom, what to do.
Error error_of(const io::HttpAnswer& answer, std::string_view what, std::string_view identity);

}  // namespace baleen::store::gcs
