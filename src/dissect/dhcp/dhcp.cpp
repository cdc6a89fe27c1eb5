#include "dissect/dhcp/dhcp.h"

#include "dissect/build.h"
#include "dissect/dhcp/version6.h"

namespace baleen::dissect::dhcp {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {67, 68};
constexpr Field kFields[] = {
    {"request.type", "dhcp_type", kString, "DISCOVER, REQUEST, DECLINE, RELEASE, INFORM; BOOTP without option 53."},
    {"request.summary", "dhcp_summary", kString, "Host name, else hardware address."},
    {"request.hardwareAddress", "dhcp_mac", kString, "The client's hardware address."},
    {"request.transactionId", "", kString, "Number that the reply repeats, in hexadecimal."},
    {"request.hostName", "", kString, "The client's name for itself."},
    {"request.requestedAddress", "", kString, "The address that the client asks for."},
    {"request.clientAddress", "", kString, "The address that the client has."},
    {"request.relayAddress", "", kString, "The relay agent."},
    {"request.vendorClass", "", kString, "What the client is."},
    {"request.clientId", "", kString, "The client's identifier; a hardware address where it is one."},
    {"request.fqdn", "", kString, "The client's full name."},
    {"request.relayAgent", "", kMap, "What the relay agent adds: circuitId, remoteId, linkSelection."},
    {"request.options", "", kList, "All options: code, name and value."},
    {"response.type", "", kString, "OFFER, ACK, NAK."},
    {"response.status", "dhcp_status", kString, "The same."},
    {"response.yourAddress", "dhcp_address", kString, "The address that the client is given."},
    {"response.serverId", "", kString, "The server."},
    {"response.leaseTime", "", kInt, "Seconds for which the address is given."},
    {"response.subnetMask", "", kString, "Subnet mask."},
    {"response.routers", "", kList, "Routers."},
    {"response.nameServers", "", kList, "DNS servers."},
    {"response.domainName", "", kString, "Domain."},
    {"response.routes", "", kList, "Static routes: network and router."},
    {"response.message", "", kString, "What a NAK says."},
    {"response.options", "", kList, "All options."},
};

constexpr uint16_t kPorts6[] = {546, 547};
constexpr Field kFields6[] = {
    {"request.type", "dhcpv6_type", kString, "SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE."},
    {"request.summary", "dhcpv6_summary", kString, "The client's name, else its identifier."},
    {"request.transactionId", "", kString, "Number that the reply repeats, in hexadecimal."},
    {"request.clientId", "dhcpv6_client", kString, "The client's DUID in hexadecimal."},
    {"request.fqdn", "", kString, "The client's full name."},
    {"request.addresses", "", kList, "Addresses and prefixes that are asked for."},
    {"request.relays", "", kList, "Relay agents, the nearest to the server first: hops, link and peer."},
    {"request.options", "", kList, "All options: code, name and value; those of an association are nested."},
    {"response.type", "", kString, "ADVERTISE, REPLY."},
    {"response.status", "dhcpv6_status", kString, "Success, NoAddrsAvail, NoBinding, NotOnLink, UseMulticast."},
    {"response.serverId", "", kString, "The server's DUID in hexadecimal."},
    {"response.addresses", "", kList, "Addresses and prefixes that are given."},
    {"response.nameServers", "", kList, "DNS servers."},
    {"response.options", "", kList, "All options."},
};

constexpr size_t kHead = 240, kFixed = 36;  // with the cookie; what must have been captured
constexpr uint32_t kCookie = 0x63825363;

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

/// "02:42:ac:11:00:02"
std::string_view hardware(Bytes b, Arena& arena) {
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
    case kClientId: return b.size() == 7 && b[0] == 1 ? Value(hardware(b.subspan(1), arena)) : Value::bytes(b);
    case kFqdn: return fqdn_value(b, arena);
    case kRelay: return relay_value(b, arena);
    case kRoutes: return routes_value(b, arena);
    case kBytes: break;
  }
  return Value::bytes(b);
}

/// The options of one message as they are read, from the option field and, where that says so, from `file` and `sname`
/// (RFC 2131 4.1).
struct Options {
  explicit Options(Arena& a) : list(a), arena(a) {}
  ListOf list;
  Arena& arena;
  std::string_view type = "BOOTP";
  Value host;
  uint8_t overload = 0;

  /// False: they do not fit.
  bool read(Bytes field, MapOf& map) {
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
      const Value v = option_value(known == nullptr ? kBytes : known->kind, content, arena);
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
};

constexpr size_t kHardware = 16;  // room for a client's hardware address

/// What tells a client's transaction from all others: its number, and the hardware address with its kind, as far as it
/// was captured.
std::string client_of(Bytes b) {
  std::string out(as_text(b.subspan(1, 2)));
  out += as_text(b.subspan(4, 4));
  out += as_text(b.subspan(28, std::min<size_t>({b[2], kHardware, b.size() - 28})));
  return out;
}

/// The type of a message (RFC 2132 9.6) in its field of options; 0 where it does not say.
uint8_t type_of(Bytes b) {
  if (b.size() <= kHead || load_be32(&b[236]) != kCookie) return 0;
  for (ByteReader r(b.subspan(kHead)); !r.at_end();) {
    const uint8_t code = r.u8();
    if (code == 0) continue;
    if (code == 255) break;
    const Bytes content = r.bytes(r.u8());
    if (r.ok() && code == 53 && content.size() == 1) return content[0];
  }
  return 0;
}

/// What questions wait by: the client's transaction, with room for their type below.
uint64_t key_of(Bytes b) { return std::hash<std::string>()(client_of(b)) << 8; }

/// RFC 951: without options that DHCP could read; nothing but the layout tells.
bool is_bootp(Bytes b) {
  const auto zero = [&](size_t from, size_t to) {
    return std::all_of(b.begin() + static_cast<ptrdiff_t>(from), b.begin() + static_cast<ptrdiff_t>(to),
                       [](uint8_t byte) { return byte == 0; });
  };
  if (b.size() < 300 || b[1] != 1 || b[2] != 6 || (load_be16(&b[10]) & 0x7FFF) != 0 || !zero(34, 44)) return false;
  const auto is_string = [&](size_t from, size_t size) {
    const std::string_view field = as_text(b.subspan(from, size));
    return is_printable(field.substr(0, field.find('\0')));
  };
  return is_string(44, 64) && is_string(108, 128) && !zero(28, 34);
}

}  // namespace

const item::Protocol Dhcp::kProtocol = {
    .name = "dhcp",
    .version = "4",
    .abbreviation = "DHCP",
    .long_name = "Dynamic Host Configuration Protocol",
    .macro = "dhcp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc2131",
    .background = "#455a9a",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "udp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.type",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

const item::Protocol Dhcp::kVersion6 = {
    .name = "dhcpv6",
    .version = "6",
    .abbreviation = "DHCPV6",
    .long_name = "Dynamic Host Configuration Protocol for IPv6",
    .macro = "dhcpv6",
    .reference = "https://datatracker.ietf.org/doc/html/rfc8415",
    .background = "#455a9a",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "udp",
    .ports = kPorts6,
    .fields = kFields6,
    .method_path = "request.type",
    .summary_path = "request.summary",
    .status_path = "response.status",
};
const item::Protocol* const Dhcp::kCards[] = {&kProtocol, &kVersion6};

Probe Dhcp::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (is_v6(in)) return Probe::kYes;
  if (b.size() < kFixed || b.size() + in.missing < kHead || b[2] > 16 || b[3] > 16) return Probe::kNo;
  if (b.size() >= kHead) {
    if (load_be32(&b[236]) != kCookie && !is_bootp(b)) return Probe::kNo;
  } else if (b[1] != 1 || b[2] != 6 || (load_be16(&b[10]) & 0x7FFF) != 0 || b[34] != 0 || b[35] != 0) {
    return Probe::kNo;  // what was captured of it is Ethernet's, at least
  }
  return b[0] == (in.direction == Direction::kToServer ? 1 : 2) ? Probe::kYes : Probe::kNo;
}

/// A client's question goes to everybody, and each answer to the client; a relay agent's to many servers, and each
/// answer to the agent. What is sent to a client keeps the agent's address (RFC 1542 4.1.2), which the client's
/// question had not.
Meeting Dhcp::meeting(const net::FiveTuple& ends, const Input& datagram) {
  Input in = datagram;
  const Bytes b = in.bytes;
  if (b.empty()) return {};
  const bool is6 = ends.dst.port == 546 || ends.dst.port == 547;
  const V6 six = is6 ? read_v6(b) : V6{};
  const bool asks = is6 ? six.asks : b[0] == 1;
  in.direction = asks ? Direction::kToServer : Direction::kToClient;
  if (probe(in) != Probe::kYes || is6 != is_v6(in)) return {};
  Meeting out{.key = {}, .asks = asks};
  if (is6) {
    const net::IpAddress& asker = asks ? ends.src.ip : ends.dst.ip;
    out.key = "6" + std::to_string(six.transaction) + " " + std::string(as_text(six.client)) + " ";
    out.key += as_text(asker.bytes);
  } else if (b.size() >= kFixed) {
    out.key = "4" + std::string(client_of(b));
    if (asks || ends.dst.port == 67) out.key += as_text(b.subspan(24, 4));
    if (!asks && ends.dst.port != 67) out.key.append(4, '\0');
  }
  return out;
}

/// The waiting question that a reply of IPv4 answers; null when there is none.
Item* Dhcp::take_question(const Frame& frame) {
  const uint64_t key = key_of(frame.bytes);
  const uint8_t type = type_of(frame.bytes);
  const auto take = [&](std::initializer_list<uint8_t> questions) {
    Item* item = nullptr;
    for (const uint8_t question : questions)
      if (item == nullptr) item = waiting_.take(key + question);
    return item;
  };
  switch (type) {
    case 2: return take({1});
    case 5: return take({3, 8, 1});  // a DISCOVER only where it asked for that (RFC 4039)
    case 6: return take({3, 8});
    case 0: return take({0, 1, 3, 8, 10, 14});
    default: return take({10, 14});
  }
}

Probe Dhcp::begins(Direction d, Bytes b) { return probe({d, b, {}, true}); }
Measure Dhcp::measure(Direction, Bytes b) const { return Measure::frame(b.size()); }

Step Dhcp::message(const Frame& frame, Output& out) {
  if (is_v6({frame.direction, frame.bytes, frame.time, true, true, frame.missing})) return version6(frame, out);
  if (frame.bytes.size() < kFixed || (frame.bytes.size() < kHead && frame.missing == 0)) {
    out.count(Counter::kMalformed);
    return Step::took(frame.size);
  }
  const bool asks = frame.bytes[0] == 1;
  Item* item = asks ? out.begin(kProtocol) : take_question(frame);
  // Neither relayed nor renewed: one server's of several that offer, or to a question that went elsewhere.
  const bool alone = item == nullptr && load_be32(&frame.bytes[24]) == 0 && load_be32(&frame.bytes[12]) == 0;
  if (item == nullptr) item = alone ? out.begin(kProtocol) : begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  MapOf map(arena);
  Options options(arena);
  const std::string_view mac = hardware(b.subspan(28, std::min<size_t>({b[2], 16, b.size() - 28})), arena);
  map.add("transactionId", hex(b.subspan(4, 4), arena));
  map.add("hardwareAddress", mac);
  map.add("clientAddress", address_text(b.subspan(12, 4), arena));
  map.add("yourAddress", address_text(b.subspan(16, 4), arena));
  map.add("nextServer", address_text(b.subspan(20, 4), arena));
  map.add("relayAddress", address_text(b.subspan(24, 4), arena));
  bool fits = true;
  if (b.size() > kHead && load_be32(&b[236]) == kCookie) {
    fits = options.read(b.subspan(kHead), map);
    if ((options.overload & 1) != 0) fits &= options.read(b.subspan(108, 128), map);
    if ((options.overload & 2) != 0) fits &= options.read(b.subspan(44, 64), map);
  }
  const std::string_view type = options.type;
  map.add("type", type);
  map.add("options", options.list.build());
  if (asks) {
    map.add("summary", options.host.is_null() ? Value(mac) : options.host);
  } else {
    map.add("status", type);
  }
  if (frame.missing != 0) map.add("truncated", true);
  set(asks ? item->request : item->response, map.build(), frame);
  const bool malformed = !fits && frame.missing == 0;
  if (malformed) mark_malformed(item, "malformed options", out);
  if (alone) {
    if (!malformed) item->outcome = item::Outcome::kSingle;
    out.finish(item);
  } else if (asks && type != "DECLINE" && type != "RELEASE") {
    waiting_.push(key_of(frame.bytes) + type_of(frame.bytes), item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

/// Of several servers' answers to a multicast question the first is its answer, the others stand alone.
Step Dhcp::version6(const Frame& frame, Output& out) {
  const V6 head = read_v6(frame.bytes);
  const uint64_t key = std::hash<std::string_view>()(as_text(head.client)) ^ head.transaction;
  Item* item = head.asks ? out.begin(kVersion6) : waiting_.take(key);
  const bool alone = item == nullptr;
  if (item == nullptr) item = out.begin(kVersion6);
  MapOf map(item->arena);
  const bool fits = describe_v6(item->arena.copy(frame.bytes), map, item->arena);
  set(head.asks ? item->request : item->response, map.build(), frame);
  if (!fits && frame.missing == 0) mark_malformed(item, "malformed options", out);
  if (alone) {
    if (item->outcome == item::Outcome::kPaired) item->outcome = item::Outcome::kSingle;
    out.finish(item);
  } else if (head.asks && head.is_answered) {
    waiting_.push(key, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::dhcp
