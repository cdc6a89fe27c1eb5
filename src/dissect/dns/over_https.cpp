#include "dissect/dns/over_https.h"

#include "dissect/dns/dns.h"
#include "dissect/dns/message.h"

namespace baleen::dissect::dns {
namespace {

void set(item::Message& to, item::Value payload, const HttpHalf& half) {
  to.payload = payload;
  to.time = half.time;
  to.size = half.message.size();
  to.present = true;
}

}  // namespace

void over_https(const HttpHalf& query, const HttpHalf& answer, Output& out) {
  const Shape asked = survey(query.message), answered = survey(answer.message);
  const bool has_query = asked.question_ok && asked.whole && !asked.header.is_response();
  const bool has_answer = answered.question_ok && answered.whole && answered.header.is_response();
  if ((!has_query && !query.message.empty()) || (!has_answer && !answer.message.empty()))
    out.count(Counter::kMalformed);
  if (!has_query && !has_answer) return;
  item::Item* const item = out.begin(Dns::kProtocol);
  if (has_query) set(item->request, request_payload(query.message, asked, false, item->arena), query);
  if (has_answer) set(item->response, response_payload(answer.message, answered, false, nullptr, item->arena), answer);
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
