#include "dissect/dhcp/options.h"

#include <algorithm>

namespace baleen::dissect::dhcp {

using item::Value;

namespace {

enum class Kind {
  kBytes,
  kAddress,
  kAddresses,
  kText,
  kNumber,
  kCodes,     // a list of bytes
  kClientId,  // RFC 2132 9.14
  kFqdn,      // RFC 4702 2
  kRelay,     // RFC 3046 2
  kRoutes     // RFC 3442
};
struct Option {
  uint8_t code;
  std::string_view name, promoted;
  Kind kind;
};
using enum Kind;
constexpr Option kOptions[] = {
    // RFC 2132 and IANA's list of those that came later
    {1, "Subnet Mask", "subnetMask", kAddress},
    {2, "Time Offset", "", kNumber},
    {3, "Router", "routers", kAddresses},
    {4, "Time Server", "", kAddresses},
    {5, "Name Server", "", kAddresses},
    {6, "Domain Name Server", "nameServers", kAddresses},
    {7, "Log Server", "", kAddresses},
    {8, "Quotes Server", "", kAddresses},
    {9, "LPR Server", "", kAddresses},
    {12, "Host Name", "hostName", kText},
    {13, "Boot File Size", "", kNumber},
    {14, "Merit Dump File", "", kText},
    {15, "Domain Name", "domainName", kText},
    {16, "Swap Server", "", kAddress},
    {17, "Root Path", "", kText},
    {18, "Extensions Path", "", kText},
    {19, "IP Forwarding", "", kNumber},
    {22, "Maximum Datagram Reassembly Size", "", kNumber},
    {23, "Default IP TTL", "", kNumber},
    {26, "Interface MTU", "", kNumber},
    {28, "Broadcast Address", "", kAddress},
    {31, "Perform Router Discovery", "", kNumber},
    {33, "Static Route", "", kAddresses},
    {35, "ARP Cache Timeout", "", kNumber},
    {40, "NIS Domain", "", kText},
    {41, "NIS Servers", "", kAddresses},
    {42, "NTP Servers", "", kAddresses},
    {43, "Vendor Specific", "", kBytes},
    {44, "NetBIOS Name Server", "", kAddresses},
    {45, "NetBIOS Datagram Server", "", kAddresses},
    {46, "NetBIOS Node Type", "", kNumber},
    {47, "NetBIOS Scope", "", kText},
    {50, "Requested IP Address", "requestedAddress", kAddress},
    {51, "IP Address Lease Time", "leaseTime", kNumber},
    {52, "Option Overload", "", kNumber},
    {53, "DHCP Message Type", "", kNumber},
    {54, "Server Identifier", "serverId", kAddress},
    {55, "Parameter Request List", "", kCodes},
    {56, "Message", "message", kText},
    {57, "Maximum Message Size", "", kNumber},
    {58, "Renewal Time", "", kNumber},
    {59, "Rebinding Time", "", kNumber},
    {60, "Vendor Class Identifier", "vendorClass", kText},
    {61, "Client Identifier", "clientId", kClientId},
    {64, "NIS+ Domain", "", kText},
    {66, "TFTP Server Name", "", kText},
    {67, "Bootfile Name", "bootFile", kText},
    {69, "SMTP Server", "", kAddresses},
    {70, "POP3 Server", "", kAddresses},
    {77, "User Class", "", kBytes},
    {80, "Rapid Commit", "", kBytes},
    {81, "Client FQDN", "fqdn", kFqdn},
    {82, "Relay Agent Information", "relayAgent", kRelay},
    {90, "Authentication", "", kBytes},
    {91, "Client Last Transaction Time", "", kNumber},
    {92, "Associated IP", "", kAddresses},
    {93, "Client System Architecture", "", kNumber},
    {94, "Client Network Interface", "", kBytes},
    {97, "Client Machine Identifier", "", kBytes},
    {100, "Timezone (POSIX)", "", kText},
    {101, "Timezone (name)", "", kText},
    {108, "IPv6-Only Preferred", "", kNumber},
    {114, "Captive Portal", "", kText},
    {116, "Auto Configuration", "", kNumber},
    {117, "Name Service Search", "", kBytes},
    {118, "Subnet Selection", "", kAddress},
    {119, "Domain Search", "", kBytes},
    {120, "SIP Servers", "", kBytes},
    {121, "Classless Static Route", "routes", kRoutes},
    {124, "Vendor-Identifying Vendor Class", "", kBytes},
    {125, "Vendor-Identifying Vendor Information", "", kBytes},
    {138, "CAPWAP Access Controllers", "", kAddresses},
    {150, "TFTP Server Address", "", kAddresses},
    {151, "Status Code", "", kBytes},
    {152, "Base Time", "", kNumber},
    {153, "Start Time of State", "", kNumber},
    {154, "Query Start Time", "", kNumber},
    {155, "Query End Time", "", kNumber},
    {156, "DHCP State", "", kNumber},
    {157, "Data Source", "", kNumber},
    {161, "MUD URL", "", kText},
    {208, "PXELINUX Magic", "", kBytes},
    {209, "PXELINUX Configuration File", "", kText},
    {210, "PXELINUX Path Prefix", "", kText},
    {211, "PXELINUX Reboot Time", "", kNumber},
    {212, "6RD", "", kBytes},
    {249, "Classless Static Route (Microsoft)", "routes", kRoutes},
    {252, "Proxy Auto-Discovery", "", kText},
};
constexpr Name kRelayOptions[] = {{1, "circuitId"},        {2, "remoteId"},          {4, "docsisDeviceClass"},
                                  {5, "linkSelection"},    {6, "subscriberId"},      {9, "vendor"},
                                  {10, "flags"},           {11, "serverIdOverride"}, {12, "relayId"},
                                  {151, "vssInformation"}, {152, "vssControl"}};
constexpr Name kTypes[] = {{1, "DISCOVER"},
                           {2, "OFFER"},
                           {3, "REQUEST"},
                           {4, "DECLINE"},
                           {5, "ACK"},
                           {6, "NAK"},
                           {7, "RELEASE"},
                           {8, "INFORM"},
                           {9, "FORCERENEW"},
                           {10, "LEASEQUERY"},
                           {11, "LEASEUNASSIGNED"},
                           {12, "LEASEUNKNOWN"},
                           {13, "LEASEACTIVE"},
                           {14, "BULKLEASEQUERY"},
                           {15, "LEASEQUERYDONE"}};

Value relay_value(Bytes b, Arena& arena) {
  MapOf map(arena);
  for (ByteReader r(b); !r.at_end();) {
    const uint8_t code = r.u8();
    const Bytes content = r.bytes(r.u8());
    if (!r.ok()) break;
    const std::string_view name = name_in(kRelayOptions, code);
    const bool address = (code == 5 || code == 11) && content.size() == 4;
    map.add(name.empty() ? decimal(code, arena) : name,
            address ? Value(address_text(content, arena)) : text_or_bytes(as_text(content)));
  }
  return map.build();
}

Value routes_value(Bytes b, Arena& arena) {
  ListOf list(arena);
  for (ByteReader r(b); !r.at_end();) {
    const uint8_t width = r.u8();
    uint8_t network[4] = {};
    const Bytes given = r.bytes(std::min<size_t>((width + 7u) / 8, 4));
    const Bytes router = r.bytes(4);
    if (!r.ok() || width > 32) break;
    std::copy(given.begin(), given.end(), network);
    list.push(
        join({address_text({network, 4}, arena), "/", decimal(width, arena), " ", address_text(router, arena)}, arena));
  }
  return list.build();
}

/// Labels as in DNS when the E flag says so, otherwise as text (RFC 4702 2.3).
Value fqdn_value(Bytes b, Arena& arena) {
  if (b.size() < 3) return Value::bytes(b);
  if ((b[0] & 4) == 0) return text_or_bytes(as_text(b.subspan(3)));
  std::string_view name;
  for (ByteReader r(b.subspan(3)); !r.at_end();) {
    const std::string_view label = r.text(r.u8());
    if (!r.ok() || label.empty()) break;
    name = name.empty() ? label : join({name, ".", label}, arena);
  }
  return text_or_bytes(name);
}

Value option_value(Kind kind, Bytes b, Arena& arena) {
  switch (kind) {
    case kAddress: return Value(address_text(b, arena));
    case kAddresses: {
      ListOf list(arena);
      for (size_t at = 0; at + 4 <= b.size(); at += 4) list.push(address_text(b.subspan(at, 4), arena));
      return list.build();
    }
    case kText: return text_or_bytes(as_text(b).substr(0, as_text(b).find('\0')));
    case kNumber: {
      uint64_t n = 0;
      for (const uint8_t byte : b.first(std::min<size_t>(b.size(), 8))) n = n << 8 | byte;
      return Value(n);
    }
    case kCodes: {
      ListOf list(arena);
      for (const uint8_t code : b) list.push(static_cast<int64_t>(code));
      return list.build();
    }
    case kClientId: return b.size() == 7 && b[0] == 1 ? Value(hardware_text(b.subspan(1), arena)) : Value::bytes(b);
    case kFqdn: return fqdn_value(b, arena);
    case kRelay: return relay_value(b, arena);
    case kRoutes: return routes_value(b, arena);
    case kBytes: break;
  }
  return Value::bytes(b);
}

}  // namespace

std::string_view hardware_text(Bytes b, Arena& arena) {
  char* const out = static_cast<char*>(arena.allocate(b.size() * 3 + 1, 1));
  const std::string_view digits = hex(b, arena);
  size_t n = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (i != 0) out[n++] = ':';
    out[n++] = digits[2 * i];
    out[n++] = digits[2 * i + 1];
  }
  return {out, n};
}

bool Options::read(Bytes field, MapOf& map) {
  ByteReader r(field);
  while (!r.at_end()) {
    const uint8_t code = r.u8();
    if (code == 0) continue;
    if (code == 255) return true;
    const Bytes content = r.bytes(r.u8());
    if (!r.ok()) return false;
    if (code == 53 && content.size() == 1) type = name_in(kTypes, content[0]);
    if (code == 52 && content.size() == 1) overload = content[0];
    const Option* known = nullptr;
    for (const Option& o : kOptions)
      if (o.code == code) known = &o;
    const Value v = option_value(known == nullptr ? Kind::kBytes : known->kind, content, arena);
    MapOf one(arena);
    one.add("code", static_cast<int64_t>(code));
    one.add_text("name", known == nullptr ? std::string_view() : known->name);
    one.add("value", v);
    list.push(one.build());
    if (known != nullptr && !known->promoted.empty()) map.add(known->promoted, v);
    if (code == 12 || (code == 81 && host.is_null())) host = v;
  }
  return true;
}

}  // namespace baleen::dissect::dhcp
