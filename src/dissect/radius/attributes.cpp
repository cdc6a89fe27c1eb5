// The dictionary: RFC 2865, 2866, 2867, 2868, 2869, 3162, 3576, 3579, 4372, 4675, 5176, 5580, 6911; vendors by their
// own.

#include "dissect/radius/attributes.h"

namespace baleen::dissect::radius {

using item::Value;

namespace {

/// How an attribute's value is written.
enum class Kind : uint8_t {
  kText,
  kNumber,
  kAddress,
  kBytes,
  kTime,
  kVendor,
  kEap,
  kSecret,
  kTaggedText,
  kTaggedNumber
};

struct Attribute {
  uint8_t type;
  std::string_view name;
  Kind kind;
};

using enum Kind;
constexpr Attribute kAttributes[] = {
    {1, "User-Name", kText},
    {2, "User-Password", kSecret},
    {3, "CHAP-Password", kSecret},
    {4, "NAS-IP-Address", kAddress},
    {5, "NAS-Port", kNumber},
    {6, "Service-Type", kNumber},
    {7, "Framed-Protocol", kNumber},
    {8, "Framed-IP-Address", kAddress},
    {9, "Framed-IP-Netmask", kAddress},
    {10, "Framed-Routing", kNumber},
    {11, "Filter-Id", kText},
    {12, "Framed-MTU", kNumber},
    {13, "Framed-Compression", kNumber},
    {14, "Login-IP-Host", kAddress},
    {15, "Login-Service", kNumber},
    {16, "Login-TCP-Port", kNumber},
    {18, "Reply-Message", kText},
    {19, "Callback-Number", kText},
    {20, "Callback-Id", kText},
    {22, "Framed-Route", kText},
    {23, "Framed-IPX-Network", kNumber},
    {24, "State", kBytes},
    {25, "Class", kBytes},
    {26, "Vendor-Specific", kVendor},
    {27, "Session-Timeout", kNumber},
    {28, "Idle-Timeout", kNumber},
    {29, "Termination-Action", kNumber},
    {30, "Called-Station-Id", kText},
    {31, "Calling-Station-Id", kText},
    {32, "NAS-Identifier", kText},
    {33, "Proxy-State", kBytes},
    {34, "Login-LAT-Service", kText},
    {35, "Login-LAT-Node", kText},
    {36, "Login-LAT-Group", kBytes},
    {40, "Acct-Status-Type", kNumber},
    {41, "Acct-Delay-Time", kNumber},
    {42, "Acct-Input-Octets", kNumber},
    {43, "Acct-Output-Octets", kNumber},
    {44, "Acct-Session-Id", kText},
    {45, "Acct-Authentic", kNumber},
    {46, "Acct-Session-Time", kNumber},
    {47, "Acct-Input-Packets", kNumber},
    {48, "Acct-Output-Packets", kNumber},
    {49, "Acct-Terminate-Cause", kNumber},
    {50, "Acct-Multi-Session-Id", kText},
    {51, "Acct-Link-Count", kNumber},
    {52, "Acct-Input-Gigawords", kNumber},
    {53, "Acct-Output-Gigawords", kNumber},
    {55, "Event-Timestamp", kTime},
    {60, "CHAP-Challenge", kBytes},
    {61, "NAS-Port-Type", kNumber},
    {62, "Port-Limit", kNumber},
    {63, "Login-LAT-Port", kText},
    {64, "Tunnel-Type", kTaggedNumber},
    {65, "Tunnel-Medium-Type", kTaggedNumber},
    {66, "Tunnel-Client-Endpoint", kTaggedText},
    {67, "Tunnel-Server-Endpoint", kTaggedText},
    {68, "Acct-Tunnel-Connection", kText},
    {69, "Tunnel-Password", kSecret},
    {70, "ARAP-Password", kSecret},
    {71, "ARAP-Features", kBytes},
    {72, "ARAP-Zone-Access", kNumber},
    {75, "Password-Retry", kNumber},
    {76, "Prompt", kNumber},
    {77, "Connect-Info", kText},
    {78, "Configuration-Token", kText},
    {79, "EAP-Message", kEap},
    {80, "Message-Authenticator", kBytes},
    {81, "Tunnel-Private-Group-ID", kTaggedText},
    {82, "Tunnel-Assignment-ID", kTaggedText},
    {83, "Tunnel-Preference", kTaggedNumber},
    {84, "ARAP-Challenge-Response", kBytes},
    {85, "Acct-Interim-Interval", kNumber},
    {86, "Acct-Tunnel-Packets-Lost", kNumber},
    {87, "NAS-Port-Id", kText},
    {88, "Framed-Pool", kText},
    {89, "Chargeable-User-Identity", kText},
    {90, "Tunnel-Client-Auth-ID", kTaggedText},
    {91, "Tunnel-Server-Auth-ID", kTaggedText},
    {95, "NAS-IPv6-Address", kAddress},
    {96, "Framed-Interface-Id", kBytes},
    {97, "Framed-IPv6-Prefix", kBytes},
    {98, "Login-IPv6-Host", kAddress},
    {99, "Framed-IPv6-Route", kText},
    {100, "Framed-IPv6-Pool", kText},
    {101, "Error-Cause", kNumber},
    {102, "EAP-Key-Name", kBytes},
    {123, "Delegated-IPv6-Prefix", kBytes},
    {126, "Operator-Name", kText},
    {168, "Framed-IPv6-Address", kAddress},
};

struct Word {
  uint8_t type;
  uint32_t number;
  std::string_view name;
};
constexpr Word kWords[] = {
    {6, 1, "Login"},
    {6, 2, "Framed"},
    {6, 3, "Callback-Login"},
    {6, 5, "Outbound"},
    {6, 6, "Administrative"},
    {6, 7, "NAS-Prompt"},
    {6, 8, "Authenticate-Only"},
    {6, 10, "Call-Check"},
    {6, 17, "Authorize-Only"},
    {7, 1, "PPP"},
    {7, 2, "SLIP"},
    {40, 1, "Start"},
    {40, 2, "Stop"},
    {40, 3, "Interim-Update"},
    {40, 7, "Accounting-On"},
    {40, 8, "Accounting-Off"},
    {45, 1, "RADIUS"},
    {45, 2, "Local"},
    {45, 3, "Remote"},
    {49, 1, "User-Request"},
    {49, 2, "Lost-Carrier"},
    {49, 4, "Idle-Timeout"},
    {49, 5, "Session-Timeout"},
    {49, 6, "Admin-Reset"},
    {61, 0, "Async"},
    {61, 5, "Virtual"},
    {61, 15, "Ethernet"},
    {61, 19, "Wireless-802.11"},
    {64, 13, "VLAN"},
    {65, 6, "IEEE-802"},
    {101, 201, "Residual-Context-Removed"},
    {101, 401, "Unsupported-Attribute"},
    {101, 402, "Missing-Attribute"},
    {101, 403, "NAS-Identification-Mismatch"},
    {101, 404, "Invalid-Request"},
    {101, 405, "Unsupported-Service"},
    {101, 501, "Administratively-Prohibited"},
    {101, 503, "Session-Context-Not-Found"},
    {101, 506, "Resources-Unavailable"},
};

constexpr Name kCodes[] = {
    {1, "Access-Request"},
    {2, "Access-Accept"},
    {3, "Access-Reject"},
    {4, "Accounting-Request"},
    {5, "Accounting-Response"},
    {11, "Access-Challenge"},
    {12, "Status-Server"},
    {13, "Status-Client"},
    {40, "Disconnect-Request"},
    {41, "Disconnect-ACK"},
    {42, "Disconnect-NAK"},
    {43, "CoA-Request"},
    {44, "CoA-ACK"},
    {45, "CoA-NAK"},
};

constexpr Name kVendors[] = {
    {9, "Cisco"},        {311, "Microsoft"},    {529, "Ascend"},     {2352, "Redback"},    {2636, "Juniper"},
    {3076, "Altiga"},    {3561, "ADSL-Forum"},  {4874, "Unisphere"}, {6527, "Alcatel"},    {8164, "Starent"},
    {10415, "3GPP"},     {11344, "FreeRADIUS"}, {14122, "WISPr"},    {14179, "Airespace"}, {14823, "Aruba"},
    {14988, "Mikrotik"}, {25506, "H3C"},
};

constexpr Name kEapCodes[] = {{1, "Request"}, {2, "Response"}, {3, "Success"}, {4, "Failure"}};
constexpr Name kEapTypes[] = {{1, "Identity"}, {2, "Notification"}, {3, "Nak"},   {4, "MD5-Challenge"},
                              {5, "OTP"},      {6, "GTC"},          {13, "TLS"},  {18, "SIM"},
                              {21, "TTLS"},    {23, "AKA"},         {25, "PEAP"}, {26, "MSCHAPv2"},
                              {43, "FAST"},    {50, "AKA'"},        {52, "PWD"},  {55, "TEAP"}};

const Attribute* find(uint8_t type) {
  for (const Attribute& a : kAttributes)
    if (a.type == type) return &a;
  return nullptr;
}

Value number_value(uint8_t type, uint32_t n) {
  for (const Word& w : kWords)
    if (w.type == type && w.number == n) return Value(w.name);
  return Value(static_cast<int64_t>(n));
}

Value vendor_value(Bytes content, Arena& arena) {
  ByteReader r(content);
  const uint32_t vendor = r.be32();
  MapOf map(arena);
  map.add("vendorId", static_cast<int64_t>(vendor));
  map.add_text("vendor", name_in(kVendors, vendor));
  ListOf list(arena);
  // Most vendors nest attributes of the same shape (RFC 2865 5.26); what does not fit is shown whole.
  if (are_attributes(r.ok() ? content.subspan(4) : Bytes())) {
    while (!r.at_end()) {
      const uint8_t type = r.u8();
      const uint8_t size = r.u8();
      const Bytes value = r.bytes(size < 2 ? 0 : size - 2u);
      if (!r.ok()) break;
      MapOf one(arena);
      one.add("type", static_cast<int64_t>(type));
      one.add("value", value.size() == 4 && !is_printable(as_text(value))
                           ? Value(static_cast<int64_t>(load_be32(value.data())))
                           : text_or_bytes(as_text(value)));
      list.push(one.build());
    }
    map.add("attributes", list.build());
  } else {
    map.add("data", Value::bytes(r.rest()));
  }
  return map.build();
}

/// RFC 3748 4, of all EAP-Message attributes together.
Value eap_value(Bytes packet, Arena& arena) {
  ByteReader r(packet);
  const uint8_t code = r.u8(), id = r.u8();
  const uint16_t length = r.be16();
  MapOf map(arena);
  map.add("code", name_in(kEapCodes, code));
  map.add("id", static_cast<int64_t>(id));
  map.add("length", static_cast<int64_t>(length));
  if (!r.at_end()) {
    const uint8_t type = r.u8();
    const std::string_view name = name_in(kEapTypes, type);
    map.add("type", name.empty() ? Value(static_cast<int64_t>(type)) : Value(name));
    if (type == 1 || type == 2) map.add("identity", text_or_bytes(as_text(r.rest())));
  }
  return map.build();
}

Value attribute_value(const Attribute* a, uint8_t type, Bytes content, Arena& arena) {
  switch (a == nullptr ? kBytes : a->kind) {
    case kText: return text_or_bytes(as_text(content));
    case kNumber: return content.size() == 4 ? number_value(type, load_be32(content.data())) : Value::bytes(content);
    case kTime:
      return content.size() == 4 ? Value(static_cast<int64_t>(load_be32(content.data()))) : Value::bytes(content);
    case kAddress: return Value(address_text(content, arena));
    case kVendor: return vendor_value(content, arena);
    case kTaggedText: {
      const size_t tag = !content.empty() && content[0] <= 0x1F ? 1 : 0;
      return text_or_bytes(as_text(content.subspan(tag)));
    }
    case kTaggedNumber:
      return content.size() == 4 ? number_value(type, load_be32(content.data()) & 0xFFFFFF) : Value::bytes(content);
    default: return Value::bytes(content);
  }
}

}  // namespace

std::string_view code_name(uint8_t code) { return name_in(kCodes, code); }
bool is_request(uint8_t code) { return code == 1 || code == 4 || code == 12 || code == 40 || code == 43; }

bool are_attributes(Bytes b) {
  size_t at = 0;
  while (at + 2 <= b.size() && b[at + 1] >= 2) at += b[at + 1];
  return at == b.size();
}

void describe_attributes(Bytes attributes, MapOf& out, Arena& arena) {
  ListOf list(arena), secrets(arena);
  size_t eap_size = 0;
  auto* const eap = static_cast<uint8_t*>(arena.allocate(attributes.size() + 1, 1));
  for (ByteReader r(attributes); !r.at_end();) {
    const uint8_t type = r.u8(), size = r.u8();
    const Bytes content = r.bytes(size < 2 ? 0 : size - 2u);
    if (!r.ok() || size < 2) break;
    const Attribute* const a = find(type);
    if (a != nullptr && a->kind == kEap) {
      std::copy(content.begin(), content.end(), eap + eap_size);
      eap_size += content.size();
      continue;
    }
    MapOf one(arena);
    one.add("type", static_cast<int64_t>(type));
    one.add_text("name", a == nullptr ? std::string_view() : a->name);
    const Value v = attribute_value(a, type, content, arena);
    one.add("value", v);
    (a != nullptr && a->kind == kSecret ? secrets : list).push(one.build());
    switch (type) {
      case 1: out.add("userName", v); break;
      case 4: out.add("nasIpAddress", v); break;
      case 8: out.add("framedIpAddress", v); break;
      case 18: out.add("replyMessage", v); break;
      case 30: out.add("calledStationId", v); break;
      case 31: out.add("callingStationId", v); break;
      case 32: out.add("nasIdentifier", v); break;
      case 40: out.add("acctStatusType", v); break;
      case 44: out.add("acctSessionId", v); break;
      default: break;
    }
  }
  out.add("attributes", list.build());
  if (!secrets.empty()) out.add("secrets", secrets.build());
  if (eap_size > 0) out.add("eap", eap_value({eap, eap_size}, arena));
}

}  // namespace baleen::dissect::radius
