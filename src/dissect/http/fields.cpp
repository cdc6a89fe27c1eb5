#include "dissect/http/fields.h"

#include "dissect/graphql/graphql.h"
#include "dissect/grpc/grpc.h"
#include "dissect/http/http.h"

namespace baleen::dissect::http {
namespace {

constexpr uint16_t kPorts[] = {80, 443, 8080};

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

const item::Protocol* const Http::kCards[4] = {&kProtocol, &kProtocol10, &graphql::kProtocol, &grpc::kWebProtocol};

}  // namespace baleen::dissect::http
