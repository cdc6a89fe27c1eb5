#include "dissect/grpc/fields.h"

#include <array>

#include "dissect/grpc/grpc.h"
#include "dissect/http/fields.h"

namespace baleen::dissect::grpc {
namespace {

constexpr uint16_t kPorts[] = {80, 443, 8080};

constexpr auto kAll = [] {
  std::array<item::Field, std::size(http::kFields) + std::size(kFields)> all{};
  size_t n = 0;
  for (const item::Field& f : http::kFields) all[n++] = f;
  for (const item::Field& f : kFields) all[n++] = f;
  return all;
}();

}  // namespace

const item::Protocol kWebProtocol = {.name = "http",
                                     .version = "1.1",
                                     .abbreviation = "gRPC",
                                     .long_name = "Hypertext Transfer Protocol -- HTTP/1.1 [ gRPC-Web ]",
                                     .macro = "grpc",
                                     .reference = "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md",
                                     .background = "#244c5a",
                                     .foreground = "#ffffff",
                                     .font_size = 11,
                                     .priority = 0,
                                     .layer4 = "tcp",
                                     .ports = kPorts,
                                     .fields = kAll,
                                     .method_path = "request.method",
                                     .summary_path = "request.path",
                                     .status_path = "response.status"};

}  // namespace baleen::dissect::grpc
