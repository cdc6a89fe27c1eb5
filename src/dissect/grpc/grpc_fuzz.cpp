#include <algorithm>
#include <cstdlib>
#include <vector>

#include "dissect/grpc/message.h"

/// Two bytes say how long the descriptor is (FileDescriptorProto) that comes first; the rest is a message, which is
/// read as each of its first types, as google.protobuf.Any, and without a type.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using namespace baleen::dissect::grpc;
  if (size < 2) return 0;
  const size_t length = std::min<size_t>(load_be16(data), size - 2);
  const std::vector<uint8_t> file(data + 2, data + 2 + length), message(data + 2 + length, data + size);
  const net::Endpoint server{};
  Descriptors descriptors;
  descriptors.learn(server, {Bytes(file)});
  codec::SchemaBuilder builder;
  if (builder.add_file(file)) {
    if (const auto schema = builder.build(true)) descriptors.set(*schema);
  }
  const Types types(&descriptors, server);
  for (const char* name : {"M", "p.M", "shop.v1.Item", "google.protobuf.Any", "google.protobuf.Struct",
                           "google.protobuf.FileDescriptorProto"}) {
    const codec::MessageType* const type = types.message(name);
    if (type == nullptr) continue;
    Arena arena;
    Budget budget;
    decode_message(message, *type, types, budget, arena);
    if (arena.footprint() > (4 << 20) + 64 * message.size()) std::abort();
  }
  Arena arena;
  Budget budget;
  wire_message(message, budget, arena);
  return 0;
}
