#include "dissect/dns/over_https.h"

#include "codec/base64.h"
#include "dissect/build.h"
#include "dissect/dns/dns.h"
#include "dissect/dns/message.h"

namespace baleen::dissect::dns {
namespace {

using item::Value;

/// The text of a body, decoded from its content codings, when it is a message.
Bytes body(const Value& content) {
  return is_dns_message(content["mimeType"].text()) ? as_bytes(content["text"].text()) : Bytes();
}

void set(item::Message& to, Value payload, Bytes message, const item::Message& carrier) {
  to.payload = payload;
  to.time = carrier.time;
  to.size = message.size();
  to.present = true;
}

}  // namespace

bool is_dns_message(std::string_view content_type) { return starts_with_word(content_type, "application/dns-message"); }

void over_https(const item::Item& carrier, Output& out) {
  item::Item* const item = out.begin(Dns::kProtocol);
  Arena& arena = item->arena;
  Bytes query = body(carrier.request.payload["postData"]);
  const Bytes answer = body(carrier.response.payload["content"]);
  if (query.empty()) {  // RFC 8484 4.1: or in the target
    const std::string_view text = carrier.request.payload["queryString"]["dns"].text();
    query = codec::from_base64(text, arena).value_or(Bytes());
  }
  const Shape asked = survey(query), answered = survey(answer);
  const bool has_query = asked.question_ok && asked.whole && !asked.header.is_response();
  const bool has_answer = answered.question_ok && answered.whole && answered.header.is_response();
  if ((!has_query && !query.empty()) || (!has_answer && !answer.empty())) out.count(Counter::kMalformed);
  if (!has_query && !has_answer) return out.drop(item);
  if (has_query) set(item->request, request_payload(query, asked, false, arena), query, carrier.request);
  if (has_answer)
    set(item->response, response_payload(answer, answered, false, nullptr, arena), answer, carrier.response);
  if (!has_answer) {
    item->outcome = item::Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  } else if (!has_query) {
    item->outcome = item::Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  }
  out.finish(item);
}

}  // namespace baleen::dissect::dns
