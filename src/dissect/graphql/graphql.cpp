#include "dissect/graphql/graphql.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "dissect/build.h"
#include "dissect/graphql/delivery.h"
#include "dissect/graphql/document.h"
#include "dissect/graphql/scan.h"
#include "dissect/http/fields.h"
#include "item/json.h"

// Most JSON that is posted is no GraphQL, so the cheap looks come first: a search for a word, then a scan of the
// object's members, then the document's grammar. Only what is a call is taken apart.

namespace baleen::dissect::graphql {
namespace {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

constexpr size_t kMostCalls = 64;            // of a batch
constexpr size_t kMostErrors = 64;           // of an answer
constexpr size_t kMostResults = 64;          // of an answer in pieces
constexpr size_t kMostUploads = 64;          // of a call
constexpr size_t kLongestParsed = 64 << 10;  // bytes of variables, of an error or of an answer's results

constexpr Field kOwnFields[] = {
    {"request.graphql.operationName", "gql_operation_name", kString,
     "Name of the operation that is executed; empty for an anonymous one."},
    {"request.graphql.operationType", "gql_operation_type", kString,
     "query, mutation or subscription; empty where it cannot be known (a persisted query, a text that is no "
     "document)."},
    {"request.graphql.summary", "", kString, "Type and name of the operation, or its fields where it has no name."},
    {"request.graphql.fields", "", kList, "What the operation selects on its first level, fragments not resolved."},
    {"request.graphql.query", "", kString, "The document."},
    {"request.graphql.variables", "", kMap, "Values of the operation's variables.", true},
    {"request.graphql.persistedQuery", "", kString, "Hash of a persisted query (SHA-256)."},
    {"request.graphql.error", "", kString, "Why the text is no document, with the byte where that is clear."},
    {"request.graphql.batch", "", kList, "The operations of a batch, in place of the fields above."},
    {"request.graphql.uploads", "", kList,
     "Files of a multipart request: the variables that they stand for, fileName, contentType and size in bytes.", true},
    {"response.graphql.errorCount", "gql_error_count", kInt, "How many errors the answer reports, also in a 200."},
    {"response.graphql.errors", "", kList, "The errors: message, locations, path, extensions."},
    {"response.graphql.delivery", "", kString,
     "How results came where they came one after the other: multipart (@defer, @stream) or sse."},
    {"response.graphql.resultCount", "", kInt, "How many results came one after the other."},
    {"response.graphql.results", "", kList, "These results, the first of them: data, incremental, path, hasNext."},
    {"response.graphql.complete", "", kBool, "Whether the server said that no more results follow."},
};

constexpr size_t kFieldCount = std::size(http::kFields) + std::size(kOwnFields);
constexpr auto kFields = [] {
  std::array<Field, kFieldCount> all{};
  std::copy(std::begin(kOwnFields), std::end(kOwnFields),
            std::copy(std::begin(http::kFields), std::end(http::kFields), all.begin()));
  return all;
}();
constexpr uint16_t kPorts[] = {80, 443, 8080};

constexpr item::Protocol card(std::string_view version, std::string_view long_name) {
  return {.name = "http",
          .version = version,
          .abbreviation = "GQL",
          .long_name = long_name,
          .macro = "gql",
          .reference = "https://graphql.github.io/graphql-over-http/draft/",
          .background = "#e10098",
          .foreground = "#ffffff",
          .font_size = 12,
          .priority = 0,
          .layer4 = "tcp",
          .ports = kPorts,
          .fields = kFields,
          .method_path = "request.method",
          .summary_path = "request.graphql.summary",
          .status_path = "response.status"};
}

bool is_card(const item::Protocol* protocol) { return protocol == &kProtocol || protocol == &kProtocol2; }

/// One operation as it was asked for. Texts are in the item's arena, or constants.
struct Call {
  std::string_view query, operation, hash;
  std::string_view variables;  // JSON
  bool has_query = false;
};

/// What a JSON string says; `literal` with its quotes. Empty when it is no string.
std::string_view text_of(std::string_view literal, Arena& arena) {
  if (literal.size() < 2 || literal.front() != '"') return {};
  const std::string_view inside = literal.substr(1, literal.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return inside;
  const auto parsed = item::parse_json(literal, arena);
  return parsed ? parsed->text() : std::string_view();
}

/// Automatic persisted queries: {"persistedQuery": {"version": 1, "sha256Hash": "…"}}.
std::string_view hash_in(std::string_view extensions, Arena& arena) {
  std::string_view hash;
  each_member(extensions, [&](std::string_view name, std::string_view value) {
    if (name != "persistedQuery") return true;
    each_member(value, [&](std::string_view inner, std::string_view text) {
      if (inner == "sha256Hash") hash = text_of(text, arena);
      return hash.empty();
    });
    return false;
  });
  return hash;
}

Call call_in(std::string_view object, Arena& arena) {
  Call call;
  std::string_view query, operation, extensions;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "query") query = value;
    if (name == "operationName") operation = value;
    if (name == "variables") call.variables = value;
    if (name == "extensions") extensions = value;
    return true;
  });
  call.has_query = query.starts_with('"');
  if (!call.has_query && extensions.empty()) return call;
  call.query = text_of(query, arena);
  call.operation = text_of(operation, arena);
  if (!extensions.empty()) call.hash = hash_in(extensions, arena);
  return call;
}

/// A call whose parts are named parameters of a query or a form.
template <class Lookup>
Call call_from(Lookup named, Arena& arena) {
  const Value query = named("query");
  return {query.text(), named("operationName").text(), hash_in(named("extensions").text(), arena),
          named("variables").text(), query.is_string()};
}

std::string_view summary_of(const Document& document, Arena& arena) {
  if (!document.name.empty()) return join({document.type, " ", document.name}, arena);
  std::string_view fields;
  for (size_t i = 0; i < std::min(document.field_count, Document::kMostFields); ++i)
    fields = i == 0 ? document.fields[0] : join({fields, ", ", document.fields[i]}, arena);
  return join({document.type, " ", fields, document.field_count > Document::kMostFields ? ", …" : ""}, arena);
}

/// The call as `request.graphql` shows it; null when it is none. `lenient`: also when its text is no document.
Value describe(const Call& call, bool lenient, Arena& arena) {
  const Document document = call.has_query ? parse_document(call.query, call.operation) : Document();
  const bool persisted = call.query.empty() && !call.hash.empty();
  if (!document.ok && !persisted && !(lenient && call.has_query)) return {};
  MapBuilder<8> map;
  map.add("operationName", document.found ? document.name : call.operation);
  map.add("operationType", document.ok ? document.type : std::string_view());
  if (document.ok) {
    map.add("summary", summary_of(document, arena));
    const auto fields = arena.array<Value>(std::min(document.field_count, Document::kMostFields));
    std::copy_n(document.fields, fields.size(), fields.begin());
    map.add("fields", Value::list(fields));
  } else {
    map.add("summary", call.operation);
    if (!persisted) map.add("error", join({"no document: byte ", decimal(document.error_at, arena)}, arena));
  }
  if (call.has_query) map.add("query", call.query);
  if (!call.hash.empty()) map.add("persistedQuery", call.hash);
  if (!call.variables.empty() && call.variables.size() <= kLongestParsed) {
    const auto variables = item::parse_json(call.variables, arena);
    if (variables && variables->is_map()) map.add("variables", *variables);
  }
  return map.build(arena);
}

/// A JSON body: one call, or a list of them.
Value described_json(std::string_view text, bool lenient, Arena& arena) {
  if (text.find("\"query\"") == std::string_view::npos && text.find("\"persistedQuery\"") == std::string_view::npos)
    return {};
  std::string_view rest = text;
  if (!take_char(rest, '[')) return describe(call_in(text, arena), lenient, arena);
  Value calls[kMostCalls];
  size_t count = 0;
  bool all = true;
  each_element(text, [&](std::string_view element) {
    if (count++ >= kMostCalls) return true;
    calls[count - 1] = describe(call_in(element, arena), lenient, arena);
    all = !calls[count - 1].is_null();
    return all;
  });
  if (count == 0 || !all) return {};
  const auto list = arena.array<Value>(std::min(count, kMostCalls));
  std::copy_n(calls, list.size(), list.begin());
  MapBuilder<2> map;
  map.add("summary", join({"batch of ", decimal(count, arena)}, arena));
  map.add("batch", Value::list(list));
  return map.build(arena);
}

Value named_in(std::span<const Value> params, std::string_view name) {
  for (const Value& param : params)
    if (param["name"].text() == name) return param["value"];
  return {};
}

bool ends_in_graphql(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.size() >= 7 && same_word(path.substr(path.size() - 7), "graphql");
}

/// The payload with one more member.
Value with(const Value& payload, std::string_view name, Value value, Arena& arena) {
  const auto old = payload.members();
  const auto members = arena.array<item::Member>(old.size() + 1);
  std::copy(old.begin(), old.end(), members.begin());
  members.back() = {name, value};
  return Value::map(members, payload.folds_case());
}

/// The files of a call and what its `map` says of each
/// (https://github.com/jaydenseric/graphql-multipart-request-spec).
Value uploads_in(std::string_view map, std::span<const Value> params, Arena& arena) {
  ListOf uploads(arena);
  each_member(map, [&](std::string_view name, std::string_view paths) {
    ListOf variables(arena);
    each_element(paths, [&](std::string_view path) {
      variables.push(text_of(path, arena));
      return variables.size() < kMostUploads;
    });
    MapBuilder<4> upload;
    upload.add("variables", variables.build());
    for (const Value& param : params) {
      if (param["name"].text() != name) continue;
      upload.add("fileName", param["fileName"]);
      upload.add("contentType", param["contentType"]);
      upload.add("size", static_cast<uint64_t>(param["value"].size()));
      break;
    }
    uploads.push(upload.build(arena));
    return uploads.size() < kMostUploads;
  });
  return uploads.build();
}

Value described_form(std::span<const Value> params, bool lenient, Arena& arena) {
  const Value operations = named_in(params, "operations"), map = named_in(params, "map");
  const Value call = operations.is_string() ? described_json(operations.text(), lenient, arena) : Value();
  const Value uploads = call.is_null() || !map.is_string() ? Value() : uploads_in(map.text(), params, arena);
  return uploads.size() == 0 ? call : with(call, "uploads", uploads, arena);
}

Value described_body(const Value& request, Arena& arena) {
  const Value body = request["postData"];
  const std::string_view type = body["mimeType"].text(), text = body["text"].text();
  const bool lenient = ends_in_graphql(request["path"].text());
  const auto params = body["params"].elements();
  if (type == "multipart/form-data") return described_form(params, lenient, arena);
  if (type == "application/x-www-form-urlencoded")
    return describe(call_from([&](std::string_view name) { return named_in(params, name); }, arena), false, arena);
  if (!body["text"].is_string()) return {};
  if (type == "application/graphql") {
    Call call;
    call.query = text;
    call.has_query = true;
    return describe(call, lenient, arena);
  }
  return described_json(text, lenient, arena);
}

/// Adds the errors that one result reports, and counts those that are left out as well.
void add_errors(std::string_view result, Growing<Value, 8>& errors, size_t& count, Arena& arena) {
  each_member(result, [&](std::string_view name, std::string_view value) {
    if (name != "errors") return true;
    each_element(value, [&](std::string_view error) {
      if (++count > kMostErrors || error.size() > kLongestParsed) return true;
      if (const auto parsed = item::parse_json(error, arena)) errors.push(*parsed);
      return true;
    });
    return false;
  });
}

/// The errors of a result and of what was deferred or streamed of it.
void add_piece_errors(std::string_view result, Growing<Value, 8>& errors, size_t& count, Arena& arena) {
  add_errors(result, errors, count, arena);
  each_member(result, [&](std::string_view name, std::string_view value) {
    if (name == "incremental" || name == "completed")
      each_element(value, [&](std::string_view piece) { return add_errors(piece, errors, count, arena), true; });
    return true;
  });
}

/// What `response.graphql` shows of results that came one after the other.
Value describe_results(Results results, std::string_view delivery, Arena& arena) {
  Growing<Value, 8> errors(arena);
  ListOf shown(arena);
  size_t error_count = 0, count = 0, parsed_bytes = 0;
  for (std::string_view result = results.next(arena); !result.empty(); result = results.next(arena)) {
    add_piece_errors(result, errors, error_count, arena);
    parsed_bytes += result.size();
    if (++count > kMostResults || parsed_bytes > kLongestParsed) continue;
    if (const auto parsed = item::parse_json(result, arena)) shown.push(*parsed);
  }
  MapBuilder<6> map;
  map.add("errorCount", static_cast<uint64_t>(error_count));
  if (!errors.empty()) map.add("errors", Value::list(errors.take()));
  map.add("delivery", delivery);
  map.add("resultCount", static_cast<uint64_t>(count));
  map.add("results", shown.build());
  map.add("complete", results.complete());
  return map.build(arena);
}

/// What `response.graphql` shows of one result, or of a batch's list of them.
Value describe_result(std::string_view text, Arena& arena) {
  Growing<Value, 8> errors(arena);
  size_t count = 0;
  if (text.find("\"errors\"") != std::string_view::npos) {
    std::string_view rest = text;
    if (take_char(rest, '[')) {
      each_element(text, [&](std::string_view result) { return add_errors(result, errors, count, arena), true; });
    } else {
      add_errors(text, errors, count, arena);
    }
  }
  MapBuilder<2> map;
  map.add("errorCount", static_cast<uint64_t>(count));
  if (!errors.empty()) map.add("errors", Value::list(errors.take()));
  return map.build(arena);
}

}  // namespace

const item::Protocol kProtocol = card("1.1", "GraphQL over HTTP/1.1");
const item::Protocol kProtocol2 = card("2.0", "GraphQL over HTTP/2");

bool may_be_call(std::string_view content_type, std::string_view query) {
  if (query.find("query=") != std::string_view::npos || query.find("extensions=") != std::string_view::npos)
    return true;
  if (starts_with_word(content_type, "application/json") || starts_with_word(content_type, "application/graphql") ||
      starts_with_word(content_type, "multipart/form-data") ||
      starts_with_word(content_type, "application/x-www-form-urlencoded"))
    return true;
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return type.size() > 5 && type.find("+json") != std::string_view::npos;
}

void refine_request(Item& item) {
  Arena& arena = item.arena;
  const Value request = item.request.payload;
  Value described;
  if (request["postData"].is_map()) {
    described = described_body(request, arena);
  } else {
    const Value query = request["queryString"];
    const auto named = [&query](std::string_view name) { return query[name]; };
    described = describe(call_from(named, arena), ends_in_graphql(request["path"].text()), arena);
  }
  if (described.is_null()) return;
  item.request.payload = with(request, "graphql", described, arena);
  item.protocol = item.protocol->version.starts_with('2') ? &kProtocol2 : &kProtocol;
  if (item.response.present) refine_response(item);
}

void refine_response(Item& item) {
  if (!is_card(item.protocol)) return;
  Arena& arena = item.arena;
  const Value content = item.response.payload["content"];
  const std::string_view type = content["mimeType"].text(), text = content["text"].text();
  Value described;
  // A body that was capped amid a character is no string; its whole results are read all the same.
  if (starts_with_word(type, "multipart/mixed")) {
    described = describe_results(Results::of_parts(text, type), "multipart", arena);
  } else if (starts_with_word(type, "text/event-stream")) {
    described = describe_results(Results::of_events(text), "sse", arena);
  } else if (content["text"].is_string() && type.find("json") != std::string_view::npos) {
    described = describe_result(text, arena);
  } else {
    return;
  }
  item.response.payload = with(item.response.payload, "graphql", described, arena);
}

bool is_socket_protocol(std::string_view name) { return name == "graphql-transport-ws" || name == "graphql-ws"; }

Value socket_message(std::string_view text, Arena& arena) {
  std::string_view type, id, payload;
  each_member(text, [&](std::string_view name, std::string_view value) {
    if (name == "type") type = text_of(value, arena);
    if (name == "id") id = text_of(value, arena);
    if (name == "payload") payload = value;
    return true;
  });
  if (type.empty()) return {};
  MapOf map(arena);
  map.add("messageType", type);
  map.add_text("id", id);
  if (type == "subscribe" || type == "start") {
    const Value call = describe(call_in(payload, arena), true, arena);
    for (const item::Member& member : call.members()) map.add(member.name, member.value);
  } else if (type == "next" || type == "data" || type == "error") {
    Growing<Value, 8> errors(arena);
    size_t count = 0;
    // The payload of an error is the list, or (graphql-ws) the one, that a result has as a member.
    if (type == "error") {
      const bool list = payload.starts_with('[');
      const std::string_view result = join({"{\"errors\":", list ? "" : "[", payload, list ? "}" : "]}"}, arena);
      add_errors(result, errors, count, arena);
    } else {
      add_errors(payload, errors, count, arena);
    }
    map.add("errorCount", static_cast<uint64_t>(count));
    if (!errors.empty()) map.add("errors", Value::list(errors.take()));
  }
  return map.build();
}

}  // namespace baleen::dissect::graphql
