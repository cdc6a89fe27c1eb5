#include "dissect/dhcp/dhcp.h"

namespace baleen::dissect::dhcp {

using item::Field;
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

}  // namespace baleen::dissect::dhcp
