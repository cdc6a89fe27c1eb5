#include "dissect/nats/nats.h"

#include "dissect/build.h"

namespace baleen::dissect::nats {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {4222};
constexpr Field kFields[] = {
    {"request.method", "nats_method", kString,
     "The operation: INFO, CONNECT, PUB, HPUB, SUB, UNSUB, MSG, HMSG, PING, +OK, -ERR."},
    {"request.subject", "nats_subject", kString, "Subject that is published to or subscribed."},
    {"request.summary", "nats_summary", kString, "The subject, else the rest of the line."},
    {"request.replyTo", "", kString, "Subject at which an answer is expected."},
    {"request.queueGroup", "", kString, "Queue group of a subscription."},
    {"request.sid", "", kString, "Number of the subscription."},
    {"request.headers", "", kMap, "Headers of HPUB and HMSG."},
    {"request.payload", "", kString, "The message."},
    {"request.payloadSize", "", kInt, "Bytes of the message."},
    {"request.options", "", kString, "What INFO and CONNECT say, as JSON; secrets are left out."},
    {"request.credentials", "", kString, "What CONNECT says, with user, password, token and signature.", true},
    {"request.error", "", kString, "The message of -ERR."},
    {"response.method", "", kString, "PONG, or MSG and HMSG that answer a message."},
    {"response.subject", "", kString, "The reply subject."},
    {"response.payload", "", kString, "The answer."},
    {"response.headers", "", kMap, "The answer's headers."},
    {"response.status", "", kString, "OK, or the status in the answer's header, such as 503 when nobody listens."},
};

constexpr size_t kMaxLine = 64 << 10;
constexpr uint64_t kMaxPayload = 64 << 20;

enum class Op : uint8_t { kNone, kInfo, kConnect, kPub, kHpub, kSub, kUnsub, kMsg, kHmsg, kPing, kPong, kOk, kErr };
struct Verb {
  std::string_view text;
  Op op;
  bool to_server, to_client;
};
constexpr Verb kVerbs[] = {
    {"PUB", Op::kPub, true, false},   {"MSG", Op::kMsg, false, true},         {"PING", Op::kPing, true, true},
    {"PONG", Op::kPong, true, true},  {"SUB", Op::kSub, true, false},         {"HPUB", Op::kHpub, true, false},
    {"HMSG", Op::kHmsg, false, true}, {"UNSUB", Op::kUnsub, true, false},     {"+OK", Op::kOk, false, true},
    {"-ERR", Op::kErr, false, true},  {"CONNECT", Op::kConnect, true, false}, {"INFO", Op::kInfo, false, true},
};

/// Whether the first word, as far as it is there, is a verb of that direction.
bool may_begin_line(std::string_view t, Direction d) {
  const FirstWord word(t, 7);
  for (const Verb& v : kVerbs)
    if (d == Direction::kToServer ? v.to_server : v.to_client)
      if (word.whole ? same_word(v.text, word.text) : starts_with_word(v.text, word.text)) return true;
  return false;
}

const Verb* verb_of(std::string_view word) {
  for (const Verb& v : kVerbs)
    if (same_word(v.text, word)) return &v;
  return nullptr;
}

/// A control line taken apart.
struct Line {
  const Verb* verb = nullptr;
  std::string_view words[5], rest;
  size_t count = 0;
  uint64_t header_size = 0, total = 0;
  bool ok = false;
  bool has_payload() const {
    return verb->op == Op::kPub || verb->op == Op::kHpub || verb->op == Op::kMsg || verb->op == Op::kHmsg;
  }
  bool has_headers() const { return verb->op == Op::kHpub || verb->op == Op::kHmsg; }
  /// The same of a copy of the text that it was read from.
  Line in(std::string_view copy, std::string_view text) const {
    Line l = *this;
    const auto moved = [&](std::string_view s) {
      return s.empty() ? std::string_view() : copy.substr(static_cast<size_t>(s.data() - text.data()), s.size());
    };
    l.rest = moved(rest);
    for (size_t i = 0; i < std::size(words); ++i) l.words[i] = moved(words[i]);
    return l;
  }
};

Line read_line(std::string_view text) {
  Line l;
  std::string_view rest = without_end(text);
  l.verb = verb_of(next_word(rest));
  if (l.verb == nullptr) return l;
  l.rest = trimmed(rest);
  if (l.verb->op == Op::kInfo || l.verb->op == Op::kConnect || l.verb->op == Op::kErr) {
    l.ok = true;
    return l;
  }
  while (l.count < 5) {
    const std::string_view word = next_word(rest);
    if (word.empty()) break;
    l.words[l.count++] = word;
  }
  l.ok = true;
  if (!l.has_payload()) return l;
  const size_t numbers = l.has_headers() ? 2 : 1, least = l.verb->op == Op::kPub || l.verb->op == Op::kHpub ? 1 : 2;
  if (l.count < least + numbers) return l.ok = false, l;
  const auto total = number_of(l.words[l.count - 1]);
  const auto header = l.has_headers() ? number_of(l.words[l.count - 2]) : std::optional<uint64_t>(0);
  l.ok = total && header && *total <= kMaxPayload && *header <= *total;
  l.total = total.value_or(0);
  l.header_size = header.value_or(0);
  l.count -= numbers;
  return l;
}

/// "NATS/1.0 503 No Responders\r\nName: value\r\n\r\n"
Value read_headers(std::string_view block, std::string_view& status, Arena& arena) {
  MapOf map(arena);
  bool first = true;
  while (!block.empty()) {
    const size_t end = std::min(block.find('\n'), block.size() - 1) + 1;
    const std::string_view line = without_end(block.substr(0, end));
    block.remove_prefix(end);
    if (first) {
      std::string_view rest = line;
      next_word(rest);
      status = trimmed(rest);
      first = false;
      continue;
    }
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && is_text(line))
      map.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return map.build();
}

/// The JSON of CONNECT with the values of secrets left out. The text is only looked for names, not understood: a value
/// that is a string ends at the next quote that is not escaped.
std::string_view without_secrets(std::string_view json, Arena& arena) {
  char* const out = static_cast<char*>(arena.allocate(json.size() + 1, 1));
  size_t n = 0;
  for (size_t at = 0; at < json.size();) {
    if (json[at] != '"') {  // no name begins here
      out[n++] = json[at++];
      continue;
    }
    bool secret = false;
    for (const std::string_view name : {"\"pass\"", "\"auth_token\"", "\"sig\"", "\"jwt\"", "\"user\"", "\"nkey\""})
      if (json.substr(at).starts_with(name)) {
        const size_t colon = json.find(':', at + name.size());
        const size_t open = colon == std::string_view::npos ? colon : json.find_first_not_of(" \t", colon + 1);
        if (open == std::string_view::npos || json[open] != '"') continue;
        size_t close = open + 1;
        while (close < json.size() && json[close] != '"') close += json[close] == '\\' ? 2 : 1;
        const std::string_view head = json.substr(at, open + 1 - at);
        n += head.copy(out + n, head.size());
        at = std::min(close, json.size());
        secret = true;
        break;
      }
    if (!secret) out[n++] = json[at++];
  }
  return {out, n};
}

constexpr uint64_t kPingKey = 1, kCallKey = 2;

}  // namespace

const item::Protocol Nats::kProtocol = {
    .name = "nats",
    .version = "1",
    .abbreviation = "NATS",
    .long_name = "NATS Client Protocol",
    .macro = "nats",
    .reference = "https://docs.nats.io/reference/reference-protocols/nats-protocol",
    .background = "#27aae1",
    .foreground = "#ffffff",
    .priority = 9,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Nats::begins(Direction d, Bytes b) {
  const std::string_view t = as_text(b);
  // Before the line's end is looked for, its first word must be one: resync() asks for every byte.
  if (!may_begin_line(t, d)) return Probe::kNo;
  const size_t end = t.substr(0, 4096).find('\n');
  if (end == std::string_view::npos) {
    if (t.size() >= 4096) return t.starts_with("INFO {\"") && d == Direction::kToClient ? Probe::kYes : Probe::kNo;
    return Probe::kUnsure;
  }
  const Line l = read_line(t.substr(0, end + 1));
  if (l.verb == nullptr || !l.ok || !(d == Direction::kToServer ? l.verb->to_server : l.verb->to_client))
    return Probe::kNo;
  if (end == 0 || t[end - 1] != '\r') return Probe::kNo;
  switch (l.verb->op) {
    case Op::kInfo:
      return l.rest.starts_with("{\"") && l.rest.ends_with('}') &&
                     l.rest.find("\"server_id\"") != std::string_view::npos
                 ? Probe::kYes
                 : Probe::kNo;
    case Op::kConnect: return l.rest.starts_with('{') && l.rest.ends_with('}') ? Probe::kYes : Probe::kNo;
    case Op::kErr: return l.rest.starts_with('\'') && l.rest.ends_with('\'') ? Probe::kYes : Probe::kNo;
    case Op::kPub:
    case Op::kMsg:
    case Op::kHpub:
    case Op::kHmsg: return Probe::kYes;
    case Op::kSub: return l.count >= 2 && number_of(l.words[l.count - 1]) ? Probe::kYes : Probe::kNo;
    default: return Probe::kNo;  // too short to tell: PING is Redis's as well
  }
}

Probe Nats::probe(const Input& in) {
  if (in.bytes.empty()) return Probe::kUnsure;
  return begins(in.direction, in.bytes);
}

Measure Nats::measure(Direction d, Bytes b) {
  const Measure end = lines_.line(d, b, kMaxLine);
  if (end.kind != Measure::Kind::kFrame) return end;
  const auto line = static_cast<size_t>(end.bytes);
  const Line l = read_line(as_text(b.first(line)));
  if (l.verb == nullptr || !l.ok) return Measure::bad();
  return Measure::frame(line + (l.has_payload() ? l.total + 2 : 0));
}

item::Item* Nats::take_ping(bool by_client) {
  const auto wanted = [&](const Item* i) { return i->match_key == (kPingKey | uint64_t{by_client} << 8); };
  if (waiting_.empty()) return nullptr;
  return wanted(waiting_.front()) ? waiting_.pop() : waiting_.take_after_front(wanted);
}

item::Item* Nats::take_call(std::string_view subject) {
  const auto wanted = [&](const Item* i) {
    return i->match_key == kCallKey && i->request.payload["replyTo"].text() == subject;
  };
  if (waiting_.empty()) return nullptr;
  return wanted(waiting_.front()) ? waiting_.pop() : waiting_.take_after_front(wanted);
}

Step Nats::message(const Frame& frame, Output& out) {
  const size_t end = as_text(frame.bytes).find('\n');
  if (end == std::string_view::npos) return Step::lost();
  const Line seen = read_line(as_text(frame.bytes).substr(0, end + 1));
  if (seen.verb == nullptr) return Step::lost();
  const Op op = seen.verb->op;
  Item* item = nullptr;
  if (op == Op::kPong) {
    item = take_ping(!frame.to_server());
    if (item == nullptr) item = begin_orphan(kProtocol, out);
  } else if (op == Op::kMsg || op == Op::kHmsg) {
    item = take_call(seen.words[0]);
  }
  const bool answers = item != nullptr;
  if (item == nullptr) item = out.begin(kProtocol);
  Arena& arena = item->arena;
  const std::string_view text = arena.copy(as_text(frame.bytes));
  const Line l = seen.in(text, as_text(frame.bytes));
  MapOf map(arena);
  map.add("method", l.verb->text);
  std::string_view status = "OK", summary = l.count > 0 ? l.words[0] : l.rest;
  switch (op) {
    case Op::kPub:
    case Op::kHpub:
      map.add("subject", text_or_bytes(l.words[0]));
      if (l.count > 1) map.add("replyTo", text_or_bytes(l.words[1]));
      break;
    case Op::kMsg:
    case Op::kHmsg:
      map.add("subject", text_or_bytes(l.words[0]));
      map.add("sid", text_or_bytes(l.words[1]));
      if (l.count > 2) map.add("replyTo", text_or_bytes(l.words[2]));
      break;
    case Op::kSub:
      map.add("subject", text_or_bytes(l.words[0]));
      if (l.count > 2) map.add("queueGroup", text_or_bytes(l.words[1]));
      map.add("sid", text_or_bytes(l.count > 0 ? l.words[l.count - 1] : std::string_view()));
      break;
    case Op::kUnsub:
      map.add("sid", text_or_bytes(l.words[0]));
      if (l.count > 1) map.add("maxMessages", text_or_bytes(l.words[1]));
      break;
    case Op::kInfo:
      map.add("options", text_or_bytes(l.rest));
      summary = "";
      break;
    case Op::kConnect:
      map.add("options", text_or_bytes(without_secrets(l.rest, arena)));
      map.add("credentials", text_or_bytes(l.rest));
      summary = "";
      break;
    case Op::kErr: map.add("error", text_or_bytes(l.rest)); break;
    default: break;
  }
  if (l.has_payload()) {
    std::string_view body = text.substr(end + 1);
    if (!frame.cut) body.remove_suffix(2);
    if (l.has_headers()) {
      std::string_view said;
      map.add("headers", read_headers(body.substr(0, l.header_size), said, arena));
      if (!said.empty()) status = said;
      body.remove_prefix(std::min<size_t>(l.header_size, body.size()));
    }
    map.add("payload", text_or_bytes(body, frame.cut));
    map.add("payloadSize", l.total - l.header_size);
    if (frame.cut) {
      map.add("truncated", true);
      out.count(Counter::kBodyCapped);
    }
  }
  if (answers) {
    map.add("status", text_or_bytes(status));
    set(item->response, map.build(), frame);
    out.finish(item);
    return Step::took(frame.size);
  }
  map.add("summary", text_or_bytes(summary));
  set(item->request, map.build(), frame);
  if (op == Op::kPing || ((op == Op::kPub || op == Op::kHpub) && l.count > 1)) {
    waiting_.push(item, out);
    item->match_key = op == Op::kPing ? kPingKey | uint64_t{frame.to_server()} << 8 : kCallKey;
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::nats
