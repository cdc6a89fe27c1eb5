#pragma once

#include "dissect/build.h"
#include "dissect/tls/hello.h"

namespace baleen::dissect::tls {

/// What hellos and certificates say, as members of an item's request or response.

/// Names with a length before each, with commas between.
std::string_view alpn_text(Bytes alpn, Arena& arena);
void describe_client(const Hello& hello, MapOf& out, Arena& arena);
void describe_server(const Hello& hello, MapOf& out, Arena& arena);
/// The content of a Certificate message. Of TLS 1.3 (`modern`) there is a context in front, and extensions behind each
/// (RFC 8446 4.4.2).
item::Value read_certificates(Bytes body, bool modern, Arena& arena);

struct CompressedCertificates {
  std::string_view algorithm;  // "zlib", "brotli", "zstd"; its number where it is none of them
  item::Value certificates;    // null where they cannot be had
};
/// The content of a CompressedCertificate message of TLS 1.3 (RFC 8879 4). Nothing is unpacked that says it is longer
/// than `most` bytes, or that is not as long as it says.
CompressedCertificates read_compressed_certificates(Bytes body, size_t most, Arena& arena);

}  // namespace baleen::dissect::tls
