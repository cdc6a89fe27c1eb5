#include "dissect/radius/radius.h"

#include "dissect/radius/attributes.h"

namespace baleen::dissect::radius {

using item::Field;
using item::Item;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {1812, 1813, 3799, 1645, 1646};
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
    {"request.secrets", "", kList, "Attributes that hold passwords, as they were sent.", true},
    {"request.eap", "", kMap, "The EAP packet: code, id, length, type, identity."},
    {"response.code", "", kInt, "Code: 2 Access-Accept, 3 Access-Reject, 11 Access-Challenge, 5 Accounting-Response."},
    {"response.codeName", "", kString, "Name of the code."},
    {"response.replyMessage", "", kString, "Reply-Message."},
    {"response.framedIpAddress", "", kString, "The address that the user is given."},
    {"response.attributes", "", kList, "All attributes."},
    {"response.secrets", "", kList, "Attributes that hold passwords.", true},
    {"response.eap", "", kMap, "The EAP packet."},
};

constexpr size_t kHead = 20, kMost = 4096;

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
  if (b.size() < kHead || code_name(b[0]).empty()) return Probe::kNo;
  const size_t size = load_be16(&b[2]);
  if (size < kHead || size > kMost || size != b.size()) return Probe::kNo;
  if (is_request(b[0]) != (in.direction == Direction::kToServer)) return Probe::kNo;
  return are_attributes(b.subspan(kHead)) ? Probe::kYes : Probe::kNo;
}

Probe Radius::begins(Direction direction, Bytes bytes) { return probe({direction, bytes, {}, true}); }

Measure Radius::measure(Direction, Bytes b) const {
  if (b.size() < kHead) return Measure::need(kHead);
  const size_t size = load_be16(&b[2]);
  return size < kHead || size > kMost || code_name(b[0]).empty() ? Measure::bad() : Measure::frame(size);
}

Step Radius::message(const Frame& frame, Output& out) {
  const uint8_t code = frame.bytes[0], id = frame.bytes[1];
  const bool asks = is_request(code);
  Item* item = asks ? nullptr : waiting_.take(id);
  if (item == nullptr) item = asks ? out.begin(kProtocol) : begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  MapOf map(arena);
  map.add("code", static_cast<int64_t>(code));
  map.add("codeName", code_name(code));
  map.add("id", static_cast<int64_t>(id));
  map.add("authenticator", hex(b.subspan(4, 16), arena));
  describe_attributes(b.subspan(kHead), map, arena);
  if (asks) {
    item::Value summary = "";
    for (const std::string_view name : {"nasIpAddress", "nasIdentifier", "acctSessionId", "userName"})
      for (const item::Member& m : map.kept())
        if (m.name == name) summary = m.value;
    map.add("summary", summary);
  }
  set(asks ? item->request : item->response, map.build(), frame);
  if (frame.cut || !are_attributes(b.subspan(kHead))) mark_malformed(item, "malformed attributes", out);
  if (asks) {
    waiting_.push(id, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::radius
