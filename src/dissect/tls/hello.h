#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::tls {

/// A list of 16-bit numbers as it stands on the wire.
struct Numbers {
  Bytes bytes;
  size_t size() const { return bytes.size() / 2; }
  uint16_t operator[](size_t i) const { return load_be16(&bytes[2 * i]); }
};

struct Extension {
  uint16_t type;
  Bytes content;
};

/// A ClientHello or ServerHello (RFC 8446 4.1, RFC 5246 7.4.1), as views of the message.
struct Hello {
  static constexpr size_t kMaxExtensions = 64;
  bool ok = false;
  bool is_client = true;
  uint16_t legacy_version = 0;
  Bytes random, session_id;
  Numbers ciphers;          // one of a ServerHello
  uint8_t compression = 0;  // that a ServerHello chose
  std::array<Extension, kMaxExtensions> extensions;
  size_t extension_count = 0;

  std::string_view sni;
  Bytes alpn;  // names with their lengths
  Numbers versions, groups, signatures;
  Bytes point_formats;
  bool has_alpn = false, has_sni = false, has_psk = false, has_early_data = false, has_ech = false, is_v2 = false;
  bool over_quic = false;       // whoever read it says so
  bool has_ticket = false;      // a session ticket that is not empty
  uint16_t selected_group = 0;  // of a ServerHello's key share

  std::span<const Extension> all() const { return {extensions.data(), extension_count}; }
  /// The highest version that is offered, or the one that was chosen.
  uint16_t version() const;
};

/// `body` is the handshake message without its four bytes of head.
Hello read_hello(Bytes body, bool is_client);

/// The same of DTLS (RFC 6347 4.2.1): a ClientHello has a cookie, and versions count down.
Hello read_datagram_hello(Bytes body, bool is_client);
/// Whether a ServerHello is a HelloRetryRequest (RFC 8446 4.1.3).
bool is_retry(const Hello& server_hello);

/// A hello in the form of SSL 2.0 (RFC 5246 E.2), by which old clients ask for SSL 3.0 or TLS; with its head. How long
/// it is; zero when it is none, or its first eleven bytes are not there.
size_t measure_v2_hello(Bytes record);
/// REQUIRES: all of it is there.
Hello read_v2_hello(Bytes record, Arena& arena);

/// Fingerprints, in the arena. JA3: https://github.com/salesforce/ja3; JA4 (the client's):
/// https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md
std::string_view ja3_text(const Hello& hello, Arena& arena);
std::string_view ja3_hash(std::string_view text, Arena& arena);
struct Ja4 {
  std::string_view hashed, raw;
};
Ja4 ja4(const Hello& hello, Arena& arena);

}  // namespace baleen::dissect::tls
