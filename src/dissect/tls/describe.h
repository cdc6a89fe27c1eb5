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

}  // namespace baleen::dissect::tls
