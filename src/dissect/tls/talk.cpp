#include "dissect/tls/talk.h"

#include "dissect/tls/describe.h"
#include "dissect/tls/names.h"

namespace baleen::dissect::tls {

using item::Item;
using item::Outcome;
using item::Value;

namespace {

MapOf* new_fields(Talk& talk) {
  Arena& arena = talk.item->arena;
  return new (arena.allocate(sizeof(MapOf), alignof(MapOf))) MapOf(arena);
}

/// What of a server's answer is known only when all of it was seen.
void add_conclusions(const Talk& talk, const Said& said, MapOf& map) {
  map.add("resumed", talk.resumed && said.certificates.is_null());
  if (talk.verified) map.add("helloVerified", true);
  if (talk.retry) map.add("helloRetry", true);
  if (talk.certificate_requested) map.add("clientCertificateRequested", true);
  if (talk.stapled) map.add("certificateStatus", true);
  if (talk.ticket) map.add("sessionTicket", true);
}

/// The version agreed on, or the alert of one side, the server's first.
Value status_of(const Talk& talk) {
  for (const Value& alert : {talk.said[1].alert, talk.said[0].alert})
    if (!alert.is_null()) return alert["description"];
  return Value(version_name(talk.version, talk.item->arena));
}

/// One side's message, where it said anything.
void show(const Talk& talk, const Said& said, bool client, item::Message& message) {
  if (said.fields == nullptr && said.alert.is_null()) return;
  MapOf bare(talk.item->arena);
  MapOf& map = said.fields != nullptr ? *said.fields : bare;
  if (said.fields == nullptr) bare.add("info", "Alert");
  if (!said.certificates.is_null()) map.add("certificates", said.certificates);
  map.add_text("certificateCompression", said.compression);
  if (!client && said.fields != nullptr) add_conclusions(talk, said, map);
  if (!said.alert.is_null()) map.add("alert", said.alert);
  if (!client) map.add("status", status_of(talk));
  message = {map.build(), said.time, said.wire_size, true};
}

}  // namespace

bool is_modern(uint16_t version) { return version == 0xFEFC || (version >= 0x0304 && version < 0xFE00); }

void hear_client(Talk& talk, const Hello& hello) {
  talk.said[0].fields = new_fields(talk);
  describe_client(hello, *talk.said[0].fields, talk.item->arena);
  talk.client_session = hello.session_id;
}

bool hear_server(Talk& talk, const Hello& hello) {
  talk.version = hello.version();
  talk.retry |= is_retry(hello);
  MapOf*& fields = is_retry(hello) ? talk.retry_fields : talk.said[1].fields;
  fields = new_fields(talk);
  describe_server(hello, *fields, talk.item->arena);
  if (is_retry(hello)) return false;
  const bool same_session = !hello.session_id.empty() && as_text(hello.session_id) == as_text(talk.client_session);
  talk.resumed = is_modern(talk.version) ? hello.has_psk : same_session;
  return true;
}

void hear_alert(Talk& talk, Direction direction, Bytes alert, bool fatal) {
  Arena& arena = talk.item->arena;
  MapOf map(arena);
  const std::string_view description = alert_name(alert[1], arena);
  map.add("level", fatal ? "fatal" : "warning");
  map.add("description", description);
  talk.of(direction).alert = map.build();
  if (fatal)
    talk.failure =
        join({"fatal alert of the ", direction == Direction::kToServer ? "client: " : "server: ", description}, arena);
}

void conclude(Talk& talk, Output& out) {
  Item* const item = talk.item;
  if (talk.said[1].fields == nullptr) talk.said[1].fields = talk.retry_fields;
  show(talk, talk.said[0], true, item->request);
  show(talk, talk.said[1], false, item->response);
  if (!item->request.present && !item->response.present) {
    out.count(Counter::kMalformed);
    return out.drop(item);
  }
  if (!item->response.present) {
    item->outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  } else if (!item->request.present) {
    item->outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  if (!talk.failure.empty()) {
    item->outcome = Outcome::kConnection;
    item->error_message = talk.failure;
  }
  if (talk.said[0].broken || talk.said[1].broken) mark_malformed(item, "malformed handshake", out);
  out.finish(item);
}

}  // namespace baleen::dissect::tls
