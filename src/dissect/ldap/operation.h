#pragma once

#include "dissect/ber.h"
#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::ldap {

/// The tags of protocolOp (RFC 4511 4.2 to 4.14).
enum Operation : uint8_t {
  kBindRequest = 0x60,
  kBindResponse = 0x61,
  kUnbindRequest = 0x42,
  kSearchRequest = 0x63,
  kSearchEntry = 0x64,
  kSearchDone = 0x65,
  kModifyRequest = 0x66,
  kModifyResponse = 0x67,
  kAddRequest = 0x68,
  kAddResponse = 0x69,
  kDelRequest = 0x4A,
  kDelResponse = 0x6B,
  kModifyDnRequest = 0x6C,
  kModifyDnResponse = 0x6D,
  kCompareRequest = 0x6E,
  kCompareResponse = 0x6F,
  kAbandonRequest = 0x50,
  kSearchReference = 0x73,
  kExtendedRequest = 0x77,
  kExtendedResponse = 0x78,
  kIntermediateResponse = 0x79,
};

bool is_request(uint8_t operation);
bool is_operation(uint8_t operation);
/// "bind", "search": of request and response alike.
std::string_view type_name(uint8_t operation);
std::string_view result_name(int64_t code);

/// An LDAPMessage taken apart; `ok` is false when it is none.
struct Envelope {
  bool ok = false;
  uint32_t id = 0;
  uint8_t operation = 0;
  Bytes content, controls;
};
Envelope read_envelope(Bytes message);

/// The fields of a request's operation, with `type` and `summary`.
void describe_request(const Envelope& message, MapOf& out, Arena& arena);
/// resultCode, status, matchedDN, errorMessage and what else the response has.
void describe_result(const Envelope& message, MapOf& out, Arena& arena);
/// What a search found: `{dn, attributes}`, with `controls` where it has some.
item::Value describe_entry(const Envelope& message, Arena& arena);
/// An answer that is not the last (RFC 4511 4.13): `{responseName, responseLabel, responseValue, controls}`.
item::Value describe_intermediate(const Envelope& message, Arena& arena);
/// A list of URIs.
item::Value describe_uris(Bytes content, Arena& arena);
void add_controls(Bytes controls, MapOf& out, Arena& arena);

constexpr std::string_view kStartTls = "1.3.6.1.4.1.1466.20037", kWhoAmI = "1.3.6.1.4.1.4203.1.11.3",
                           kDisconnection = "1.3.6.1.4.1.1466.20036";

}  // namespace baleen::dissect::ldap
