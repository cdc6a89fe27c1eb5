#include "dissect/sip/sip.h"

#include "dissect/build.h"
#include "dissect/lines.h"

namespace baleen::dissect::sip {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {5060};
constexpr Field kFields[] = {
    {"request.method", "sip_method", kString, "The method: INVITE, REGISTER, BYE."},
    {"request.uri", "sip_uri", kString, "Whom the request is for."},
    {"request.summary", "sip_summary", kString, "The same."},
    {"request.from", "sip_from", kString, "The From header."},
    {"request.to", "sip_to", kString, "The To header."},
    {"request.callId", "sip_call_id", kString, "The Call-ID header."},
    {"request.cseq", "", kString, "Number and method within the call."},
    {"request.headers", "", kMap, "All headers but those with credentials; compact names are written out."},
    {"request.credentials", "", kString, "Authorization and Proxy-Authorization.", true},
    {"request.body", "", kString, "The body, mostly SDP."},
    {"request.bodySize", "", kInt, "Bytes of the body."},
    {"request.sdp", "", kMap, "The session description: name, address, media with type, port, protocol, formats."},
    {"request.retransmission", "", kBool, "The same request was sent before and has no final response yet."},
    {"response.statusCode", "sip_status", kInt, "Status code of the final response."},
    {"response.status", "", kString, "The status code as text."},
    {"response.reason", "", kString, "The reason phrase."},
    {"response.headers", "", kMap, "All headers."},
    {"response.body", "", kString, "The body."},
    {"response.provisional", "", kInt, "How many provisional responses came before."},
    {"response.sdp", "", kMap, "The session description."},
};

constexpr std::string_view kMethods[] = {"INVITE",    "ACK",    "BYE",     "CANCEL", "REGISTER", "OPTIONS", "PRACK",
                                         "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO",   "REFER",    "MESSAGE", "UPDATE"};
struct Compact {
  std::string_view letter, name;
};
constexpr Compact kCompact[] = {{"i", "Call-ID"},
                                {"f", "From"},
                                {"t", "To"},
                                {"v", "Via"},
                                {"m", "Contact"},
                                {"l", "Content-Length"},
                                {"c", "Content-Type"},
                                {"e", "Content-Encoding"},
                                {"k", "Supported"},
                                {"s", "Subject"},
                                {"o", "Event"},
                                {"r", "Refer-To"},
                                {"b", "Referred-By"},
                                {"u", "Allow-Events"},
                                {"x", "Session-Expires"},
                                {"a", "Accept-Contact"},
                                {"j", "Reject-Contact"},
                                {"d", "Request-Disposition"},
                                {"y", "Identity"},
                                {"n", "Identity-Info"}};
// RFC 3261 19.1, 3966, 5031 (urn:service:sos), 3859, 3860
constexpr std::string_view kSchemes[] = {"sip:", "sips:", "tel:", "urn:", "pres:", "im:"};
constexpr std::string_view kVersion = "SIP/2.0";
constexpr size_t kMaxHead = 64 << 10;
constexpr uint64_t kMaxBody = 16 << 20;

uint64_t hash(std::string_view text, uint64_t h = 1469598103934665603u) {
  for (const char c : text) h = (h ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return h;
}

/// Calls each(name, value) for every header of `head` behind the first line. With an arena, folded lines are put
/// together (RFC 3261 7.3.1); without, they are left at their first.
template <class Each>
void each_header(std::string_view head, Arena* arena, Each each) {
  bool first = true;
  while (!head.empty()) {
    const size_t end = std::min(head.find('\n'), head.size() - 1) + 1;
    const std::string_view line = without_end(head.substr(0, end));
    head.remove_prefix(end);
    const size_t colon = line.find(':');
    if (std::exchange(first, false) || line.empty() || line[0] == ' ' || line[0] == '\t' ||
        colon == std::string_view::npos)
      continue;
    std::string_view name = trimmed(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
    if (arena != nullptr) value = unfolded(value, head, *arena);
    for (const Compact& c : kCompact)
      if (same_word(c.letter, name)) name = c.name;
    each(name, value);
  }
}

/// What ties a response to its request (RFC 3261 8.1.1, 17.1.3).
struct Keys {
  std::string_view call_id, cseq, branch;
  uint64_t of(Direction asker) const { return hash(branch, hash(cseq, hash(call_id))) ^ static_cast<uint64_t>(asker); }
};

Keys keys_of(std::string_view head) {
  Keys keys;
  bool via = false;
  each_header(head, nullptr, [&](std::string_view name, std::string_view value) {
    if (same_word(name, "Call-ID")) keys.call_id = value;
    if (same_word(name, "CSeq")) keys.cseq = value;
    if (!same_word(name, "Via") || std::exchange(via, true)) return;
    const std::string_view first = value.substr(0, value.find(','));  // the topmost
    const size_t at = first.find("branch=z9hG4bK");                   // others need not be unique
    if (at != std::string_view::npos) keys.branch = first.substr(at, first.find_first_of("; \t", at) - at);
  });
  return keys;
}

/// A session description (RFC 8866): `{name, address, media: [{type, port, protocol, formats, address}]}`.
Value describe_sdp(std::string_view body, Arena& arena) {
  MapOf map(arena);
  ListOf media(arena);
  struct {
    std::string_view type, port, protocol, formats, address;
  } one;
  std::string_view address;
  const auto flush = [&] {
    if (one.type.empty()) return;
    MapOf m(arena);
    m.add("type", text_or_bytes(one.type));
    m.add("port", static_cast<int64_t>(number_of(one.port.substr(0, one.port.find('/'))).value_or(0)));
    m.add("protocol", text_or_bytes(one.protocol));
    m.add("formats", text_or_bytes(one.formats));
    if (!one.address.empty()) m.add("address", text_or_bytes(one.address));
    media.push(m.build());
    one = {};
  };
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size() - 1) + 1;
    std::string_view line = without_end(body.substr(0, end));
    body.remove_prefix(end);
    if (line.size() < 2 || line[1] != '=') continue;
    const char kind = line[0];
    line.remove_prefix(2);
    if (kind == 's') map.add("name", text_or_bytes(line));
    if (kind == 'c') {  // IN IP4 10.0.0.1/127
      next_word(line);
      next_word(line);
      const std::string_view where = next_word(line);
      (one.type.empty() ? address : one.address) = where.substr(0, where.find('/'));
    }
    if (kind == 'm') {
      flush();
      one.type = next_word(line);
      one.port = next_word(line);
      one.protocol = next_word(line);
      one.formats = trimmed(line);
    }
  }
  flush();
  if (!address.empty()) map.add("address", text_or_bytes(address));
  map.add("media", media.build());
  return map.build();
}

size_t head_size(std::string_view t, size_t from) {
  const size_t end = t.find("\r\n\r\n", from);
  return end == std::string_view::npos ? 0 : end + 4;
}

/// Of a datagram that was not captured whole, all that is there.
size_t head_or_all(std::string_view t) {
  const size_t head = head_size(t, 0);
  return head == 0 ? t.size() : head;
}

/// A first line: 1 request, 2 response, 0 neither, -1 not all of it is there.
int first_line(std::string_view t, bool complete) {
  const size_t end = t.substr(0, 4096).find('\n');
  if (end == std::string_view::npos) {
    if (complete || t.size() >= 4096) return 0;
    if (kVersion.starts_with(t.substr(0, kVersion.size()))) return -1;
    for (const std::string_view m : kMethods) {
      if (m.starts_with(t)) return -1;
      if (!t.starts_with(m) || t[m.size()] != ' ') continue;
      const std::string_view uri = t.substr(m.size() + 1, 5);
      for (const std::string_view scheme : kSchemes)
        if (scheme.starts_with(uri.substr(0, scheme.size()))) return -1;
    }
    return 0;
  }
  const std::string_view line = without_end(t.substr(0, end + 1));
  if (line.starts_with("SIP/2.0 ")) return line.size() >= 11 && line[8] >= '1' && line[8] <= '6' ? 2 : 0;
  if (!line.ends_with(" SIP/2.0")) return 0;
  for (const std::string_view m : kMethods) {
    if (!line.starts_with(m) || line[m.size()] != ' ') continue;
    const std::string_view uri = line.substr(m.size() + 1);
    return std::any_of(std::begin(kSchemes), std::end(kSchemes), [&](auto scheme) { return uri.starts_with(scheme); });
  }
  return 0;
}

}  // namespace

const item::Protocol Sip::kProtocol = {
    .name = "sip",
    .version = "2.0",
    .abbreviation = "SIP",
    .long_name = "Session Initiation Protocol",
    .macro = "sip",
    .reference = "https://datatracker.ietf.org/doc/html/rfc3261",
    .background = "#00796b",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "udp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Sip::probe(const Input& in) {
  if (in.bytes.empty()) return Probe::kUnsure;
  const int kind = first_line(as_text(in.bytes), in.end_of_stream);
  if (kind < 0) return Probe::kUnsure;
  // Both ends call: a request may come from the one that did not open the conversation.
  return kind == 0 || (kind == 2) != (in.direction == Direction::kToClient) ? Probe::kNo : Probe::kYes;
}

Probe Sip::begins(Direction, Bytes b) {
  const int kind = first_line(as_text(b), false);
  return kind < 0 ? Probe::kUnsure : kind == 0 ? Probe::kNo : Probe::kYes;
}

/// A datagram is one message (RFC 3261 18.3), whatever Content-Length says, and whatever of it was captured.
Step Sip::dissect(const Input& in, Output& out) {
  if (!in.datagram || in.bytes.empty()) return Framed::dissect(in, out);
  const size_t size = in.bytes.size() + in.missing;
  const Frame frame{in.direction, in.bytes, size, in.time, in.missing != 0, true, in.missing};
  if (first_line(as_text(in.bytes), true) > 0) message(frame, out);
  return Step::took(in.bytes.size());
}

Measure Sip::measure(Direction d, Bytes b) {
  const std::string_view t = as_text(b);
  if (b[0] == '\r' || b[0] == '\n' || b[0] == 0) return Measure::frame(1);  // keep-alives (RFC 5626 4.4.1)
  uint32_t& seen = seen_[static_cast<size_t>(d)];
  const size_t from = seen > 3 && seen <= t.size() ? seen - 3 : 0;
  seen = 0;
  if (from == 0 && first_line(t, false) == 0) return Measure::bad();
  const size_t head = head_size(t.substr(0, kMaxHead), from);
  if (head == 0) {
    if (t.size() >= kMaxHead) return Measure::bad();
    seen = static_cast<uint32_t>(t.size());
    return Measure::need(t.size() + 1);
  }
  uint64_t body = 0;
  each_header(t.substr(0, head), nullptr, [&](std::string_view name, std::string_view value) {
    if (same_word(name, "Content-Length")) body = number_of(value).value_or(0);
  });
  return body > kMaxBody ? Measure::bad() : Measure::frame(head + body);
}

Step Sip::message(const Frame& frame, Output& out) {
  if (frame.bytes.size() < 12) return Step::took(frame.size);
  const int kind = first_line(as_text(frame.bytes), true);
  if (kind <= 0) return Step::lost();
  const bool asks = kind == 1;
  const std::string_view all = as_text(frame.bytes);
  const Keys keys = keys_of(all.substr(0, head_or_all(all)));
  // Both ends may use the same numbers for requests of their own.
  const uint64_t key = keys.of(asks ? frame.direction : opposite(frame.direction));
  std::string_view first = without_end(all.substr(0, all.find('\n') + 1));
  int code = 0;
  if (!asks) {
    code = static_cast<int>(number_of(first.substr(8, 3)).value_or(0));
    if (code < 200)
      if (Item* const waits = waiting_.find(key); waits != nullptr) {
        waits->data.size += 1;  // provisional responses; `data` itself is not present
        return Step::took(frame.size);
      }
  }
  Item* item = asks ? waiting_.early.take(key, frame.time, out) : waiting_.take(key);
  bool early = asks && item != nullptr;
  if (item == nullptr)
    item = asks          ? out.begin(kProtocol)
           : code >= 200 ? begin_unasked(kProtocol, waiting_.early, key, frame, early, out)
                         : begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const std::string_view text = arena.copy(all);
  const size_t head = head_or_all(text);
  MapOf map(arena), headers(arena), secrets(arena);
  first = without_end(text.substr(0, text.find('\n') + 1));
  std::string_view from, to, call_id, cseq, type;
  each_header(text.substr(0, head), &arena, [&](std::string_view name, std::string_view value) {
    if (same_word(name, "From")) from = value;
    if (same_word(name, "To")) to = value;
    if (same_word(name, "Call-ID")) call_id = value;
    if (same_word(name, "CSeq")) cseq = value;
    if (same_word(name, "Content-Type")) type = value;
    const bool secret = same_word(name, "Authorization") || same_word(name, "Proxy-Authorization");
    if (is_text(name)) (secret ? secrets : headers).add(name, text_or_bytes(value));
  });
  if (asks) {
    std::string_view rest = first;
    const std::string_view method = next_word(rest), uri = next_word(rest);
    map.add("method", method);
    map.add("uri", text_or_bytes(uri));
    map.add("summary", text_or_bytes(uri));
  } else {
    map.add("statusCode", code);
    map.add("status", first.substr(8, 3));
    map.add("reason", text_or_bytes(trimmed(first.substr(std::min<size_t>(11, first.size())))));
    if (item->data.size != 0) map.add("provisional", item->data.size);
    item->data.size = 0;
  }
  map.add("from", text_or_bytes(from));
  map.add("to", text_or_bytes(to));
  map.add("callId", text_or_bytes(call_id));
  map.add("cseq", text_or_bytes(cseq));
  map.add("headers", Value::map(headers.take(), true));
  if (!secrets.empty()) map.add("credentials", secrets.kept()[0].value);
  if (asks && waiting_.find(key) != nullptr) map.add("retransmission", true);  // RFC 3261 17.1.1.2
  if (head < text.size()) {
    map.add("body", text_or_bytes(text.substr(head), frame.cut));
    if (starts_with_word(type, "application/sdp")) map.add("sdp", describe_sdp(text.substr(head), arena));
  }
  map.add("bodySize", frame.size - head);
  if (frame.cut) map.add("truncated", true);
  set(asks ? item->request : item->response, map.build(), frame);
  if (early && !asks) {
    waiting_.early.keep(key, item, out);
  } else if (asks && !early && map.kept()[0].value.text() != "ACK") {
    waiting_.push(key, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::sip
