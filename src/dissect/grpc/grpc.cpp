#include "dissect/grpc/grpc.h"

#include <optional>
#include <vector>

#include "codec/base64.h"
#include "codec/inflate.h"
#include "codec/protobuf.h"
#include "dissect/build.h"
#include "dissect/grpc/message.h"

namespace baleen::dissect::grpc {
namespace {

using item::Value;

constexpr size_t kPrefix = 5;         // flags, length
constexpr size_t kMaxMessages = 256;  // of one direction that are shown; more are only counted
constexpr std::string_view kType = "application/grpc";
constexpr std::string_view kWebType = "application/grpc-web";
enum PrefixFlag : uint8_t { kCompressed = 1, kTrailers = 0x80 };

constexpr std::string_view kStatusNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

/// "proto" of "application/grpc+proto; charset=x"; also where it is not said, because it is the default.
std::string_view format_of(std::string_view content_type) {
  const size_t plus = content_type.substr(0, content_type.find(';')).find('+');
  if (plus == std::string_view::npos) return "proto";
  const std::string_view rest = content_type.substr(plus + 1);
  return rest.substr(0, rest.find_first_of("; "));
}

/// One length-prefixed message, or the trailers of gRPC-Web, which look alike.
struct Framed {
  uint8_t flags;
  Bytes bytes;
};
/// Takes the first one off; false when it is not there as a whole, or none.
bool next_framed(Bytes& rest, bool web, Framed& out) {
  if (rest.size() < kPrefix) return false;
  const uint32_t size = load_be32(&rest[1]);
  if ((rest[0] & ~(web ? kCompressed | kTrailers : kCompressed)) != 0 || size > rest.size() - kPrefix) return false;
  out = {rest[0], rest.subspan(kPrefix, size)};
  rest = rest.subspan(kPrefix + size);
  return true;
}

/// Text of the -text types: base64, of which each piece that was sent may end in padding.
Bytes from_pieces(std::string_view text, Arena& arena, bool& broken) {
  auto* const whole = static_cast<uint8_t*>(arena.allocate(text.size() + 1, 1));
  size_t size = 0;
  while (!text.empty()) {
    const size_t padding = text.find('=');
    std::string_view piece = text.substr(0, padding);
    text.remove_prefix(piece.size());
    while (text.starts_with('=')) text.remove_prefix(1);
    if (piece.size() % 4 == 1) piece.remove_suffix(1);  // the body is cut
    const auto bytes = codec::from_base64(piece, arena);
    if (!bytes) return broken = true, Bytes(whole, size);
    std::copy(bytes->begin(), bytes->end(), whole + size);
    size += bytes->size();
  }
  return {whole, size};
}

/// The messages of one direction, as they are shown.
class Messages {
 public:
  Messages(const Half& half, const codec::MessageType* type, const Types& types, Arena& arena, Output& out)
      : half_(half),
        type_(type),
        types_(types),
        arena_(arena),
        out_(out),
        coding_(codec::coding_of(half.encoding)),
        format_(format_of(half.content_type)),
        room_(out.settings().body_cap),
        list_(arena) {
    const bool web = is_web(half.content_type);
    Bytes rest = as_bytes(half.body);
    if (web && starts_with_word(half.content_type.substr(kWebType.size()), "-text"))
      rest = from_pieces(half.body, arena, broken_);
    Framed framed;
    while (next_framed(rest, web, framed)) {
      if ((framed.flags & kTrailers) != 0) {
        trailers_ = as_text(decoded(framed, nullptr));
      } else if (++count_ <= kMaxMessages) {
        show(framed);
      }
    }
    incomplete_ = !rest.empty() || broken_;
  }

  /// Lines "name: value" of gRPC-Web's trailers; empty when there are none.
  std::string_view trailers() const { return trailers_; }
  size_t count() const { return count_; }
  void add_to(MapOf& map) {
    map.add("messageCount", static_cast<uint64_t>(count_));
    map.add("messages", list_.build());
    if (incomplete_) map.add("incomplete", true);
    if (half_.cut) map.add("cut", true);
  }

 private:
  /// The message itself; where it cannot be decompressed what was sent, and `readable` is false.
  Bytes decoded(const Framed& framed, bool* readable) {
    if ((framed.flags & kCompressed) == 0) return framed.bytes;
    if (readable != nullptr) *readable = false;
    if (!out_.settings().decode_bodies) return framed.bytes;
    const codec::Decoded d = codec::decode(coding_, framed.bytes, room_, arena_);
    if (d.ending == codec::Ending::kFailed || coding_ == codec::Coding::kUnknown) {
      out_.count(Counter::kDecodeFailed);
      return framed.bytes;
    }
    room_ -= d.bytes.size();
    if (readable != nullptr) *readable = true;
    return d.bytes;
  }

  void show(const Framed& framed) {
    MapOf shown(arena_);
    bool readable = true;
    const Bytes message = decoded(framed, &readable);
    const bool compressed = (framed.flags & kCompressed) != 0;
    shown.add("size", static_cast<uint64_t>(framed.bytes.size()));
    shown.add("compressed", compressed);
    if (compressed && readable) shown.add("decodedSize", static_cast<uint64_t>(message.size()));
    if (!readable) shown.add("undecoded", true);
    budget_.cut = false;
    add_content(shown, message, readable);
    if (budget_.cut) {
      shown.add("cut", true);
      out_.count(Counter::kMessageTooLong);
    }
    list_.push(shown.build());
  }

  void add_content(MapOf& shown, Bytes message, bool readable) {
    if (readable && format_ == "proto") {
      if (type_ != nullptr) shown.add("type", arena_.copy(type_->name));
      if (type_ != nullptr) {
        if (const Value v = decode_message(message, *type_, types_, budget_, arena_); !v.is_null())
          return shown.add("message", v);
      }
      if (const Value v = wire_message(message, budget_, arena_); !v.is_null()) return shown.add("fields", v);
    }
    const Value v = text_or_bytes(as_text(message));
    shown.add(v.is_string() ? "text" : "bytes", v);
  }

  const Half& half_;
  const codec::MessageType* type_;
  const Types& types_;
  Arena& arena_;
  Output& out_;
  codec::Coding coding_;
  std::string_view format_;
  size_t room_;  // of what decompressing may make
  Budget budget_;
  ListOf list_;
  std::string_view trailers_;
  size_t count_ = 0;
  bool incomplete_ = false, broken_ = false;
};

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

/// A number of at most eight digits; -1 when it is none.
int64_t number_of(std::string_view digits) {
  if (digits.empty() || digits.size() > 8) return -1;
  int64_t n = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return -1;
    n = n * 10 + (c - '0');
  }
  return n;
}

/// PROTOCOL-HTTP2, Timeout: "10S" in milliseconds; negative when it is none.
double milliseconds_of(std::string_view timeout) {
  if (timeout.empty()) return -1;
  const int64_t n = number_of(timeout.substr(0, timeout.size() - 1));
  if (n < 0) return -1;
  switch (timeout.back()) {
    case 'H': return static_cast<double>(n) * 3'600'000;
    case 'M': return static_cast<double>(n) * 60'000;
    case 'S': return static_cast<double>(n) * 1'000;
    case 'm': return static_cast<double>(n);
    case 'u': return static_cast<double>(n) / 1'000;
    case 'n': return static_cast<double>(n) / 1'000'000;
    default: return -1;
  }
}

std::string_view without_slash(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

std::string_view kind_of(const codec::MethodType& method) {
  constexpr std::string_view kKinds[] = {"unary", "client streaming", "server streaming", "bidirectional streaming"};
  return kKinds[(method.client_streams ? 1 : 0) + (method.server_streams ? 2 : 0)];
}

/// Lines "name: value", as HTTP/1 writes them, in lower case.
void read_trailers(std::string_view lines, Ending& ending) {
  while (!lines.empty()) {
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (same_word(name, "grpc-status")) ending.status = value;
    if (same_word(name, "grpc-message")) ending.message = value;
    if (same_word(name, "grpc-status-details-bin")) ending.details = value;
  }
}

/// A field whose name ends in "-bin": base64, of several values that commas separate the first. gRPC's own peers agree
/// by a setting (0xFE03) on the bytes themselves behind a NUL.
std::optional<Bytes> binary(std::string_view value, Arena& arena) {
  if (value.starts_with('\0')) return as_bytes(value.substr(1));
  return codec::from_base64(value.substr(0, value.find(',')), arena);
}

void add_ending(MapOf& map, const Ending& ending, const Types& types, Arena& arena) {
  if (const int64_t status = number_of(ending.status); status >= 0) {
    map.add("status", status);
    if (static_cast<size_t>(status) < std::size(kStatusNames)) map.add("statusName", kStatusNames[status]);
  }
  if (!ending.message.empty()) map.add("statusMessage", text_or_bytes(unescape(ending.message, arena)));
  if (!ending.details.empty()) {
    const auto bytes = binary(ending.details, arena);
    Budget budget;
    const codec::MessageType* const type = types.message("google.rpc.Status");
    if (bytes && type != nullptr) {
      if (const Value v = decode_message(*bytes, *type, types, budget, arena); !v.is_null())
        map.add("statusDetails", v);
    }
  }
  if (ending.trailers_only) map.add("trailersOnly", true);
}

}  // namespace

bool is_grpc(std::string_view content_type) {
  if (!starts_with_word(content_type, kType)) return false;
  return content_type.size() == kType.size() ||
         std::string_view("+; ").find(content_type[kType.size()]) != std::string_view::npos;
}

bool is_web(std::string_view content_type) {
  if (!starts_with_word(content_type, kWebType)) return false;
  std::string_view rest = content_type.substr(kWebType.size());
  if (starts_with_word(rest, "-text")) rest.remove_prefix(5);
  return rest.empty() || std::string_view("+; ").find(rest[0]) != std::string_view::npos;
}

Value request_value(std::string_view path, std::string_view timeout, const Half& half, Arena& arena, Output& out) {
  const Types types(out.settings().descriptors, out.server());
  const codec::MethodType* const method = types.method(without_slash(path));
  MapOf map(arena);
  path = without_slash(path);
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) {
    map.add("service", path.substr(0, slash));
    map.add("method", path.substr(slash + 1));
  }
  if (method != nullptr) map.add("kind", kind_of(*method));
  map.add_text("timeout", timeout);
  if (const double ms = milliseconds_of(timeout); ms >= 0) map.add("timeoutMs", ms);
  map.add_text("encoding", half.encoding);
  Messages(half, method != nullptr ? method->request : nullptr, types, arena, out).add_to(map);
  return map.build();
}

Value response_value(std::string_view path, const Half& half, Ending& ending, Arena& arena, Output& out) {
  const Types types(out.settings().descriptors, out.server());
  const codec::MethodType* const method = types.method(without_slash(path));
  MapOf map(arena);
  map.add_text("encoding", half.encoding);
  Messages messages(half, method != nullptr ? method->response : nullptr, types, arena, out);
  read_trailers(messages.trailers(), ending);
  add_ending(map, ending, types, arena);
  messages.add_to(map);
  return map.build();
}

bool is_reflection(std::string_view path) {
  return path == "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" ||
         path == "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
}

size_t learn(std::string_view body, size_t from, std::string_view encoding, Output& out) {
  using codec::WireField;
  Descriptors* const descriptors = out.settings().descriptors;
  Bytes rest = as_bytes(body.substr(from));
  std::vector<Bytes> files;
  Arena scratch;
  for (Framed framed; next_framed(rest, false, framed);) {
    Bytes message = framed.bytes;
    if ((framed.flags & kCompressed) != 0)
      message = codec::decode(codec::coding_of(encoding), message, out.settings().body_cap, scratch).bytes;
    // ServerReflectionResponse.file_descriptor_response.file_descriptor_proto
    codec::WireReader answer(message);
    for (WireField f; answer.next(f);) {
      if (f.number != 4 || f.type != WireField::Type::kBytes) continue;
      codec::WireReader told(f.bytes);
      for (WireField file; told.next(file);)
        if (file.number == 1 && file.type == WireField::Type::kBytes) files.push_back(file.bytes);
    }
  }
  if (!files.empty() && descriptors != nullptr) descriptors->learn(out.server(), files);
  return body.size() - rest.size();
}

}  // namespace baleen::dissect::grpc
