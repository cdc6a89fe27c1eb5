// The dictionary: RFC 6733, 4005, 4006, 4072, 8506; 3GPP TS 29.061, 29.212, 29.229, 29.272, 32.299.

#include "dissect/diameter/avps.h"

namespace baleen::dissect::diameter {

using item::Value;

namespace {

enum class Kind : uint8_t { kText, kNumber, kLong, kAddress, kBytes, kGrouped, kTime };
struct Avp {
  uint32_t vendor, code;
  std::string_view name;
  Kind kind;
};

using enum Kind;
constexpr uint32_t k3gpp = 10415;
constexpr Avp kAvps[] = {
    {0, 1, "User-Name", kText},
    {0, 25, "Class", kBytes},
    {0, 27, "Session-Timeout", kNumber},
    {0, 30, "Called-Station-Id", kText},
    {0, 33, "Proxy-State", kBytes},
    {0, 8, "Framed-IP-Address", kAddress},
    {0, 97, "Framed-IPv6-Prefix", kBytes},
    {0, 44, "Acct-Session-Id", kBytes},
    {0, 50, "Acct-Multi-Session-Id", kText},
    {0, 55, "Event-Timestamp", kTime},
    {0, 85, "Acct-Interim-Interval", kNumber},
    {0, 257, "Host-IP-Address", kAddress},
    {0, 258, "Auth-Application-Id", kNumber},
    {0, 259, "Acct-Application-Id", kNumber},
    {0, 260, "Vendor-Specific-Application-Id", kGrouped},
    {0, 261, "Redirect-Host-Usage", kNumber},
    {0, 262, "Redirect-Max-Cache-Time", kNumber},
    {0, 263, "Session-Id", kText},
    {0, 264, "Origin-Host", kText},
    {0, 265, "Supported-Vendor-Id", kNumber},
    {0, 266, "Vendor-Id", kNumber},
    {0, 267, "Firmware-Revision", kNumber},
    {0, 268, "Result-Code", kNumber},
    {0, 269, "Product-Name", kText},
    {0, 270, "Session-Binding", kNumber},
    {0, 271, "Session-Server-Failover", kNumber},
    {0, 272, "Multi-Round-Time-Out", kNumber},
    {0, 273, "Disconnect-Cause", kNumber},
    {0, 274, "Auth-Request-Type", kNumber},
    {0, 276, "Auth-Grace-Period", kNumber},
    {0, 277, "Auth-Session-State", kNumber},
    {0, 278, "Origin-State-Id", kNumber},
    {0, 279, "Failed-AVP", kGrouped},
    {0, 280, "Proxy-Host", kText},
    {0, 281, "Error-Message", kText},
    {0, 282, "Route-Record", kText},
    {0, 283, "Destination-Realm", kText},
    {0, 284, "Proxy-Info", kGrouped},
    {0, 285, "Re-Auth-Request-Type", kNumber},
    {0, 287, "Accounting-Sub-Session-Id", kLong},
    {0, 291, "Authorization-Lifetime", kNumber},
    {0, 292, "Redirect-Host", kText},
    {0, 293, "Destination-Host", kText},
    {0, 294, "Error-Reporting-Host", kText},
    {0, 295, "Termination-Cause", kNumber},
    {0, 296, "Origin-Realm", kText},
    {0, 297, "Experimental-Result", kGrouped},
    {0, 298, "Experimental-Result-Code", kNumber},
    {0, 299, "Inband-Security-Id", kNumber},
    {0, 363, "Accounting-Input-Octets", kLong},
    {0, 364, "Accounting-Output-Octets", kLong},
    {0, 402, "CHAP-Auth", kGrouped},
    {0, 412, "CC-Input-Octets", kLong},
    {0, 414, "CC-Output-Octets", kLong},
    {0, 415, "CC-Request-Number", kNumber},
    {0, 416, "CC-Request-Type", kNumber},
    {0, 420, "CC-Time", kNumber},
    {0, 421, "CC-Total-Octets", kLong},
    {0, 430, "Final-Unit-Indication", kGrouped},
    {0, 431, "Granted-Service-Unit", kGrouped},
    {0, 432, "Rating-Group", kNumber},
    {0, 437, "Requested-Service-Unit", kGrouped},
    {0, 439, "Service-Identifier", kNumber},
    {0, 443, "Subscription-Id", kGrouped},
    {0, 444, "Subscription-Id-Data", kText},
    {0, 446, "Used-Service-Unit", kGrouped},
    {0, 448, "Validity-Time", kNumber},
    {0, 450, "Subscription-Id-Type", kNumber},
    {0, 455, "Multiple-Services-Indicator", kNumber},
    {0, 456, "Multiple-Services-Credit-Control", kGrouped},
    {0, 461, "Service-Context-Id", kText},
    {0, 462, "EAP-Payload", kBytes},
    {0, 480, "Accounting-Record-Type", kNumber},
    {0, 483, "Accounting-Realtime-Required", kNumber},
    {0, 485, "Accounting-Record-Number", kNumber},
    {k3gpp, 1, "3GPP-IMSI", kText},
    {k3gpp, 5, "3GPP-GPRS-Negotiated-QoS-Profile", kText},
    {k3gpp, 8, "3GPP-IMSI-MCC-MNC", kText},
    {k3gpp, 18, "3GPP-SGSN-MCC-MNC", kText},
    {k3gpp, 21, "3GPP-RAT-Type", kBytes},
    {k3gpp, 22, "3GPP-User-Location-Info", kBytes},
    {k3gpp, 23, "3GPP-MS-TimeZone", kBytes},
    {k3gpp, 515, "Max-Requested-Bandwidth-DL", kNumber},
    {k3gpp, 516, "Max-Requested-Bandwidth-UL", kNumber},
    {k3gpp, 600, "Visited-Network-Identifier", kBytes},
    {k3gpp, 601, "Public-Identity", kText},
    {k3gpp, 602, "Server-Name", kText},
    {k3gpp, 606, "User-Data", kBytes},
    {k3gpp, 607, "SIP-Number-Auth-Items", kNumber},
    {k3gpp, 608, "SIP-Authentication-Scheme", kText},
    {k3gpp, 612, "SIP-Auth-Data-Item", kGrouped},
    {k3gpp, 613, "SIP-Item-Number", kNumber},
    {k3gpp, 623, "User-Authorization-Type", kNumber},
    {k3gpp, 628, "Supported-Features", kGrouped},
    {k3gpp, 629, "Feature-List-ID", kNumber},
    {k3gpp, 630, "Feature-List", kNumber},
    {k3gpp, 1000, "Bearer-Usage", kNumber},
    {k3gpp, 1001, "Charging-Rule-Install", kGrouped},
    {k3gpp, 1005, "Charging-Rule-Name", kBytes},
    {k3gpp, 1016, "QoS-Information", kGrouped},
    {k3gpp, 1027, "IP-CAN-Type", kNumber},
    {k3gpp, 1028, "QoS-Class-Identifier", kNumber},
    {k3gpp, 1031, "Default-EPS-Bearer-QoS", kGrouped},
    {k3gpp, 1032, "RAT-Type", kNumber},
    {k3gpp, 1034, "Allocation-Retention-Priority", kGrouped},
    {k3gpp, 1405, "ULA-Flags", kNumber},
    {k3gpp, 1407, "Visited-PLMN-Id", kBytes},
    {k3gpp, 1408, "Requested-EUTRAN-Authentication-Info", kGrouped},
    {k3gpp, 1410, "Number-Of-Requested-Vectors", kNumber},
    {k3gpp, 1412, "Immediate-Response-Preferred", kNumber},
    {k3gpp, 1413, "Authentication-Info", kGrouped},
    {k3gpp, 1414, "E-UTRAN-Vector", kGrouped},
    {k3gpp, 1400, "Subscription-Data", kGrouped},
    {k3gpp, 1401, "Terminal-Information", kGrouped},
    {k3gpp, 1402, "IMEI", kText},
    {k3gpp, 1430, "APN-Configuration", kGrouped},
    {k3gpp, 1429, "APN-Configuration-Profile", kGrouped},
    {k3gpp, 1435, "AMBR", kGrouped},
};

/// Keys and challenges of authentication vectors are shown apart.
constexpr uint32_t kSecrets[] = {1447, 1448, 1449, 1450, 609, 610, 625, 626};

constexpr Name kCommands[] = {
    {257, "Capabilities-Exchange"},
    {258, "Re-Auth"},
    {260, "AMR"},
    {265, "AA"},
    {268, "Diameter-EAP"},
    {271, "Accounting"},
    {272, "Credit-Control"},
    {274, "Abort-Session"},
    {275, "Session-Termination"},
    {280, "Device-Watchdog"},
    {282, "Disconnect-Peer"},
    {300, "User-Authorization"},
    {301, "Server-Assignment"},
    {302, "Location-Info"},
    {303, "Multimedia-Auth"},
    {304, "Registration-Termination"},
    {305, "Push-Profile"},
    {306, "User-Data"},
    {307, "Profile-Update"},
    {308, "Subscribe-Notifications"},
    {309, "Push-Notification"},
    {316, "Update-Location"},
    {317, "Cancel-Location"},
    {318, "Authentication-Information"},
    {319, "Insert-Subscriber-Data"},
    {320, "Delete-Subscriber-Data"},
    {321, "Purge-UE"},
    {322, "Reset"},
    {323, "Notify"},
    {324, "ME-Identity-Check"},
};

constexpr Name kApplications[] = {
    {0, "Common Messages"},
    {1, "NASREQ"},
    {2, "Mobile IPv4"},
    {3, "Base Accounting"},
    {4, "Credit Control"},
    {5, "EAP"},
    {6, "SIP"},
    {16777216, "3GPP Cx"},
    {16777217, "3GPP Sh"},
    {16777222, "3GPP Gq"},
    {16777236, "3GPP Rx"},
    {16777238, "3GPP Gx"},
    {16777251, "3GPP S6a/S6d"},
    {16777252, "3GPP S13"},
    {16777264, "3GPP SWm"},
    {16777265, "3GPP SWx"},
    {16777272, "3GPP S6b"},
    {4294967295u, "Relay"},
};

constexpr Name kResults[] = {
    {1001, "DIAMETER_MULTI_ROUND_AUTH"},
    {2001, "DIAMETER_SUCCESS"},
    {2002, "DIAMETER_LIMITED_SUCCESS"},
    {3001, "DIAMETER_COMMAND_UNSUPPORTED"},
    {3002, "DIAMETER_UNABLE_TO_DELIVER"},
    {3003, "DIAMETER_REALM_NOT_SERVED"},
    {3004, "DIAMETER_TOO_BUSY"},
    {3005, "DIAMETER_LOOP_DETECTED"},
    {3006, "DIAMETER_REDIRECT_INDICATION"},
    {3007, "DIAMETER_APPLICATION_UNSUPPORTED"},
    {3008, "DIAMETER_INVALID_HDR_BITS"},
    {3009, "DIAMETER_INVALID_AVP_BITS"},
    {3010, "DIAMETER_UNKNOWN_PEER"},
    {4001, "DIAMETER_AUTHENTICATION_REJECTED"},
    {4002, "DIAMETER_OUT_OF_SPACE"},
    {4003, "ELECTION_LOST"},
    {4010, "DIAMETER_END_USER_SERVICE_DENIED"},
    {4012, "DIAMETER_CREDIT_LIMIT_REACHED"},
    {5001, "DIAMETER_AVP_UNSUPPORTED"},
    {5002, "DIAMETER_UNKNOWN_SESSION_ID"},
    {5003, "DIAMETER_AUTHORIZATION_REJECTED"},
    {5004, "DIAMETER_INVALID_AVP_VALUE"},
    {5005, "DIAMETER_MISSING_AVP"},
    {5006, "DIAMETER_RESOURCES_EXCEEDED"},
    {5007, "DIAMETER_CONTRADICTING_AVPS"},
    {5008, "DIAMETER_AVP_NOT_ALLOWED"},
    {5010, "DIAMETER_NO_COMMON_APPLICATION"},
    {5011, "DIAMETER_UNSUPPORTED_VERSION"},
    {5012, "DIAMETER_UNABLE_TO_COMPLY"},
    {5017, "DIAMETER_NO_COMMON_SECURITY"},
    {5030, "DIAMETER_USER_UNKNOWN"},
};

struct Promoted {
  uint32_t code;
  std::string_view name;
};
constexpr Promoted kPromoted[] = {
    {263, "sessionId"},        {264, "originHost"},    {296, "originRealm"},      {293, "destinationHost"},
    {283, "destinationRealm"}, {1, "userName"},        {268, "resultCode"},       {281, "errorMessage"},
    {415, "ccRequestNumber"},  {416, "ccRequestType"}, {461, "serviceContextId"},
};

constexpr int kMaxDepth = 8;

/// The head of one AVP; `size` includes head but not padding.
struct Head {
  uint32_t code, size, vendor;
  uint8_t flags;
};

/// The next AVP's head and content, padding skipped; fails the reader when it is not whole.
Bytes next(ByteReader& r, Head& h) {
  h.code = r.be32();
  h.flags = r.u8();
  h.size = r.be24();
  h.vendor = (h.flags & 0x80) != 0 ? r.be32() : 0;
  const uint32_t head = (h.flags & 0x80) != 0 ? 12 : 8;
  if (h.size < head) {
    r.fail();
    return {};
  }
  const Bytes content = r.bytes(h.size - head);
  const size_t padding = (4 - h.size % 4) % 4;
  r.skip(std::min(padding, r.remaining()));
  return content;
}

const Avp* find(uint32_t vendor, uint32_t code) {
  for (const Avp& a : kAvps)
    if (a.vendor == vendor && a.code == code) return &a;
  return nullptr;
}

Value list_of(Bytes avps, Arena& arena, MapOf* promote, ListOf* secrets, int depth);

Value value_of(const Avp* a, Bytes content, Arena& arena, ListOf* secrets, int depth) {
  switch (a == nullptr ? kBytes : a->kind) {
    case kText: return text_or_bytes(as_text(content));
    case kNumber:
      return content.size() == 4 ? Value(static_cast<int64_t>(load_be32(content.data()))) : Value::bytes(content);
    case kLong: return content.size() == 8 ? Value(load_be64(content.data())) : Value::bytes(content);
    case kTime:  // seconds since 1900 (RFC 6733 4.3.1), shown since 1970
      return content.size() == 4 ? Value(static_cast<int64_t>(load_be32(content.data())) - int64_t{2208988800})
                                 : Value::bytes(content);
    case kAddress:
      return Value(address_text(content.size() == 6 || content.size() == 18 ? content.subspan(2) : content, arena));
    case kGrouped: return list_of(content, arena, nullptr, secrets, depth + 1);
    default: return text_or_bytes(as_text(content));
  }
}

Value list_of(Bytes avps, Arena& arena, MapOf* promote, ListOf* secrets, int depth) {
  ListOf list(arena);
  if (depth > kMaxDepth) return list.build();
  for (ByteReader r(avps); !r.at_end();) {
    Head h;
    const Bytes content = next(r, h);
    if (!r.ok()) break;
    const Avp* const a = find(h.vendor, h.code);
    MapOf one(arena);
    one.add("code", static_cast<int64_t>(h.code));
    if (h.vendor != 0) one.add("vendorId", static_cast<int64_t>(h.vendor));
    one.add_text("name", a == nullptr ? std::string_view() : a->name);
    const Value v = value_of(a, content, arena, secrets, depth);
    one.add("value", v);
    bool secret = false;
    for (const uint32_t code : kSecrets) secret |= h.vendor == k3gpp && h.code == code;
    (secret && secrets != nullptr ? *secrets : list).push(one.build());
    if (promote == nullptr || h.vendor != 0) continue;
    for (const Promoted& p : kPromoted)
      if (p.code == h.code) promote->add(p.name, v);
    if (h.code == 297)  // Experimental-Result
      for (const Value& inner : v.elements())
        if (inner["code"].as_int() == 298) promote->add("resultCode", inner["value"]);
  }
  return list.build();
}

}  // namespace

std::string_view command_name(uint32_t code) { return name_in(kCommands, code); }
std::string_view application_name(uint32_t id) { return name_in(kApplications, id); }
std::string_view result_name(uint32_t code) { return name_in(kResults, code); }

bool are_avps(Bytes avps) {
  ByteReader r(avps);
  Head h;
  while (!r.at_end()) next(r, h);
  return r.ok();
}

void describe_avps(Bytes avps, MapOf& out, Arena& arena) {
  ListOf secrets(arena);
  const Value list = list_of(avps, arena, &out, &secrets, 0);
  out.add("avps", list);
  if (!secrets.empty()) out.add("secrets", secrets.build());
}

}  // namespace baleen::dissect::diameter
