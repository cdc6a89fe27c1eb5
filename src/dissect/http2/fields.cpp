#include "dissect/http/fields.h"

#include <array>

#include "dissect/graphql/graphql.h"
#include "dissect/grpc/fields.h"
#include "dissect/http2/http2.h"

namespace baleen::dissect::http2 {
namespace {

using item::Field;
using enum item::FieldType;

constexpr uint16_t kPorts[] = {80, 443, 8080, 50051};

constexpr Field kOwn[] = {
    {"request.streamId", "", kInt, "The stream's number."},
    {"request.unknownFields", "", kInt,
     "Header fields that the connection's table would tell, had its beginning been captured."},
    {"response.streamId", "", kInt, "The stream's number."},
    {"response.unknownFields", "", kInt,
     "Header fields that the connection's table would tell, had its beginning been captured."},
};

constexpr auto kFields = [] {
  std::array<Field, std::size(http::kFields) + std::size(kOwn) + std::size(grpc::kFields)> all{};
  size_t n = 0;
  for (const Field& f : http::kFields) all[n++] = f;
  for (const Field& f : kOwn) all[n++] = f;
  for (const Field& f : grpc::kFields) all[n++] = f;
  return all;
}();

constexpr item::Protocol card(std::string_view abbreviation, std::string_view long_name, std::string_view macro,
                              std::string_view reference) {
  return {.name = "http",
          .version = "2.0",
          .abbreviation = abbreviation,
          .long_name = long_name,
          .macro = macro,
          .reference = reference,
          .background = "#244c5a",
          .foreground = "#ffffff",
          .font_size = 11,
          .priority = 0,
          .layer4 = "tcp",
          .ports = kPorts,
          .fields = kFields,
          .method_path = "request.method",
          .summary_path = "request.path",
          .status_path = "response.status"};
}

}  // namespace

const item::Protocol Http2::kProtocol = card("HTTP/2", "Hypertext Transfer Protocol Version 2 (HTTP/2)", "http2",
                                             "https://datatracker.ietf.org/doc/html/rfc9113");
const item::Protocol Http2::kGrpc = card("gRPC", "Hypertext Transfer Protocol Version 2 (HTTP/2) [ gRPC over HTTP/2 ]",
                                         "grpc", "https://grpc.github.io/grpc/core/md_doc_statuscodes.html");
const item::Protocol* const Http2::kCards[3] = {&kProtocol, &kGrpc, &graphql::kProtocol2};

}  // namespace baleen::dissect::http2
