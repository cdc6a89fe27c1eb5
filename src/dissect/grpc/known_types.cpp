#include "base/check.h"
#include "dissect/grpc/descriptors.h"

// Types that are the same everywhere, in a short notation that is made into a descriptor once:
//   NAME            a message; "NAME =" is the entry of a map, "NAME -" one of which not all fields are listed
//    NUMBER TYPE name [*]   a field; * is repeated
//   :SERVICE METHOD REQUEST RESPONSE   types with * behind them are streamed

namespace baleen::dissect::grpc {
namespace {

constexpr std::string_view kTypes = R"(google.protobuf.Any
 1 string type_url
 2 bytes value
google.protobuf.Timestamp
 1 int64 seconds
 2 int32 nanos
google.protobuf.Duration
 1 int64 seconds
 2 int32 nanos
google.protobuf.Empty
google.protobuf.FieldMask
 1 string paths *
google.protobuf.DoubleValue
 1 double value
google.protobuf.FloatValue
 1 float value
google.protobuf.Int64Value
 1 int64 value
google.protobuf.UInt64Value
 1 uint64 value
google.protobuf.Int32Value
 1 int32 value
google.protobuf.UInt32Value
 1 uint32 value
google.protobuf.BoolValue
 1 bool value
google.protobuf.StringValue
 1 string value
google.protobuf.BytesValue
 1 bytes value
google.protobuf.Struct
 1 google.protobuf.Struct.FieldsEntry fields *
google.protobuf.Struct.FieldsEntry =
 1 string key
 2 google.protobuf.Value value
google.protobuf.Value
 1 int32 null_value
 2 double number_value
 3 string string_value
 4 bool bool_value
 5 google.protobuf.Struct struct_value
 6 google.protobuf.ListValue list_value
google.protobuf.ListValue
 1 google.protobuf.Value values *
google.rpc.Status
 1 int32 code
 2 string message
 3 google.protobuf.Any details *
google.rpc.RetryInfo
 1 google.protobuf.Duration retry_delay
google.rpc.DebugInfo
 1 string stack_entries *
 2 string detail
google.rpc.QuotaFailure
 1 google.rpc.QuotaFailure.Violation violations *
google.rpc.QuotaFailure.Violation
 1 string subject
 2 string description
google.rpc.ErrorInfo
 1 string reason
 2 string domain
 3 google.rpc.ErrorInfo.MetadataEntry metadata *
google.rpc.ErrorInfo.MetadataEntry =
 1 string key
 2 string value
google.rpc.PreconditionFailure
 1 google.rpc.PreconditionFailure.Violation violations *
google.rpc.PreconditionFailure.Violation
 1 string type
 2 string subject
 3 string description
google.rpc.BadRequest
 1 google.rpc.BadRequest.FieldViolation field_violations *
google.rpc.BadRequest.FieldViolation
 1 string field
 2 string description
google.rpc.RequestInfo
 1 string request_id
 2 string serving_data
google.rpc.ResourceInfo
 1 string resource_type
 2 string resource_name
 3 string owner
 4 string description
google.rpc.Help
 1 google.rpc.Help.Link links *
google.rpc.Help.Link
 1 string description
 2 string url
google.rpc.LocalizedMessage
 1 string locale
 2 string message
grpc.health.v1.HealthCheckRequest
 1 string service
grpc.health.v1.HealthCheckResponse
 1 @ServingStatus status
google.protobuf.FileDescriptorProto -
 1 string name
 2 string package
 3 string dependency *
 4 google.protobuf.DescriptorProto message_type *
 5 google.protobuf.EnumDescriptorProto enum_type *
 6 google.protobuf.ServiceDescriptorProto service *
 12 string syntax
google.protobuf.DescriptorProto -
 1 string name
google.protobuf.EnumDescriptorProto -
 1 string name
google.protobuf.ServiceDescriptorProto -
 1 string name
 2 google.protobuf.MethodDescriptorProto method *
google.protobuf.MethodDescriptorProto -
 1 string name
 2 string input_type
 3 string output_type
 5 bool client_streaming
 6 bool server_streaming
:grpc.health.v1.Health Check grpc.health.v1.HealthCheckRequest grpc.health.v1.HealthCheckResponse
:grpc.health.v1.Health Watch grpc.health.v1.HealthCheckRequest grpc.health.v1.HealthCheckResponse*
)";

// The two versions of reflection differ in their names only; a file's descriptor, bytes to the protocol, is shown by
// what stands in it.
constexpr std::string_view kReflection = R"($ServerReflectionRequest
 1 string host
 3 string file_by_filename
 4 string file_containing_symbol
 5 $ExtensionRequest file_containing_extension
 6 string all_extension_numbers_of_type
 7 string list_services
$ExtensionRequest
 1 string containing_type
 2 int32 extension_number
$ServerReflectionResponse
 1 string valid_host
 2 $ServerReflectionRequest original_request
 4 $FileDescriptorResponse file_descriptor_response
 5 $ExtensionNumberResponse all_extension_numbers_response
 6 $ListServiceResponse list_services_response
 7 $ErrorResponse error_response
$FileDescriptorResponse
 1 google.protobuf.FileDescriptorProto file_descriptor_proto *
$ExtensionNumberResponse
 1 string base_type_name
 2 int32 extension_number *
$ListServiceResponse
 1 $ServiceResponse service *
$ServiceResponse
 1 string name
$ErrorResponse
 1 int32 error_code
 2 string error_message
:$ServerReflection ServerReflectionInfo $ServerReflectionRequest* $ServerReflectionResponse*
)";

constexpr std::string_view kScalars[] = {"",        "double", "float",  "int64", "uint64", "int32", "fixed64",
                                         "fixed32", "bool",   "string", "",      "",       "bytes", "uint32"};

std::string varint(uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out + static_cast<char>(n);
}
std::string number(uint32_t field, uint64_t n) { return varint(field << 3) + varint(n); }
std::string text(uint32_t field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

std::string_view word(std::string_view& line) {
  const size_t space = line.find(' ');
  const std::string_view out = line.substr(0, space);
  line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
  return out;
}

std::string field(std::string_view line) {
  const int n = std::stoi(std::string(word(line)));
  const std::string_view type = word(line), name = word(line);
  std::string out = text(1, name) + number(3, static_cast<uint64_t>(n)) + number(4, line == "*" ? 3 : 1);
  for (size_t i = 1; i < std::size(kScalars); ++i)
    if (type == kScalars[i]) return out + number(5, i);
  if (type.front() == '@') return out + number(5, 14) + text(6, type.substr(1));
  return out + number(5, 11) + text(6, "." + std::string(type));
}

/// The lines of the notation, as the records of a FileDescriptorProto.
std::string file(std::string_view notation) {
  std::string out, message, services;
  while (!notation.empty()) {
    std::string_view line = notation.substr(0, notation.find('\n'));
    notation.remove_prefix(line.size() + 1);
    if (line.front() == ' ') {
      message += text(2, field(line.substr(1)));
      continue;
    }
    if (!message.empty()) out += text(4, message);
    message.clear();
    if (line.front() == ':') {
      line.remove_prefix(1);
      const std::string_view service = word(line), name = word(line);
      std::string method = text(1, name);
      for (const uint32_t side : {2, 3}) {
        std::string_view type = word(line);
        if (type.ends_with('*')) {
          method += number(side + 3, 1);
          type.remove_suffix(1);
        }
        method += text(side, "." + std::string(type));
      }
      services += text(6, text(1, service) + text(2, method));
    } else {
      message = text(1, word(line));
      if (line == "=") message += text(7, number(7, 1));
    }
  }
  return out + services;
}

std::string reflection(std::string_view package) {
  std::string notation;
  for (const char c : kReflection) c == '$' ? notation += package : notation += c;
  return file(notation);
}

}  // namespace

const codec::Schema& known_types() {
  static const auto schema = [] {
    std::string status = text(1, "ServingStatus");
    constexpr std::string_view kServing[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    for (size_t i = 0; i < std::size(kServing); ++i) status += text(2, text(1, kServing[i]) + number(2, i));
    codec::SchemaBuilder builder;
    const auto add = [&](std::string_view name, const std::string& records) {
      BALEEN_CHECK(builder.add_file(as_bytes(text(1, name) + records)));
    };
    add("known", file(kTypes) + text(5, status));
    add("reflection/v1", reflection("grpc.reflection.v1."));
    add("reflection/v1alpha", reflection("grpc.reflection.v1alpha."));
    auto built = builder.build(false);
    BALEEN_CHECK(built);
    return *std::move(built);
  }();
  return *schema;
}

}  // namespace baleen::dissect::grpc
