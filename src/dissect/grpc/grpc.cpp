#include "dissect/grpc/grpc.h"

#include "codec/base64.h"
#include "codec/inflate.h"
#include "dissect/build.h"

namespace baleen::dissect::grpc {
namespace {

using item::Value;

constexpr size_t kPrefix = 5;         // compressed flag, length
constexpr size_t kMaxMessages = 256;  // of one direction that are shown; more are only counted
constexpr std::string_view kType = "application/grpc";

constexpr std::string_view kStatusNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

/// "proto" of "application/grpc+proto; charset=x"; also where it is not said, because it is the default.
std::string_view format_of(std::string_view content_type) {
  std::string_view rest = content_type.substr(std::min(content_type.size(), kType.size()));
  if (!rest.starts_with('+')) return "proto";
  rest.remove_prefix(1);
  return rest.substr(0, rest.find_first_of("; "));
}

/// What a message says, as the member that it is shown as.
void add_content(MapOf& map, Bytes message, std::string_view format, Arena& arena) {
  if (format == "proto") {
    if (const Value fields = wire_message(message, arena); !fields.is_null()) return map.add("fields", fields);
  }
  const Value v = text_or_bytes(as_text(message));
  map.add(v.is_string() ? "text" : "bytes", v);
}

/// Adds `messages`, `messageCount` and what is wrong with them.
void add_messages(MapOf& map, const Half& half, Arena& arena, Output& out) {
  const codec::Coding coding = codec::coding_of(half.encoding);
  const std::string_view format = format_of(half.content_type);
  Bytes rest = as_bytes(half.body);
  size_t room = out.settings().body_cap;  // of what decompressing may make
  ListOf list(arena);
  size_t count = 0;
  while (rest.size() >= kPrefix) {
    const bool compressed = rest[0] == 1;
    const uint32_t size = load_be32(&rest[1]);
    if (rest[0] > 1 || size > rest.size() - kPrefix) break;
    Bytes message = rest.subspan(kPrefix, size);
    rest = rest.subspan(kPrefix + size);
    if (++count > kMaxMessages) continue;
    MapOf shown(arena);
    shown.add("size", size);
    shown.add("compressed", compressed);
    bool readable = !compressed;
    if (compressed && out.settings().decode_bodies) {
      const codec::Decoded d = codec::decode(coding, message, room, arena);
      readable = d.ending != codec::Ending::kFailed && coding != codec::Coding::kUnknown;
      if (readable) {
        message = d.bytes;
        room -= message.size();
        shown.add("decodedSize", static_cast<uint64_t>(message.size()));
      } else {
        out.count(Counter::kDecodeFailed);
      }
    }
    add_content(shown, message, readable ? format : std::string_view(), arena);
    list.push(shown.build());
  }
  map.add("messageCount", static_cast<uint64_t>(count));
  map.add("messages", list.build());
  if (!rest.empty()) map.add("incomplete", true);
  if (half.cut) map.add("cut", true);
}

/// Percent-decoding (PROTOCOL-HTTP2, Percent-Encoded): what is no escape stays as it is.
std::string_view unescape(std::string_view text, Arena& arena) {
  if (text.find('%') == std::string_view::npos) return text;
  char* const out = static_cast<char*>(arena.allocate(text.size(), 1));
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
  };
  size_t size = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      c = static_cast<char>(digit(text[i + 1]) << 4 | digit(text[i + 2]));
      i += 2;
    }
    out[size++] = c;
  }
  return {out, size};
}

}  // namespace

bool is_grpc(std::string_view content_type) {
  if (!starts_with_word(content_type, kType)) return false;
  return content_type.size() == kType.size() ||
         std::string_view("+; ").find(content_type[kType.size()]) != std::string_view::npos;
}

Value request_value(std::string_view path, const Half& half, Arena& arena, Output& out) {
  MapOf map(arena);
  if (path.starts_with('/')) path.remove_prefix(1);
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) {
    map.add("service", path.substr(0, slash));
    map.add("method", path.substr(slash + 1));
  }
  map.add_text("encoding", half.encoding);
  add_messages(map, half, arena, out);
  return map.build();
}

Value response_value(const Half& half, const Ending& ending, Arena& arena, Output& out) {
  MapOf map(arena);
  map.add_text("encoding", half.encoding);
  if (!ending.status.empty()) {
    size_t status = 0;
    for (const char c : ending.status)
      status = c >= '0' && c <= '9' && status < 100000 ? status * 10 + static_cast<size_t>(c - '0') : 100000;
    if (status < 100000) {
      map.add("status", static_cast<uint64_t>(status));
      if (status < std::size(kStatusNames)) map.add("statusName", kStatusNames[status]);
    }
  }
  if (!ending.message.empty()) map.add("statusMessage", text_or_bytes(unescape(ending.message, arena)));
  if (!ending.details.empty()) {
    // google.rpc.Status
    if (const auto details = codec::from_base64(ending.details, arena)) {
      if (const Value fields = wire_message(*details, arena); !fields.is_null()) map.add("statusDetails", fields);
    }
  }
  if (ending.trailers_only) map.add("trailersOnly", true);
  add_messages(map, half, arena, out);
  return map.build();
}

}  // namespace baleen::dissect::grpc
