#include "dissect/l4/icmp.h"

namespace baleen::dissect::l4 {

using item::Value;

namespace {

struct Type {
  uint8_t number;
  std::string_view name;
  std::span<const std::string_view> codes;  // empty: the code says nothing
};

// https://www.iana.org/assignments/icmp-parameters
constexpr std::string_view kUnreachable4[] = {"Net",
                                              "Host",
                                              "Protocol",
                                              "Port",
                                              "FragmentationNeeded",
                                              "SourceRoutingFailed",
                                              "NetUnknown",
                                              "HostUnknown",
                                              "SourceIsolated",
                                              "NetAdminProhibited",
                                              "HostAdminProhibited",
                                              "NetTOS",
                                              "HostTOS",
                                              "CommAdminProhibited",
                                              "HostPrecedence",
                                              "PrecedenceCutoff"};
constexpr std::string_view kRedirect4[] = {"Net", "Host", "TOS+Net", "TOS+Host"};
constexpr std::string_view kTimeExceeded4[] = {"TTLExceeded", "FragmentReassemblyTimeExceeded"};
constexpr std::string_view kParameter4[] = {"PointerIndicatesError", "MissingOption", "BadLength"};
constexpr Type kTypes4[] = {
    {0, "EchoReply", {}},
    {3, "DestinationUnreachable", kUnreachable4},
    {4, "SourceQuench", {}},
    {5, "Redirect", kRedirect4},
    {8, "EchoRequest", {}},
    {9, "RouterAdvertisement", {}},
    {10, "RouterSolicitation", {}},
    {11, "TimeExceeded", kTimeExceeded4},
    {12, "ParameterProblem", kParameter4},
    {13, "TimestampRequest", {}},
    {14, "TimestampReply", {}},
    {15, "InfoRequest", {}},
    {16, "InfoReply", {}},
    {17, "AddressMaskRequest", {}},
    {18, "AddressMaskReply", {}},
    {42, "ExtendedEchoRequest", {}},
    {43, "ExtendedEchoReply", {}},
};

// https://www.iana.org/assignments/icmpv6-parameters
constexpr std::string_view kUnreachable6[] = {"NoRouteToDst",       "AdminProhibited", "BeyondScopeOfSrc",
                                              "AddressUnreachable", "PortUnreachable", "SrcAddressFailedPolicy",
                                              "RejectRouteToDst",   "SourceRoutingErr"};
constexpr std::string_view kTimeExceeded6[] = {"HopLimitExceeded", "FragmentReassemblyTimeExceeded"};
constexpr std::string_view kParameter6[] = {"ErroneousHeader", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"};
constexpr Type kTypes6[] = {
    {1, "DestinationUnreachable", kUnreachable6},
    {2, "PacketTooBig", {}},
    {3, "TimeExceeded", kTimeExceeded6},
    {4, "ParameterProblem", kParameter6},
    {128, "EchoRequest", {}},
    {129, "EchoReply", {}},
    {130, "MulticastListenerQuery", {}},
    {131, "MulticastListenerReport", {}},
    {132, "MulticastListenerDone", {}},
    {133, "RouterSolicitation", {}},
    {134, "RouterAdvertisement", {}},
    {135, "NeighborSolicitation", {}},
    {136, "NeighborAdvertisement", {}},
    {137, "Redirect", {}},
    {143, "MulticastListenerReportV2", {}},
};

const Type* find_type(bool v6, uint8_t type) {
  for (const Type& t : v6 ? std::span<const Type>(kTypes6) : std::span<const Type>(kTypes4))
    if (t.number == type) return &t;
  return nullptr;
}

Value end_value(const net::Endpoint& end, Arena& arena) {
  char text[46];
  MapOf map(arena);
  map.add("ip", arena.copy(std::string_view(text, net::write_address(end.ip, text))));
  map.add("port", Value(int{end.port}));
  return map.build();
}

std::string_view end_text(const net::Endpoint& end, Arena& arena) {
  char text[46];
  const std::string_view ip(text, net::write_address(end.ip, text));
  if (end.port == 0) return arena.copy(ip);
  if (end.ip.is_v4()) return join({ip, ":", decimal(end.port, arena)}, arena);
  return join({"[", ip, "]:", decimal(end.port, arena)}, arena);
}

}  // namespace

std::string_view icmp_name(bool v6, uint8_t type, uint8_t code, Arena& arena) {
  const Type* const known = find_type(v6, type);
  if (known == nullptr) return join({"Type", decimal(type, arena), "(", decimal(code, arena), ")"}, arena);
  if (known->codes.empty()) return known->name;
  const std::string_view name = code < known->codes.size() ? known->codes[code] : decimal(code, arena);
  return join({known->name, "(", name, ")"}, arena);
}

void describe_icmp(const net::Decoded& d, MapOf& data, Arena& arena) {
  const bool v6 = d.tuple.transport == net::Transport::kIcmp6;
  const uint8_t type = d.icmp.type, code = d.icmp.code;
  const Bytes rest = d.payload;  // behind type, code and checksum
  const std::string_view name = icmp_name(v6, type, code, arena);
  data.add("type", name);
  data.add("typeNumber", Value(int{type}));
  data.add("code", Value(int{code}));
  data.add("version", Value(v6 ? 6 : 4));
  data.add("length", Value(uint64_t{4} + rest.size() + d.payload_missing));
  const bool echo = v6 ? type == 128 || type == 129 : type == 0 || type == 8 || (type >= 13 && type <= 18);
  std::string_view summary = name;
  if (echo && rest.size() >= 4) {
    const uint16_t id = load_be16(rest.data()), sequence = load_be16(&rest[2]);
    data.add("id", Value(int{id}));
    data.add("sequence", Value(int{sequence}));
    summary = join({name, " id ", decimal(id, arena), " sequence ", decimal(sequence, arena)}, arena);
  }
  if (rest.size() >= 4) {
    if (v6 && type == 2) data.add("mtu", Value(uint64_t{load_be32(rest.data())}));
    if (!v6 && type == 3 && code == 4) data.add("mtu", Value(int{load_be16(&rest[2])}));  // RFC 1191 4
    if (!v6 && type == 5) data.add("gateway", address_text(rest.first(4), arena));
  }
  if (v6 && type >= 135 && type <= 137 && rest.size() >= 20) {  // RFC 4861 4.3 to 4.5
    const std::string_view target = address_text(rest.subspan(4, 16), arena);
    data.add(type == 137 ? "gateway" : "target", target);
    summary = join({name, " ", target}, arena);
  }
  if (const auto quoted = net::quoted_tuple(d.icmp.quoted)) {
    MapOf map(arena);
    const std::string_view transport = net::to_string(quoted->transport);
    map.add("transport", transport);
    map.add("src", end_value(quoted->src, arena));
    map.add("dst", end_value(quoted->dst, arena));
    data.add("quoted", map.build());
    summary =
        join({name, " ", transport, " ", end_text(quoted->src, arena), " -> ", end_text(quoted->dst, arena)}, arena);
  }
  data.add("summary", summary);
}

}  // namespace baleen::dissect::l4
