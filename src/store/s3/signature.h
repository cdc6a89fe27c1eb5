#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "io/http_client.h"

namespace baleen::store::s3 {

/// What signs a request. A secret but for `access_key`.
struct Keys {
  std::string access_key, secret_key;
  std::string session_token;  // of temporary keys; empty for lasting ones
};

/// Where a signature holds.
struct Scope {
  std::string region, service;
};

/// Signs a request with AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-
/// request.html): adds X-Amz-Date, X-Amz-Security-Token, for S3 X-Amz-Content-Sha256, and Authorization over all the
/// headers that are there. The URL is taken as it is spelled: names in it are percent-encoded once, as S3 wants it.
/// `payload_sha256` is the body's hash in lower-case hex.
void sign(io::HttpRequest& request, const Keys& keys, const Scope& scope, std::string_view payload_sha256,
          Timestamp now);

/// The hash of no body.
/// In its place, for a body that the signature says nothing of.
inline constexpr std::string_view kUnsigned = "UNSIGNED-PAYLOAD";
inline constexpr std::string_view kEmptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The first two steps of signing, apart for tests.
std::string canonical_request(const io::HttpRequest& request, std::string_view payload_sha256,
                              std::string* signed_headers);

}  // namespace baleen::store::s3
