#include "dissect/diameter/diameter.h"

#include "dissect/diameter/avps.h"
#include "dissect/diameter/dictionary.h"

namespace baleen::dissect::diameter {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {3868};
constexpr Field kFields[] = {
    {"request.method", "diameter_method", kString,
     "The command: Capabilities-Exchange-Request, Credit-Control-Request."},
    {"request.summary", "diameter_summary", kString, "The session, else the host that asks."},
    {"request", "diameter_request", kBool, "Whether there is a request."},
    {"response", "diameter_response", kBool, "Whether there is an answer."},
    {"requestSize", "diameter_request_length", kInt, "Bytes of the request."},
    {"responseSize", "diameter_response_length", kInt, "Bytes of the answer."},
    {"size", "diameter_total_size", kInt, "Bytes of request and answer."},
    {"request.commandCode", "", kInt, "Number of the command."},
    {"request.applicationId", "", kInt, "Number of the application."},
    {"request.application", "", kString, "Name of the application: Credit Control, 3GPP S6a/S6d."},
    {"request.hopByHopId", "", kString, "Identifier that the answer repeats, in hexadecimal."},
    {"request.endToEndId", "", kString, "Identifier for finding duplicates, in hexadecimal."},
    {"request.sessionId", "", kString, "Session-Id."},
    {"request.originHost", "", kString, "Origin-Host."},
    {"request.originRealm", "", kString, "Origin-Realm."},
    {"request.destinationHost", "", kString, "Destination-Host."},
    {"request.destinationRealm", "", kString, "Destination-Realm."},
    {"request.userName", "", kString, "User-Name."},
    {"request.ccRequestType", "", kString, "INITIAL_REQUEST, UPDATE_REQUEST, TERMINATION_REQUEST, EVENT_REQUEST."},
    {"request.accountingRecordType", "", kString, "EVENT_RECORD, START_RECORD, INTERIM_RECORD, STOP_RECORD."},
    {"request.proxiable", "", kBool, "The message may be proxied or redirected."},
    {"request.retransmitted", "", kBool, "It may have been sent before, over a connection that failed."},
    {"request.avps", "", kList,
     "All AVPs: code, vendorId, name and value; grouped ones are lists, enumerated ones words."},
    {"response.method", "", kString, "The command: Capabilities-Exchange-Answer."},
    {"response.resultCode", "", kInt, "Result-Code, or Experimental-Result-Code."},
    {"response.status", "", kString, "Its name: DIAMETER_SUCCESS."},
    {"response.error", "", kBool, "The error bit: a protocol error."},
    {"response.errorMessage", "", kString, "Error-Message."},
    {"response.avps", "", kList, "All AVPs of the answer."},
    {"request.secrets", "", kList, "Passwords, keys and challenges of authentication.", true},
    {"response.secrets", "", kList, "Passwords, keys and challenges of authentication.", true},
};

constexpr size_t kHead = 20;
constexpr uint32_t kMost = 1 << 20;

}  // namespace

const item::Protocol Diameter::kProtocol = {
    .name = "diameter",
    .version = "1",
    .abbreviation = "DIAMETER",
    .long_name = "Diameter Base Protocol",
    .macro = "diameter",
    .reference = "https://datatracker.ietf.org/doc/html/rfc6733",
    .background = "#4b2a7a",
    .foreground = "#ffffff",
    .font_size = 10,
    .priority = 8,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.method",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Diameter::probe(const Input& in) { return begins(in.direction, in.bytes); }

Probe Diameter::begins(Direction, Bytes b) {
  if (b.empty()) return Probe::kUnsure;
  if (b[0] != 1) return Probe::kNo;
  if (b.size() < kHead) {
    if (b.size() >= 2 && b[1] > 0x10) return Probe::kNo;
    if (b.size() >= 5 && (b[4] & 0x0F) != 0) return Probe::kNo;
    return Probe::kUnsure;
  }
  const uint32_t size = load_be32(b.data()) & 0xFFFFFF, command = load_be32(&b[4]) & 0xFFFFFF;
  // RFC 6733 3: reserved flags are zero, a request is no error, lengths are multiples of four.
  if (size < kHead || size > kMost || size % 4 != 0 || (b[4] & 0x0F) != 0 || (b[4] & 0xA0) == 0xA0 || command < 256)
    return Probe::kNo;
  if (size == kHead) return command_name(command).empty() ? Probe::kNo : Probe::kYes;
  if (b.size() < kHead + 8) return Probe::kUnsure;
  const uint32_t avp = load_be32(&b[kHead + 4]) & 0xFFFFFF;
  return avp >= 8 && avp + kHead <= size && (b[kHead + 4] & 0x1F) == 0 ? Probe::kYes : Probe::kNo;
}

Measure Diameter::measure(Direction, Bytes b) const {
  if (b[0] != 1) return Measure::bad();
  if (b.size() < 4) return Measure::need(4);
  const uint32_t size = load_be32(b.data()) & 0xFFFFFF;
  return size < kHead || size % 4 != 0 ? Measure::bad() : Measure::frame(size);
}

Step Diameter::message(const Frame& frame, Output& out) {
  if (frame.bytes.size() < kHead) return Step::lost();
  const uint8_t flags = frame.bytes[4];
  const bool asks = (flags & 0x80) != 0;
  const uint32_t command = load_be32(&frame.bytes[4]) & 0xFFFFFF, application = load_be32(&frame.bytes[8]);
  // Both sides ask: an answer goes against the direction of its request.
  const uint64_t key = uint64_t{asks == frame.to_server()} << 32 | load_be32(&frame.bytes[12]);
  Item* item = asks ? nullptr : waiting_.take(key);
  if (item == nullptr) item = asks ? out.begin(kProtocol) : begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  MapOf map(arena);
  const std::string_view name = command_name(command);
  map.add("method", join({name.empty() ? decimal(command, arena) : name, asks ? "-Request" : "-Answer"}, arena));
  map.add("commandCode", static_cast<int64_t>(command));
  map.add("applicationId", static_cast<int64_t>(application));
  map.add_text("application", application_name(application));
  map.add("hopByHopId", hex(b.subspan(12, 4), arena));
  map.add("endToEndId", hex(b.subspan(16, 4), arena));
  if ((flags & 0x40) != 0) map.add("proxiable", true);
  if ((flags & 0x20) != 0) map.add("error", true);
  if ((flags & 0x10) != 0) map.add("retransmitted", true);
  const size_t first = map.size();
  describe_avps(b.subspan(kHead), !asks, map, arena);
  if (asks) {
    Value session, origin;
    for (const item::Member& m : map.kept().subspan(first)) {
      if (m.name == "sessionId") session = m.value;
      if (m.name == "originHost") origin = m.value;
    }
    map.add("summary", session.is_null() ? origin : session);
    // RFC 6733 3: an identifier is not used again while an answer may still come.
    while (Item* const old = waiting_.take(key)) InOrderMatcher::finish_without_answer(old, out);
  }
  if (frame.cut) map.add("truncated", true);
  set(asks ? item->request : item->response, map.build(), frame);
  if (frame.cut || !are_avps(b.subspan(kHead))) mark_malformed(item, "malformed AVPs", out);
  if (asks) {
    waiting_.push(key, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::diameter
