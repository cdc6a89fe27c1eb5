#include "dissect/http2/stream.h"

#include <algorithm>

#include "dissect/dns/over_https.h"
#include "dissect/grpc/grpc.h"
#include "dissect/http/head.h"
#include "dissect/http2/http2.h"

namespace baleen::dissect::http2 {
namespace {

using http::Draft;
using item::Member;
using item::Outcome;
using item::Value;

constexpr std::string_view kVersion = "HTTP/2.0";
constexpr std::string_view kNameless = "?";  // of a field whose name stands in a table that is not known

/// The value of a pseudo-header field (RFC 9113 8.3) or of another one whose canonical name is this.
std::string_view value_of(const Block& block, std::string_view name) {
  for (const Member& m : block.fields.kept())
    if (m.name == name) return m.value.text();
  return {};
}

http::Fields fields_of(const Block& block, Arena& arena) {
  http::FieldParser parser(arena, block.fields.size(), nullptr, true);
  for (const Member& m : block.fields.kept()) parser.add(m.name.empty() ? kNameless : m.name, m.value.text());
  http::Fields fields = parser.done();
  fields.as_sent = true;  // there is no head as text to be shown beside the map
  return fields;
}

void start(Stream& stream, Draft& draft, const Block& block) {
  draft.transfer_encoding = {};  // RFC 9113 8.2.2: means nothing here
  draft.add("streamId", stream.id);
  uint32_t unknown = block.unknown;
  for (const Member& m : block.fields.kept()) unknown += m.name.empty();
  if (unknown > 0) draft.add("unknownFields", unknown);
  if (block.too_long) draft.error = "header list too long";
  if (block.malformed) draft.error = "field block cannot be decompressed";
}

int number_of(std::string_view digits) {
  int n = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9' || n > 999) return 0;
    n = n * 10 + (c - '0');
  }
  return n;
}

/// The member of that name in a payload under way.
Value* member(Draft& draft, std::string_view name) {
  for (size_t i = 0; i < draft.used; ++i)
    if (draft.members[i].name == name) return &draft.members[i].value;
  return nullptr;
}

/// A value by its canonical name, from the trailers or, where a response has none, from its headers.
std::string_view ending_field(Draft& draft, std::string_view name) {
  if (const Value* v = draft.trailer_fields.find(name); v != nullptr) return v->text();
  return (*member(draft, "headers"))[name].text();
}

grpc::Half half_of(Draft& draft) {
  return {draft.content_type, (*member(draft, "headers"))["Grpc-Encoding"].text(), draft.text.view(),
          draft.capped || draft.holed};
}

/// gRPC's trailers are what other protocols say in headers: there filters look for them, and the reference shows them.
void merge_trailers(Draft& draft) {
  Value& headers = *member(draft, "headers");
  const auto first = headers.members(), second = draft.trailer_fields.members();
  const auto all = draft.arena().array<Member>(first.size() + second.size());
  std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), all.begin()));
  headers = Value::map(all, true);
}

bool is_grpc(Stream& stream) {
  if (grpc::is_grpc(stream.request.content_type) || grpc::is_grpc(stream.response.content_type)) return true;
  return stream.response.started && !ending_field(stream.response, "Grpc-Status").empty();
}

/// The request's path; empty when it is not known.
std::string_view path_of(Stream& stream) {
  return stream.request.started ? member(stream.request, "path")->text() : std::string_view();
}

void add_grpc(Stream& stream, Output& out) {
  if (Draft& d = stream.request; d.started) {
    const std::string_view timeout = (*member(d, "headers"))["Grpc-Timeout"].text();
    d.add("grpc", grpc::request_value(path_of(stream), timeout, half_of(d), d.arena(), out));
  }
  if (Draft& d = stream.response; d.started) {
    const bool trailers_only = d.trailer_fields.is_null() && d.body_size == 0;
    grpc::Ending ending{ending_field(d, "Grpc-Status"), ending_field(d, "Grpc-Message"),
                        ending_field(d, "Grpc-Status-Details-Bin"), trailers_only};
    d.add("grpc", grpc::response_value(path_of(stream), half_of(d), ending, d.arena(), out));
    if (!d.trailer_fields.is_null()) merge_trailers(d);
  }
}

}  // namespace

bool begins_message(const Block& block, bool is_response) {
  if (block.unknown > 0) return true;
  for (const Member& m : block.fields.kept())
    if (m.name.empty() || (is_response ? m.name == ":status" : m.name.starts_with(':'))) return true;
  return false;
}

void start_request(Stream& stream, const Block& block, size_t size) {
  Draft& draft = stream.request;
  Arena& arena = draft.arena();
  http::RequestLine line{value_of(block, ":method"), value_of(block, ":path"), kVersion, true};
  if (line.target.empty()) line.target = value_of(block, ":authority");  // CONNECT (RFC 9113 8.5)
  http::start_request(draft, line, fields_of(block, arena), {nullptr, size});
  start(stream, draft, block);
  stream.reflects = grpc::is_reflection(path_of(stream));
}

bool start_response(Stream& stream, const Block& block, size_t size) {
  Draft& draft = stream.response;
  Arena& arena = draft.arena();
  const http::StatusLine line{kVersion, {}, number_of(value_of(block, ":status")), true};
  const http::Fields fields = fields_of(block, arena);
  if (line.status / 100 == 1) {
    const auto members = arena.array<Member>(3);
    members[0] = {"status", line.status};
    members[1] = {"httpVersion", kVersion};
    members[2] = {"headers", Value::map(fields.members, true)};
    draft.interim = arena.make<http::Interim>(http::Interim{Value::map(members), draft.interim});
    return false;
  }
  http::start_response(draft, line, fields, {nullptr, size});
  start(stream, draft, block);
  return true;
}

void add_trailers(Draft& draft, const Block& block) {
  if (block.malformed) draft.error = "field block cannot be decompressed";
  if (block.fields.empty()) return;
  draft.trailer_fields = Value::map(fields_of(block, draft.arena()).members, true);
}

bool opens_websocket(Stream& stream) {
  if (!stream.request.started || !stream.response.started) return false;
  return member(stream.request, "method")->text() == "CONNECT" &&
         same_word((*member(stream.request, "headers"))[":protocol"].text(), "websocket") &&
         member(stream.response, "status")->as_int() / 100 == 2;
}

void learn(Stream& stream, Output& out) {
  const grpc::Half half = half_of(stream.response);
  stream.learnt = static_cast<uint32_t>(grpc::learn(half.body, stream.learnt, half.encoding, out));
}

void complete(Stream& stream, Output& out) {
  item::Item& item = *stream.item;
  if (grpc::is_web(stream.request.content_type) || grpc::is_web(stream.response.content_type)) {
    item.protocol = &Http2::kGrpc;  // the bodies are looked at with the payloads
  } else if (is_grpc(stream)) {
    item.protocol = &Http2::kGrpc;
    add_grpc(stream, out);
  }
  if (stream.request.started) http::finish_payload(stream.request, out);
  if (stream.response.started) http::finish_payload(stream.response, out);
  if (dns::is_dns_message(stream.request.content_type) || dns::is_dns_message(stream.response.content_type))
    dns::over_https(item, out);

  const char* const broken = stream.response.error != nullptr ? stream.response.error : stream.request.error;
  if (!item.request.present) {
    item.outcome = Outcome::kNoRequest;
    out.count(Counter::kHalfResponses);
  } else if (!stream.error.empty()) {
    item.outcome = Outcome::kConnection;
  } else if (!stream.response.started) {
    item.outcome = Outcome::kNoResponse;
    out.count(Counter::kHalfRequests);
  } else if (broken != nullptr) {
    item.outcome = Outcome::kDissection;
  }
  if (broken != nullptr) {
    out.count(Counter::kMalformed);
    item.error_message = broken;
  }
  if (!stream.error.empty()) item.error_message = stream.error;
}

}  // namespace baleen::dissect::http2
