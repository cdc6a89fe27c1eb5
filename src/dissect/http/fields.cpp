#include "dissect/http/http.h"

namespace baleen::dissect::http {
namespace {

using item::Field;
using enum item::FieldType;

constexpr uint16_t kPorts[] = {80, 443, 8080};

constexpr Field kFields[] = {
    {"request.method", "method", kString, "The request's method, as sent: \"GET\"."},
    {"request.url", "url", kString, "The request target as sent; it may carry a user's name and password.", true},
    {"request.targetUri", "", kString, "The same as request.url.", true},
    {"request.path", "path", kString, "The target's path, percent-decoded, without the query."},
    {"request.pathSegments", "", kList, "The parts of the path between the slashes."},
    {"request.httpVersion", "http_version", kString, "\"HTTP/1.1\"."},
    {"request.headers", "request.headers", kMap,
     "Header fields by name, without regard to case; repeated ones joined with \",\"."},
    {"request.headers.Authorization", "", kString, "Credentials for the server.", true},
    {"request.headers.Proxy-Authorization", "", kString, "Credentials for a proxy.", true},
    {"request.headers.Cookie", "", kString, "Cookies as sent.", true},
    {"request.headers.X-Api-Key", "", kString, "A key that some services take for credentials.", true},
    {"request.headers.X-Auth-Token", "", kString, "A token that some services take for credentials.", true},
    {"request.headers.Host", "", kString, "The host and port asked for."},
    {"request.headers.User-Agent", "", kString, "The client's program."},
    {"request.cookies", "request.cookies", kMap, "Cookies by name.", true},
    {"request.queryString", "query_string", kMap,
     "Query parameters by name, decoded; a list where a name comes twice."},
    {"request.headersSize", "request_headers_size", kInt,
     "Bytes of start line and header fields, with the empty line."},
    {"request.bodySize", "request_body_size", kInt, "Bytes of the body as transferred, without chunk framing."},
    {"request.postData.mimeType", "", kString, "The body's media type, without parameters."},
    {"request.postData.params", "", kList,
     "Form fields: name, value and, of multipart forms, fileName and contentType.", true},
    {"request.postData.text", "", kString, "The body, decoded from its content codings; base64 when it is not text."},
    {"request.postData.encoding", "", kString, "\"base64\" when the text is that."},
    {"request.trailers", "", kMap, "Fields after a chunked body."},
    {"request.rawHead", "", kString,
     "The head exactly as sent, where the map cannot show it: repeated or folded fields.", true},
    {"response.status", "status_code", kInt, "The status code: 200."},
    {"response.statusText", "", kString, "The reason phrase as sent."},
    {"response.httpVersion", "", kString, "\"HTTP/1.1\"."},
    {"response.headers", "response.headers", kMap,
     "Header fields by name, without regard to case; repeated ones joined with \",\", Set-Cookie with line feeds."},
    {"response.headers.Set-Cookie", "", kString, "Cookies that the server sets.", true},
    {"response.headers.Content-Type", "", kString, "The body's media type."},
    {"response.headers.Location", "", kString, "Where a redirection leads."},
    {"response.cookies", "response.cookies", kMap, "Cookies that the server sets, by name.", true},
    {"response.redirectURL", "", kString, "The value of Location."},
    {"response.headersSize", "response_headers_size", kInt,
     "Bytes of status line and header fields, with the empty line."},
    {"response.bodySize", "response_body_size", kInt, "Bytes of the body as transferred, without chunk framing."},
    {"response.content.size", "", kInt, "Bytes of the body after its content codings are undone."},
    {"response.content.mimeType", "", kString, "Content-Type as sent."},
    {"response.content.encoding", "", kString, "\"base64\" when the text is that, otherwise empty."},
    {"response.content.text", "", kString, "The body, decoded from its content codings; base64 when it is not text."},
    {"response.interim", "", kList, "1xx answers that came before this one."},
    {"response.trailers", "", kMap, "Fields after a chunked body."},
    {"response.rawHead", "", kString,
     "The head exactly as sent, where the map cannot show it: repeated or folded fields.", true},
};

constexpr item::Protocol card(std::string_view version, std::string_view long_name, std::string_view reference) {
  return {.name = "http",
          .version = version,
          .abbreviation = "HTTP",
          .long_name = long_name,
          .macro = "http",
          .reference = reference,
          .background = "#326de6",
          .foreground = "#ffffff",
          .font_size = 12,
          .priority = 0,
          .layer4 = "tcp",
          .ports = kPorts,
          .fields = kFields,
          .method_path = "request.method",
          .summary_path = "request.path",
          .status_path = "response.status"};
}

}  // namespace

const item::Protocol Http::kProtocol =
    card("1.1", "Hypertext Transfer Protocol -- HTTP/1.1", "https://datatracker.ietf.org/doc/html/rfc9112");
const item::Protocol Http::kProtocol10 =
    card("1.0", "Hypertext Transfer Protocol -- HTTP/1.0", "https://datatracker.ietf.org/doc/html/rfc1945");

}  // namespace baleen::dissect::http
