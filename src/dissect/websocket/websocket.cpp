#include "dissect/websocket/websocket.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "dissect/build.h"
#include "dissect/graphql/graphql.h"
#include "dissect/kept_text.h"

// A message is begun with the head of its first frame and lives in its item's arena until its last frame is complete;
// control frames, which may stand between its frames, are items at once. A compressed message is kept as it came and
// inflated when it is whole: so its item cannot depend on how it was cut. What makes later messages readable is the
// window, the last bytes that came out before them; when a message could not be inflated the window is empty, and
// messages that refer to what is missing fail by themselves (zlib refuses distances that lead before the beginning).

namespace baleen::dissect::websocket {

using item::Item;
using item::Outcome;
using item::Value;

/// A message in the making.
struct Draft {
  Item* item = nullptr;
  KeptText text;           // its payload as far as it is kept, unmasked
  uint64_t length = 0;     // of the payload, kept or not
  uint64_t wire_size = 0;  // with frame heads
  uint64_t frames = 0;
  Timestamp time{};
  const char* error = nullptr;
  Direction direction{};
  uint8_t opcode = 0;
  bool masked = false, compressed = false, opaque = false, capped = false, holed = false;

  void keep(const Bytes& bytes, const uint8_t* mask, uint64_t phase, uint64_t due, size_t cap);
};

/// What every item says of the call that opened the connection.
struct Websocket::Opening {
  uint64_t index = 0;  // within the stream
  std::string path, host, subprotocol;
  bool graphql = false;  // the subprotocol is GraphQL's
};

namespace {

using item::Field;
using enum item::FieldType;

constexpr uint16_t kPorts[] = {80, 443, 8080};

constexpr Field kFields[] = {
    {"request.opcode", "ws_opcode", kString, "Kind of message: text, binary, close, ping or pong."},
    {"request.payload", "ws_request_payload_data", kString,
     "The message that the client sent, unmasked and inflated; base64 when it is not text."},
    {"request.payloadLength", "ws_request_payload_length", kInt, "Bytes of the client's message, inflated."},
    {"request.encoding", "", kString, "\"base64\" when the payload is that."},
    {"request.frames", "", kInt, "In how many frames the message came."},
    {"request.masked", "", kBool, "Whether it was masked, as a client's has to be."},
    {"request.compressedLength", "", kInt, "Bytes before inflating, where permessage-deflate was used."},
    {"request.truncated", "", kBool, "True where not all of the payload is kept."},
    {"request.closeCode", "", kInt, "Why the connection is closed: 1000 is normal."},
    {"request.path", "", kString, "Path of the HTTP request that opened the connection, without the query."},
    {"request.host", "", kString, "Host of that request."},
    {"request.subprotocol", "", kString, "What the server chose of Sec-WebSocket-Protocol."},
    {"request.openedBy", "", kInt, "Index, within the stream, of the item of that request."},
    {"response.opcode", "", kString, "The same of a message that the server sent."},
    {"response.payload", "", kString, "The message that the server sent; base64 when it is not text."},
    {"response.payloadLength", "ws_response_payload_length", kInt, "Bytes of the server's message, inflated."},
    {"response.encoding", "", kString, "\"base64\" when the payload is that."},
    {"response.frames", "", kInt, "In how many frames the message came."},
    {"response.masked", "", kBool, "Whether it was masked, as a server's must not be."},
    {"response.compressedLength", "", kInt, "Bytes before inflating, where permessage-deflate was used."},
    {"response.truncated", "", kBool, "True where not all of the payload is kept."},
    {"response.closeCode", "", kInt, "Why the connection is closed: 1000 is normal."},
    {"response.path", "", kString, "Path of the HTTP request that opened the connection, without the query."},
    {"response.host", "", kString, "Host of that request."},
    {"response.subprotocol", "", kString, "What the server chose of Sec-WebSocket-Protocol."},
    {"response.openedBy", "", kInt, "Index, within the stream, of the item of that request."},
    {"request.graphql", "", kMap,
     "Where the subprotocol is GraphQL's: messageType, id and the operation, as request.graphql of GraphQL shows it.",
     true},
    {"response.graphql", "", kMap, "Where the subprotocol is GraphQL's: messageType, id, errorCount and errors."},
    {"request", "ws_request", kBool, "Whether the client sent the message."},
    {"response", "ws_response", kBool, "Whether the server sent the message."},
};

constexpr uint64_t kInflateWork = 4;         // bytes that are inflated for a context's sake, in caps of a body
constexpr int kChain = 3;                    // frames in a row that show where frames begin
constexpr uint64_t kLikelyFrame = 64 << 10;  // of those: a chain of them has to fit into what is waited for
constexpr size_t kLongestText = 1024;        // of what is kept of the opening

std::string_view name_of(uint8_t opcode) {
  static constexpr Name kNames[] = {
      {kText, "text"}, {kBinary, "binary"}, {kClose, "close"}, {kPing, "ping"}, {kPong, "pong"}};
  return name_in(kNames, opcode);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_part(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return trimmed(part);
}

/// RFC 7692 7.1.2: 8 to 15, quoted or not; 15 where it is neither. zlib sends 9 where it says 8.
uint8_t window_bits(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
  int bits = 15;
  std::from_chars(value.data(), value.data() + value.size(), bits);
  return static_cast<uint8_t>(std::clamp(bits, 9, 15));
}

item::Message& message_of(Item& item, Direction d) { return d == Direction::kToServer ? item.request : item.response; }

}  // namespace

const item::Protocol Websocket::kProtocol = {.name = "ws",
                                             .version = "13",
                                             .abbreviation = "WS",
                                             .long_name = "WebSocket",
                                             .macro = "ws",
                                             .reference = "https://datatracker.ietf.org/doc/html/rfc6455",
                                             .background = "#1a73c7",
                                             .foreground = "#ffffff",
                                             .font_size = 12,
                                             .priority = 0,
                                             .layer4 = "tcp",
                                             .ports = kPorts,
                                             .fields = kFields,
                                             .method_path = "request.opcode",
                                             .summary_path = "request.path",
                                             .status_path = "request.closeCode"};

void Draft::keep(const Bytes& bytes, const uint8_t* mask, uint64_t phase, uint64_t due, size_t cap) {
  length += bytes.size();
  if (holed || bytes.empty()) return;
  const size_t wanted = std::min(bytes.size(), cap - text.size());
  capped |= wanted < bytes.size();
  char* const to = text.extend(wanted, due, cap, item->arena);
  if (mask != nullptr) {
    unmask(mask, phase, bytes.first(wanted), to);
  } else if (wanted != 0) {
    std::memcpy(to, bytes.data(), wanted);
  }
}

Websocket::Websocket() = default;
Websocket::~Websocket() = default;

// ---- what was agreed on ----

void Websocket::adopt(Item* opening, Output& out) {
  const Value request = opening->request.payload, answer = opening->response.payload["headers"];
  const auto text = [](Value value) { return std::string(value.text().substr(0, kLongestText)); };
  const Value headers = request["headers"];  // RFC 8441 5: over HTTP/2 the host is a pseudo-header field
  const Value host = headers[":authority"].is_null() ? headers["host"] : headers[":authority"];
  const std::string subprotocol = text(answer["sec-websocket-protocol"]);
  opening_ = std::make_unique<Opening>(Opening{out.next_index(), text(request["path"]), text(host), subprotocol,
                                               graphql::is_socket_protocol(subprotocol)});
  agree(answer["sec-websocket-extensions"].text());
  out.finish(opening);
}

void Websocket::agree(std::string_view extensions) {
  while (!extensions.empty()) {
    std::string_view rest = next_part(extensions, ',');
    const std::string_view name = next_part(rest, ';');
    if (name.empty()) continue;
    if (!same_word(name, "permessage-deflate") || deflates_) {
      other_extension_ = true;
      continue;
    }
    deflates_ = true;
    while (!rest.empty()) {
      std::string_view value = next_part(rest, ';');
      const std::string_view parameter = next_part(value, '=');
      Side& side = side_of(starts_with_word(parameter, "client_") ? Direction::kToServer : Direction::kToClient);
      if (parameter.ends_with("_no_context_takeover")) side.takeover = false;
      if (parameter.ends_with("_max_window_bits")) side.window_bits = window_bits(value);
    }
  }
}

// ---- frames ----

Step Websocket::dissect(const Input& in, Output& out) {
  Side& side = side_of(in.direction);
  if (side.refused) return Step::lost();
  if (in.bytes.empty()) return Step::need(1);
  if (!side.in_payload) return head(side, in, out);
  const auto n = static_cast<size_t>(std::min<uint64_t>(side.left, in.bytes.size()));
  payload(side, in.bytes.first(n), out);
  return Step::took(n);
}

Step Websocket::head(Side& side, const Input& in, Output& out) {
  const ParsedHead parsed = parse_head(in.bytes);
  if (parsed.kind == ParsedHead::Kind::kNeed) return Step::need(parsed.need);
  if (parsed.kind == ParsedHead::Kind::kBad) {
    give_up(side, "no frame follows", out);
    side.refused = true;
    return Step::lost();
  }
  const FrameHead& frame = parsed.head;
  if (frame.is_control()) return control(frame, in, out);
  begin_frame(side, frame, in, out);
  const auto n = static_cast<size_t>(std::min<uint64_t>(frame.length, in.bytes.size() - frame.size));
  payload(side, in.bytes.subspan(frame.size, n), out);
  return Step::took(frame.size + n);
}

/// What the frame does that RFC 6455 5.1 and 5.2 forbid, though it can be read; null when nothing.
const char* Websocket::fault(const FrameHead& frame, Direction d) const {
  if (frame.masked != (d == Direction::kToServer))
    return frame.masked ? "a server's frame is masked" : "a client's frame is not masked";
  if (other_extension_ || frame.reserved == 0) return nullptr;
  // RFC 7692 6: RSV1 stands in the first frame of a message only.
  const bool compressed = deflates_ && frame.reserved == 4 && (frame.opcode == kText || frame.opcode == kBinary);
  return compressed ? nullptr : "reserved bits are set that nobody agreed on";
}

/// RFC 6455 5.5: at most 125 bytes, never fragmented; may stand between the frames of a message.
Step Websocket::control(const FrameHead& frame, const Input& in, Output& out) {
  const size_t size = frame.size + static_cast<size_t>(frame.length);
  if (in.bytes.size() < size) return Step::need(size);
  Draft draft;
  draft.item = out.begin(kProtocol);
  draft.time = in.time;
  draft.wire_size = size;
  draft.frames = 1;
  draft.direction = in.direction;
  draft.opcode = frame.opcode;
  draft.masked = frame.masked;
  draft.error = fault(frame, in.direction);
  draft.keep(in.bytes.subspan(frame.size, static_cast<size_t>(frame.length)), frame.masked ? frame.mask : nullptr, 0,
             frame.length, 125);
  emit(draft, text_or_bytes(draft.text.view()), draft.length, out);
  return Step::took(size);
}

void Websocket::begin_frame(Side& side, const FrameHead& frame, const Input& in, Output& out) {
  if (frame.opcode != kContinuation) {
    if (side.draft != nullptr) give_up(side, "the next message began before this one's end", out);
    Item* const item = out.begin(kProtocol);
    Draft& draft = *(side.draft = item->arena.make<Draft>());
    draft.item = item;
    draft.time = in.time;
    draft.direction = in.direction;
    draft.opcode = frame.opcode;
    draft.masked = frame.masked;
    draft.compressed = deflates_ && (frame.reserved & 4) != 0;
    draft.opaque = other_extension_ && (frame.reserved & (deflates_ ? 3 : 7)) != 0;
  }
  if (Draft* const draft = side.draft; draft != nullptr) {
    if (const char* const why = fault(frame, in.direction); why != nullptr) draft->error = why;
    draft->wire_size += frame.size;
    ++draft->frames;
  } else {  // the rest of a message whose beginning was lost
    out.count(Counter::kSkippedBytes, frame.size);
  }
  side.in_payload = true;
  side.left = frame.length;
  side.seen = 0;
  side.masked = frame.masked;
  side.fin = frame.fin;
  std::copy_n(frame.mask, 4, side.mask);
}

void Websocket::payload(Side& side, Bytes bytes, Output& out) {
  if (side.draft != nullptr) {
    side.draft->wire_size += bytes.size();
    side.draft->keep(bytes, side.masked ? side.mask : nullptr, side.seen, side.left, out.settings().body_cap);
  } else {
    out.count(Counter::kSkippedBytes, bytes.size());
  }
  side.left -= bytes.size();
  side.seen += bytes.size();
  if (side.left == 0) end_frame(side, out);
}

void Websocket::end_frame(Side& side, Output& out) {
  side.in_payload = false;
  if (side.fin && side.draft != nullptr) finish(side, out);
}

// ---- messages ----

/// A compressed message as its sender meant it; when that cannot be known, the bytes as they came.
Value Websocket::inflated(Side& side, Draft& draft, uint64_t& length, Output& out) {
  const Bytes came = as_bytes(draft.text.view());
  const size_t cap = out.settings().body_cap;
  if (side.takeover && side.window == nullptr) side.window = std::make_unique<codec::InflateWindow>();
  if (draft.capped || draft.holed || cap == 0 || !out.settings().decode_bodies) {
    if (side.window != nullptr) side.window->clear();
    return Value::bytes(came);
  }
  const codec::InflatedMessage message =
      codec::inflate_message(came, side.takeover ? side.window.get() : nullptr, side.window_bits, cap,
                             static_cast<size_t>(kInflateWork * cap), draft.item->arena);
  if (message.ending == codec::Ending::kFailed) {
    out.count(Counter::kDecodeFailed);
    draft.error = "the message could not be inflated";
    return Value::bytes(came);
  }
  length = message.size;
  draft.capped = message.size > message.bytes.size();
  return text_or_bytes(as_text(message.bytes), draft.capped);
}

void Websocket::finish(Side& side, Output& out) {
  Draft& draft = *std::exchange(side.draft, nullptr);
  uint64_t length = draft.length;
  const std::string_view text = draft.text.view();
  const Value payload = draft.compressed ? inflated(side, draft, length, out)
                        : draft.opaque   ? Value::bytes(as_bytes(text))
                                         : text_or_bytes(text, draft.capped || draft.holed);
  emit(draft, payload, length, out);
}

void Websocket::emit(const Draft& draft, Value payload, uint64_t length, Output& out) {
  Arena& arena = draft.item->arena;
  MapBuilder<16> map;
  map.add("opcode", name_of(draft.opcode));
  if (const std::string_view text = draft.text.view(); draft.opcode == kClose && text.size() >= 2) {  // RFC 6455 5.5.1
    map.add("closeCode", int{load_be16(as_bytes(text).data())});
    payload = text_or_bytes(text.substr(2));
  }
  map.add("payload", payload);
  map.add("payloadLength", length);
  if (payload.type() == Value::Type::kBytes) map.add("encoding", "base64");
  map.add("frames", draft.frames);
  map.add("masked", draft.masked);
  if (draft.compressed) map.add("compressedLength", draft.length);
  if (draft.capped || draft.holed) map.add("truncated", true);
  if (opening_ != nullptr) {
    map.add("path", arena.copy(opening_->path));
    map.add("host", arena.copy(opening_->host));
    if (!opening_->subprotocol.empty()) map.add("subprotocol", arena.copy(opening_->subprotocol));
    map.add("openedBy", opening_->index);
  }
  if (opening_ != nullptr && opening_->graphql && payload.is_string() && !draft.capped && !draft.holed) {
    if (const Value said = graphql::socket_message(payload.text(), arena); !said.is_null()) map.add("graphql", said);
  }
  if (draft.capped) out.count(Counter::kBodyCapped);
  item::Message& message = message_of(*draft.item, draft.direction);
  message.payload = map.build(arena);
  message.time = draft.time;
  message.size = draft.wire_size;
  message.present = true;
  draft.item->outcome = draft.error != nullptr ? Outcome::kDissection : Outcome::kSingle;
  if (draft.error != nullptr) {
    draft.item->error_message = draft.error;
    out.count(Counter::kMalformed);
  }
  out.finish(draft.item);
}

// ---- loss and ends ----

void Websocket::give_up(Side& side, const char* why, Output& out) {
  side.in_payload = false;
  side.left = 0;
  if (side.window != nullptr) side.window->clear();  // what it would refer to is not known
  if (side.draft == nullptr) return;
  side.draft->error = why;
  side.draft->holed = true;
  finish(side, out);
}

bool Websocket::gap(Direction direction, uint64_t bytes, Output& out) {
  Side& side = side_of(direction);
  side.refused = false;
  if (!side.in_payload || bytes == 0 || bytes > side.left) {
    give_up(side, "bytes of the message were lost", out);
    return false;
  }
  if (side.draft != nullptr) {
    side.draft->holed = true;
    side.draft->error = "bytes of the message were lost";
    side.draft->length += bytes;
    side.draft->wire_size += bytes;
  }
  side.left -= bytes;
  side.seen += bytes;
  if (side.left == 0) end_frame(side, out);
  return true;
}

/// Whether frames stand here, one behind the other. Two bytes show little, so several are asked for.
Probe Websocket::begins(Direction d, Bytes bytes, bool end) const {
  uint64_t at = 0;
  for (int i = 0; i < kChain; ++i) {
    if (at >= bytes.size()) return end && i > 0 && at == bytes.size() ? Probe::kYes : Probe::kUnsure;
    const ParsedHead parsed = parse_head(bytes.subspan(static_cast<size_t>(at)));
    if (parsed.kind == ParsedHead::Kind::kBad) return Probe::kNo;
    if (parsed.kind == ParsedHead::Kind::kNeed) return Probe::kUnsure;
    if (parsed.head.length > kLikelyFrame || fault(parsed.head, d) != nullptr) return Probe::kNo;
    at += parsed.head.size + parsed.head.length;
  }
  return Probe::kYes;
}

Resync Websocket::resync(const Input& in) {
  Side& side = side_of(in.direction);
  // dissect() has refused what stands here; finding it again would lead nowhere.
  size_t at = std::exchange(side.refused, false) && !in.bytes.empty() ? 1 : 0;
  for (; at < in.bytes.size(); ++at) {
    switch (begins(in.direction, in.bytes.subspan(at), in.end_of_stream)) {
      case Probe::kYes: return {at, true};
      case Probe::kUnsure:
        if (!in.end_of_stream) return {at, false};
        break;
      case Probe::kNo: break;
    }
  }
  return {in.bytes.size(), false};
}

void Websocket::close(bool reset, Output& out) {
  for (Side& side : sides_) give_up(side, reset ? "connection reset" : "unexpected EOF", out);
}

}  // namespace baleen::dissect::websocket
