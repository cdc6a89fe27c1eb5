#include "dissect/radius/radius.h"

#include "dissect/radius/attributes.h"
#include "dissect/radius/dictionary.h"

namespace baleen::dissect::radius {

using item::Field;
using item::Item;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {1812, 1813, 3799, 1645, 1646, 2083};
constexpr Field kFields[] = {
    {"request.code", "radius_code", kInt,
     "Code: 1 Access-Request, 4 Accounting-Request, 40 Disconnect-Request, 43 CoA-Request."},
    {"request.codeName", "radius_code_name", kString, "Name of the code."},
    {"request.authenticator", "radius_request_authenticator", kString, "Request authenticator in hexadecimal."},
    {"request", "radius_request", kBool, "Whether there is a request."},
    {"response", "radius_response", kBool, "Whether there is a response."},
    {"requestSize", "radius_request_length", kInt, "Bytes of the request."},
    {"responseSize", "radius_response_length", kInt, "Bytes of the response."},
    {"size", "radius_total_size", kInt, "Bytes of request and response."},
    {"request.id", "", kInt, "Identifier that the response repeats."},
    {"request.summary", "", kString, "The user, else the accounting session or the NAS."},
    {"request.userName", "", kString, "User-Name."},
    {"request.nasIpAddress", "", kString, "NAS-IP-Address."},
    {"request.nasIdentifier", "", kString, "NAS-Identifier."},
    {"request.callingStationId", "", kString, "Calling-Station-Id."},
    {"request.calledStationId", "", kString, "Called-Station-Id."},
    {"request.acctStatusType", "", kString, "Start, Stop, Interim-Update."},
    {"request.acctSessionId", "", kString, "Acct-Session-Id."},
    {"request.attributes", "", kList, "All attributes: type, name and value; of Vendor-Specific the vendor's own."},
    {"request.secrets", "", kList, "Attributes that hold passwords and keys, as they were sent.", true},
    {"request.retransmission", "", kBool, "The same request was sent before and not answered yet."},
    {"request.eap", "", kMap,
     "The EAP packet: code, id, length, type, identity; of a Nak the methods wanted, of TLS methods start, "
     "moreFragments and tlsLength."},
    {"response.code", "", kInt, "Code: 2 Access-Accept, 3 Access-Reject, 11 Access-Challenge, 5 Accounting-Response."},
    {"response.codeName", "", kString, "Name of the code."},
    {"response.replyMessage", "", kString, "Reply-Message."},
    {"response.framedIpAddress", "", kString, "The address that the user is given."},
    {"response.errorCause", "", kString, "Why a change of authorization was refused."},
    {"response.attributes", "", kList, "All attributes."},
    {"response.secrets", "", kList, "Attributes that hold passwords and keys.", true},
    {"response.eap", "", kMap, "The EAP packet."},
};

constexpr size_t kHead = 20, kMost = 4096;

/// Codes of one kind share the identifiers: access, accounting, status, disconnect, change of authorization.
enum Group : uint64_t { kAccess, kAccounting, kStatus, kDisconnect, kChange };
Group group_of(uint8_t code) {
  switch (code) {
    case 4:
    case 5: return kAccounting;
    case 12:
    case 13: return kStatus;
    case 40:
    case 41:
    case 42: return kDisconnect;
    case 43:
    case 44:
    case 45: return kChange;
    default: return kAccess;
  }
}

/// Both ends may ask (RFC 5176 3, proxies).
uint64_t key_of(Group group, uint8_t id, Direction asker) {
  return static_cast<uint64_t>(asker) << 16 | group << 8 | id;
}

/// RFC 1006 6 puts the same version, zero and length in front of ISO's transport as an Access-Reject has; then comes
/// the header's length, and one of CR, CC, DR, ER, DT (X.224 13).
bool is_tpkt(Bytes b) {
  if (b[0] != 3 || b[1] != 0 || b[4] + 5u > load_be16(&b[2])) return false;
  switch (b[5]) {
    case 0xE0:
    case 0xD0:
    case 0x80: return b[4] >= 6;
    case 0x70: return b[4] >= 4;
    case 0xF0: return b[4] == 2;
    default: return false;
  }
}

}  // namespace

const item::Protocol Radius::kProtocol = {
    .name = "radius",
    .version = "1",
    .abbreviation = "RADIUS",
    .long_name = "Remote Authentication Dial In User Service",
    .macro = "radius",
    .reference = "https://datatracker.ietf.org/doc/html/rfc2865",
    .background = "#7a4b2a",
    .foreground = "#ffffff",
    .priority = 7,
    .layer4 = "udp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.codeName",
    .summary_path = "request.summary",
    .status_path = "response.codeName",
};

Probe Radius::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (!in.datagram) return begins(in.direction, b);
  if (b.size() < kHead || code_name(b[0]).empty()) return Probe::kNo;
  const size_t size = load_be16(&b[2]);
  // RFC 2865 3: octets behind the length are padding.
  if (size < kHead || size > kMost || size > b.size() + in.missing || b.size() > size + kHead) return Probe::kNo;
  if (is_request(b[0]) != (in.direction == Direction::kToServer)) return Probe::kNo;
  const Bytes attributes = b.first(std::min(size, b.size())).subspan(kHead);
  if (!are_plausible(attributes, false)) return Probe::kNo;
  if (size > b.size()) {  // cut by the snap length, perhaps within an attribute, which must fit
    const size_t end = attributes_end(attributes);
    const bool fits = end + 2 > attributes.size() && kHead + end <= size;
    return fits && !attributes.empty() && find_attribute(attributes[0]) != nullptr ? Probe::kYes : Probe::kNo;
  }
  return are_attributes(attributes) ? Probe::kYes : Probe::kNo;
}

/// Of a stream (RFC 6613): a whole packet with attributes, for a head alone could be anything's.
Probe Radius::begins(Direction direction, Bytes b) {
  if (b.empty()) return Probe::kUnsure;
  if (code_name(b[0]).empty() || is_request(b[0]) != (direction == Direction::kToServer)) return Probe::kNo;
  if (b.size() < 4) return Probe::kUnsure;
  const size_t size = load_be16(&b[2]);
  if (size <= kHead || size > kMost) return Probe::kNo;
  if (b.size() <= kHead) return Probe::kUnsure;
  if (is_tpkt(b)) return Probe::kNo;
  const Bytes attributes = b.subspan(kHead).first(std::min(b.size(), size) - kHead);
  const size_t end = attributes_end(attributes) + kHead;
  if (end > size) return Probe::kNo;
  const bool stuck = end + 2 <= std::min(b.size(), size);  // an attribute of no length
  if (stuck || !are_plausible(attributes, true) || (b.size() >= size && end != size)) return Probe::kNo;
  return b.size() >= size ? Probe::kYes : Probe::kUnsure;
}

Measure Radius::measure(Direction, Bytes b) const {
  if (b.size() < kHead) return Measure::need(kHead);
  const size_t size = load_be16(&b[2]);
  return size < kHead || size > kMost || code_name(b[0]).empty() ? Measure::bad() : Measure::frame(size);
}

Step Radius::message(const Frame& frame, Output& out) {
  const uint8_t code = frame.bytes[0], id = frame.bytes[1];
  const bool asks = is_request(code);
  const uint64_t key = key_of(group_of(code), id, asks ? frame.direction : opposite(frame.direction));
  Item* item = asks ? nullptr : waiting_.take(key);
  // RFC 5997 3: what a Status-Server asks for is answered as Access-Request or Accounting-Request are.
  if (!asks && item == nullptr) item = waiting_.take(key_of(kStatus, id, opposite(frame.direction)));
  bool early = false;
  if (asks) {
    for (const Group group : {group_of(code), kAccess, kAccounting})
      if (item == nullptr && (group == group_of(code) || group_of(code) == kStatus))
        item = waiting_.early.take(key_of(group, id, frame.direction), frame.time, out);
    early = item != nullptr;
    if (!early) item = out.begin(kProtocol);
  } else if (item == nullptr) {
    item = begin_unasked(kProtocol, waiting_.early, key, frame, early, out);
  }
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  MapOf map(arena);
  map.add("code", static_cast<int64_t>(code));
  map.add("codeName", code_name(code));
  map.add("id", static_cast<int64_t>(id));
  const std::string_view authenticator = hex(b.subspan(4, 16), arena);
  map.add("authenticator", authenticator);
  describe_attributes(b.subspan(kHead), map, arena);
  if (asks) {
    item::Value summary = "";
    for (const std::string_view name : {"nasIpAddress", "nasIdentifier", "acctSessionId", "userName"})
      for (const item::Member& m : map.kept())
        if (m.name == name) summary = m.value;
    map.add("summary", summary);
    // RFC 2865 2.5, 5080 2.2.1: the same identifier with another authenticator is another request, and nobody waits
    // for the answer to the old one.
    for (const Item* old = waiting_.find(key); old != nullptr; old = waiting_.find(key)) {
      if (old->request.payload["authenticator"].text() == authenticator) {
        map.add("retransmission", true);
        break;
      }
      InOrderMatcher::finish_without_answer(waiting_.take(key), out);
    }
  }
  if (frame.cut) map.add("truncated", true);
  set(asks ? item->request : item->response, map.build(), frame);
  const bool captured = !frame.cut || frame.missing == 0;
  if (captured && (frame.cut || !are_attributes(b.subspan(kHead)))) mark_malformed(item, "malformed attributes", out);
  if (early && !asks) {
    waiting_.early.keep(key, item, out);
  } else if (asks && !early) {
    waiting_.push(key, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::radius
