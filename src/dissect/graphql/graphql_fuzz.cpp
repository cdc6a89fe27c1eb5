// A document that is one stays one with white space behind it, and its parts lie in it; a request with any body is
// finished exactly once and prints as JSON, whatever is made of it.

#include <cstdlib>

#include "dissect/graphql/document.h"
#include "dissect/http/http.h"
#include "dissect/play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen::dissect;
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const graphql::Document one = graphql::parse_document(text), two = graphql::parse_document(text + "\n");
  if (one.ok != two.ok || one.operations != two.operations || one.field_count != two.field_count) std::abort();
  if (one.error_at > text.size()) std::abort();

  const char* const types[] = {"application/json", "application/graphql", "application/x-www-form-urlencoded",
                               "multipart/form-data; boundary=B"};
  const char* const answers[] = {"application/json", "multipart/mixed; boundary=\"-\"", "text/event-stream",
                                 "multipart/mixed; boundary=B"};
  const std::string length = std::to_string(text.size());
  const std::vector<Said> script = {
      c(std::string("POST ") + ((data[0] & 4) != 0 ? "/graphql" : "/x") +
        " HTTP/1.1\r\nContent-Type: " + types[data[0] & 3] + "\r\nContent-Length: " + length + "\r\n\r\n" + text),
      s("HTTP/1.1 200 OK\r\nContent-Type: " + std::string(answers[data[0] >> 3 & 3]) + "\r\nContent-Length: " + length +
        "\r\n\r\n" + text)};
  if (play<http::Http>(script).size() != 1) std::abort();
  // Whatever the text is, it is the answer of a call.
  if (play<http::Http>({c("GET /g?query=%7Ba%7D HTTP/1.1\r\n\r\n"), script[1]}).size() != 1) std::abort();
  return 0;
}
