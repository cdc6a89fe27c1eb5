#include "dissect/dhcp/dhcp.h"

#include "dissect/build.h"

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
    {"response.options", "", kList, "All options."},
};

constexpr size_t kHead = 240;
constexpr uint32_t kCookie = 0x63825363;

enum class Kind : uint8_t { kBytes, kAddress, kAddresses, kText, kNumber };
struct Option {
  uint8_t code;
  std::string_view name, promoted;
  Kind kind;
};
using enum Kind;
constexpr Option kOptions[] = {
    // RFC 2132
    {1, "Subnet Mask", "subnetMask", kAddress},
    {3, "Router", "routers", kAddresses},
    {6, "Domain Name Server", "nameServers", kAddresses},
    {12, "Host Name", "hostName", kText},
    {15, "Domain Name", "domainName", kText},
    {26, "Interface MTU", "", kNumber},
    {28, "Broadcast Address", "", kAddress},
    {42, "NTP Servers", "", kAddresses},
    {43, "Vendor Specific", "", kBytes},
    {44, "NetBIOS Name Server", "", kAddresses},
    {50, "Requested IP Address", "requestedAddress", kAddress},
    {51, "IP Address Lease Time", "leaseTime", kNumber},
    {52, "Option Overload", "", kNumber},
    {53, "DHCP Message Type", "", kNumber},
    {54, "Server Identifier", "serverId", kAddress},
    {55, "Parameter Request List", "", kBytes},
    {56, "Message", "message", kText},
    {57, "Maximum Message Size", "", kNumber},
    {58, "Renewal Time", "", kNumber},
    {59, "Rebinding Time", "", kNumber},
    {60, "Vendor Class Identifier", "vendorClass", kText},
    {61, "Client Identifier", "", kBytes},
    {66, "TFTP Server Name", "", kText},
    {67, "Bootfile Name", "", kText},
    {77, "User Class", "", kBytes},
    {81, "Client FQDN", "", kBytes},
    {82, "Relay Agent Information", "", kBytes},
    {119, "Domain Search", "", kBytes},
    {121, "Classless Static Route", "", kBytes},
};
constexpr Name kTypes[] = {{1, "DISCOVER"}, {2, "OFFER"}, {3, "REQUEST"}, {4, "DECLINE"},
                           {5, "ACK"},      {6, "NAK"},   {7, "RELEASE"}, {8, "INFORM"}};

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
    default: return Value::bytes(b);
  }
}

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

Probe Dhcp::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (b.size() < kHead || load_be32(&b[236]) != kCookie || b[2] > 16) return Probe::kNo;
  return b[0] == (in.direction == Direction::kToServer ? 1 : 2) ? Probe::kYes : Probe::kNo;
}

Probe Dhcp::begins(Direction d, Bytes b) { return probe({d, b, {}, true}); }
Measure Dhcp::measure(Direction, Bytes b) const { return Measure::frame(b.size()); }

Step Dhcp::message(const Frame& frame, Output& out) {
  if (frame.bytes.size() < kHead || load_be32(&frame.bytes[236]) != kCookie) {
    out.count(Counter::kMalformed);
    return Step::took(frame.size);
  }
  const bool asks = frame.bytes[0] == 1;
  // Neither relayed nor renewed: the answer goes to an address that the question did not come from.
  const bool alone = load_be32(&frame.bytes[24]) == 0 && load_be32(&frame.bytes[12]) == 0;
  const uint32_t transaction = load_be32(&frame.bytes[4]);
  Item* item = asks || alone ? out.begin(kProtocol) : waiting_.take(transaction);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes b = arena.copy(frame.bytes);
  MapOf map(arena);
  ListOf options(arena);
  std::string_view type = "BOOTP";
  Value host;
  const std::string_view mac = hardware(b.subspan(28, std::min<size_t>(b[2], 16)), arena);
  map.add("transactionId", hex(b.subspan(4, 4), arena));
  map.add("hardwareAddress", mac);
  map.add("clientAddress", address_text(b.subspan(12, 4), arena));
  map.add("yourAddress", address_text(b.subspan(16, 4), arena));
  map.add("nextServer", address_text(b.subspan(20, 4), arena));
  map.add("relayAddress", address_text(b.subspan(24, 4), arena));
  ByteReader r(b.subspan(kHead));
  while (!r.at_end()) {
    const uint8_t code = r.u8();
    if (code == 0) continue;
    if (code == 255) break;
    const Bytes content = r.bytes(r.u8());
    if (!r.ok()) break;
    if (code == 53 && content.size() == 1) type = name_in(kTypes, content[0]);
    const Option* known = nullptr;
    for (const Option& o : kOptions)
      if (o.code == code) known = &o;
    const Value v = option_value(known == nullptr ? Kind::kBytes : known->kind, content, arena);
    MapOf one(arena);
    one.add("code", static_cast<int64_t>(code));
    one.add_text("name", known == nullptr ? std::string_view() : known->name);
    one.add("value", v);
    options.push(one.build());
    if (known != nullptr && !known->promoted.empty()) map.add(known->promoted, v);
    if (code == 12) host = v;
  }
  map.add("type", type);
  map.add("options", options.build());
  if (asks) {
    map.add("summary", host.is_null() ? Value(mac) : host);
  } else {
    map.add("status", type);
  }
  set(asks ? item->request : item->response, map.build(), frame);
  if (!r.ok()) mark_malformed(item, "malformed options", out);
  if (alone) {
    if (r.ok()) item->outcome = item::Outcome::kSingle;
    out.finish(item);
  } else if (asks && type != "DECLINE" && type != "RELEASE") {
    waiting_.push(transaction, item, out);
  } else {
    out.finish(item);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::dhcp
