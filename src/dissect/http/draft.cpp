#include "dissect/http/draft.h"

#include <algorithm>

#include "codec/inflate.h"
#include "dissect/graphql/graphql.h"
#include "dissect/grpc/grpc.h"
#include "dissect/http/chars.h"
#include "dissect/http/views.h"

namespace baleen::dissect::http {
namespace {

using item::Member;
using item::Value;

/// `text` without the codings of a Content-Encoding or Transfer-Encoding list, the last applied undone first (RFC 9110
/// 8.4). False when one is unknown or the data is not what it says; then `text` stays as it came.
bool undo_codings(std::string_view codings, std::string_view& text, size_t cap, Arena& arena) {
  std::string_view result = text;
  for (int depth = 0; !codings.empty(); ++depth) {
    const std::string_view name = last_of(codings);
    const size_t comma = codings.rfind(',');
    codings = comma == std::string_view::npos ? std::string_view() : codings.substr(0, comma);
    if (alike(name, "chunked")) continue;
    const codec::Coding coding = codec::coding_of(name);
    if (coding == codec::Coding::kIdentity) continue;
    if (depth == 8) return false;  // nobody stacks more; a list of a thousand would be an attack
    const codec::Decoded decoded = codec::decode(coding, as_bytes(result), cap, arena);
    if (decoded.ending == codec::Ending::kFailed) return false;
    result = as_text(decoded.bytes);
  }
  text = result;
  return true;
}

std::string_view decoded_text(Draft& draft, Output& out) {
  std::string_view text = draft.text.view();
  if (text.empty() || !out.settings().decode_bodies) return text;
  const size_t cap = out.settings().body_cap;
  bool ok = true;
  if (!draft.transfer_encoding.empty()) ok = undo_codings(draft.transfer_encoding, text, cap, draft.arena());
  if (ok && !draft.content_encoding.empty()) ok = undo_codings(draft.content_encoding, text, cap, draft.arena());
  if (!ok) out.count(Counter::kDecodeFailed);
  return text;
}

/// The text as a string, or as bytes, which print as base64; then `encoding` says so.
void add_text(std::string_view text, Member* encoding, Member* value) {
  const Value v = text_or_bytes(text);
  *encoding = {"encoding", v.is_string() ? std::string_view() : std::string_view("base64")};
  *value = {"text", v};
}

Value content(Draft& draft, Output& out) {
  const std::string_view text = decoded_text(draft, out);
  const bool as_came = text.data() == draft.text.data();
  auto* const m = static_cast<Member*>(draft.arena().allocate(4 * sizeof(Member), alignof(Member)));
  // HAR 1.2: the size is that of the decoded content; what was capped counts as it came.
  new (m) Member{"size", as_came ? Value(draft.body_size) : Value(static_cast<uint64_t>(text.size()))};
  new (m + 1) Member{"mimeType", draft.content_type};
  add_text(text, m + 2, m + 3);
  return Value::map({m, 4});
}

Value post_data(Draft& draft, Output& out) {
  Arena& arena = draft.arena();
  const std::string_view text = decoded_text(draft, out);
  const std::string_view type = media_type(draft.content_type, arena);
  Value params = Value::list({});
  if (type == "application/x-www-form-urlencoded") params = urlencoded_params(text, arena);
  if (type == "multipart/form-data") params = multipart_params(text, parameter(draft.content_type, "boundary"), arena);
  const auto m = arena.array<Member>(4);
  m[0] = {"mimeType", type};
  m[1] = {"params", params};
  add_text(text, &m[2], &m[3]);
  // The reference knows no "encoding" here: it stands only where it says something.
  if (m[2].value.text().empty()) {
    m[2] = m[3];
    return Value::map(m.first(3));
  }
  return Value::map(m);
}

Value interim_list(const Interim* latest, Arena& arena) {
  size_t count = 0;
  for (const Interim* i = latest; i != nullptr; i = i->next) ++count;
  const auto list = arena.array<Value>(count);
  for (const Interim* i = latest; i != nullptr; i = i->next) list[--count] = i->value;
  return Value::list(list);
}

Value trailer_map(std::string_view block, Arena& arena) {
  const size_t lines = std::min<size_t>(kMaxFields, static_cast<size_t>(std::count(block.begin(), block.end(), '\n')));
  const auto ends = arena.array<uint32_t>(lines);
  size_t at = 0;
  for (uint32_t& end : ends) {
    at = block.find('\n', at);
    end = static_cast<uint32_t>(at++);
  }
  return Value::map(parse_fields(block, 0, ends, arena).members, true);
}

void start(Draft& draft, const Fields& fields) {
  draft.members = static_cast<Member*>(draft.arena().allocate(Draft::kMembers * sizeof(Member), alignof(Member)));
  draft.started = true;
  draft.content_type = fields[Known::kContentType];
  draft.content_encoding = fields[Known::kContentEncoding];
  draft.transfer_encoding = fields[Known::kTransferEncoding];
  if (fields.malformed) draft.error = "malformed header field";
}

void add_sizes(Draft& draft, const Fields& fields, std::string_view head) {
  // The reference always says -1 here; the true size costs nothing.
  draft.add("headersSize", static_cast<uint64_t>(head.size()));
  draft.body_size_at = draft.used;
  draft.add("bodySize", 0);
  // Only where the map is not a faithful image: repeated names, folded or broken lines.
  if (!fields.as_sent) draft.add("rawHead", text_or_bytes(head));
}

Value* member(Draft& draft, std::string_view name) {
  for (size_t i = 0; i < draft.used; ++i)
    if (draft.members[i].name == name) return &draft.members[i].value;
  return nullptr;
}

/// gRPC-Web, which any version of HTTP may carry. Its trailers, which come in the body, are put among the headers:
/// there filters look for them.
void add_grpc_web(Draft& draft, Output& out) {
  Arena& arena = draft.arena();
  item::Item& item = *draft.item;
  Value& headers = *member(draft, "headers");
  const Value* const body = member(draft, draft.is_response ? "content" : "postData");
  const grpc::Half half{draft.content_type, headers["grpc-encoding"].text(),
                        body != nullptr ? (*body)["text"].text() : std::string_view(), draft.capped || draft.holed};
  if (item.protocol->version != "2.0") item.protocol = &grpc::kWebProtocol;
  if (!draft.is_response) {
    const std::string_view path = member(draft, "path")->text(), timeout = headers["grpc-timeout"].text();
    return draft.add("grpc", grpc::request_value(path, timeout, half, arena, out));
  }
  const std::string_view in_head = headers["grpc-status"].text();
  grpc::Ending ending{in_head, headers["grpc-message"].text(), headers["grpc-status-details-bin"].text(),
                      draft.body_size == 0};
  draft.add("grpc", grpc::response_value(item.request.payload["path"].text(), half, ending, arena, out));
  if (ending.status.data() == in_head.data()) return;
  const auto all = arena.array<Member>(headers.size() + 2);
  std::copy(headers.members().begin(), headers.members().end(), all.begin());
  all[headers.size()] = {"Grpc-Status", ending.status};
  all[headers.size() + 1] = {"Grpc-Message", ending.message};
  headers = Value::map(all, true);
}

}  // namespace

void Draft::keep(Bytes bytes, uint64_t due, uint64_t most, size_t cap) {
  body_size += bytes.size();
  if (holed || bytes.empty()) return;
  const size_t wanted = std::min(bytes.size(), cap - text.size());
  capped |= wanted < bytes.size();
  text.add(bytes.first(wanted), due, std::min<uint64_t>(cap, text.size() + std::min<uint64_t>(cap, most)), arena());
}

void start_request(Draft& draft, const RequestLine& line, const Fields& fields, std::string_view head) {
  start(draft, fields);
  Arena& arena = draft.arena();
  const Target target = line.method == "CONNECT" && !line.target.starts_with('/') ? Target{line.target, {}}
                                                                                  : parse_target(line.target, arena);
  draft.add_all({{"method", line.method},
                 {"url", line.target},
                 {"targetUri", line.target},
                 {"path", target.path},
                 {"pathSegments", path_segments(target.path, arena)},
                 {"httpVersion", line.version},
                 {"headers", Value::map(fields.members, true)},
                 {"cookies", request_cookies(fields[Known::kCookie], arena)},
                 {"queryString", query_map(target.query, arena)}});
  draft.maybe_graphql =
      (!draft.content_type.empty() || !target.query.empty()) && graphql::may_be_call(draft.content_type, target.query);
  add_sizes(draft, fields, head);
}

void start_response(Draft& draft, const StatusLine& line, const Fields& fields, std::string_view head) {
  start(draft, fields);
  draft.is_response = true;
  draft.add_all({{"status", line.status},
                 {"statusText", line.reason},
                 {"httpVersion", line.version},
                 {"headers", Value::map(fields.members, true)},
                 {"cookies", response_cookies(fields[Known::kSetCookie], draft.arena())},
                 {"redirectURL", fields[Known::kLocation]}});
  add_sizes(draft, fields, head);
}

void finish_payload(Draft& draft, Output& out) {
  item::Message& message = draft.is_response ? draft.item->response : draft.item->request;
  if (draft.capped) out.count(Counter::kBodyCapped);
  draft.members[draft.body_size_at].value = draft.body_size;
  if (draft.is_response) {
    draft.add("content", content(draft, out));
    if (draft.interim != nullptr) draft.add("interim", interim_list(draft.interim, draft.arena()));
  } else if (draft.body_size > 0) {
    draft.add("postData", post_data(draft, out));
  }
  if (grpc::is_web(draft.content_type)) add_grpc_web(draft, out);
  if (!draft.trailers.empty()) draft.trailer_fields = trailer_map(draft.trailers, draft.arena());
  if (!draft.trailer_fields.is_null()) draft.add("trailers", draft.trailer_fields);
  message.payload = Value::map({draft.members, draft.used});
  message.time = draft.time;
  message.size = draft.wire_size;
  message.present = true;
  if (draft.is_response) {
    graphql::refine_response(*draft.item);
  } else if (draft.maybe_graphql) {
    graphql::refine_request(*draft.item);
  }
}

}  // namespace baleen::dissect::http
