#include "dissect/l4/cards.h"

namespace baleen::dissect::l4 {

using item::Field;
using enum item::FieldType;

namespace {

constexpr Field kIcmpFields[] = {
    {"data.type", "icmp_type", kString, "Type and code: \"EchoRequest\", \"DestinationUnreachable(Port)\"."},
    {"data.typeNumber", "", kInt, "Type as a number."},
    {"data.code", "", kInt, "Code as a number."},
    {"data.version", "icmp_version", kInt, "4 for ICMP, 6 for ICMPv6."},
    {"data.length", "icmp_length", kInt, "Bytes, the ICMP header included."},
    {"data.summary", "", kString, "What it says in a line."},
    {"data.id", "", kInt, "Identifier of an echo."},
    {"data.sequence", "", kInt, "Sequence number of an echo."},
    {"data.mtu", "", kInt, "Largest packet that the next link takes, where a packet was too big."},
    {"data.gateway", "", kString, "The better way that a redirect names."},
    {"data.target", "", kString, "The address that neighbour discovery is about."},
    {"data.quoted.transport", "", kString, "Transport of the packet that an error quotes."},
    {"data.quoted.src.ip", "", kString, "Source address of the quoted packet."},
    {"data.quoted.src.port", "", kInt, "Source port of the quoted packet."},
    {"data.quoted.dst.ip", "", kString, "Destination address of the quoted packet."},
    {"data.quoted.dst.port", "", kInt, "Destination port of the quoted packet."},
    {"data.flow.stream", "", kInt, "Number of the stream to which the quoted packet belongs; the item is part of it."},
    {"data.flow.client", "", kString, "Client of that stream."},
    {"data.flow.server", "", kString, "Server of that stream."},
};

}  // namespace

const item::Protocol kIcmp = {
    .name = "icmp",
    .version = "4",
    .abbreviation = "ICMP",
    .long_name = "Internet Control Message Protocol",
    .macro = "icmp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc792",
    .background = "#8a5a00",
    .foreground = "#ffffff",
    .priority = 200,
    .layer4 = "icmp",
    .fields = kIcmpFields,
    .method_path = "data.type",
    .summary_path = "data.summary",
};

std::span<const item::Protocol* const> cards() {
  static constexpr const item::Protocol* kAll[] = {&kIcmp};
  return kAll;
}

}  // namespace baleen::dissect::l4
