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

/// Options of neighbour discovery (RFC 4861 4.6, RFC 8106 5.1), each its size in units of eight bytes.
void add_options(Bytes options, MapOf& data, Arena& arena) {
  ListOf prefixes(arena), servers(arena);
  while (options.size() >= 8) {
    const size_t size = options[1] * size_t{8};
    if (size == 0 || size > options.size()) break;
    const Bytes content = options.subspan(2, size - 2);
    switch (options[0]) {
      case 1:
      case 2: data.add("linkAddress", hex(content.first(std::min<size_t>(content.size(), 6)), arena)); break;
      case 3:
        if (content.size() >= 30)
          prefixes.push(join({address_text(content.subspan(14, 16), arena), "/", decimal(content[0], arena)}, arena));
        break;
      case 5:
        if (content.size() >= 6) data.add("mtu", Value(uint64_t{load_be32(&content[2])}));
        break;
      case 25:
        for (size_t at = 6; at + 16 <= content.size(); at += 16)
          servers.push(address_text(content.subspan(at, 16), arena));
        break;
      default: break;
    }
    options = options.subspan(size);
  }
  if (!prefixes.empty()) data.add("prefixes", prefixes.build());
  if (!servers.empty()) data.add("dnsServers", servers.build());
}

/// Records of a report of version 2 (RFC 3810 5.2).
void add_groups(Bytes rest, MapOf& data, Arena& arena) {
  static constexpr std::string_view kKinds[] = {"",          "IsInclude",       "IsExclude",      "ToInclude",
                                                "ToExclude", "AllowNewSources", "BlockOldSources"};
  ListOf groups(arena);
  for (Bytes at = rest.subspan(4); at.size() >= 20;) {
    const size_t sources = load_be16(&at[2]), size = 20 + sources * 16 + at[1] * size_t{4};
    MapOf group(arena);
    group.add("type", at[0] >= 1 && at[0] <= 6 ? Value(kKinds[at[0]]) : Value(int{at[0]}));
    group.add("address", address_text(at.subspan(4, 16), arena));
    group.add("sources", Value(uint64_t{sources}));
    groups.push(group.build());
    if (size > at.size()) break;
    at = at.subspan(size);
  }
  data.add("groups", groups.build());
}

/// Neighbour and listener discovery of ICMPv6; returns what it is about.
std::string_view add_discovery(uint8_t type, Bytes rest, MapOf& data, Arena& arena) {
  switch (type) {
    case 130:
    case 131:
    case 132: {  // RFC 2710 3, RFC 3810 5.1
      if (rest.size() < 20) return {};
      const std::string_view group = address_text(rest.subspan(4, 16), arena);
      data.add("group", group);
      return group;
    }
    case 133:
      if (rest.size() >= 4) add_options(rest.subspan(4), data, arena);
      return {};
    case 134:  // RFC 4861 4.2
      if (rest.size() < 12) return {};
      data.add("hopLimit", Value(int{rest[0]}));
      data.add("routerLifetime", Value(int{load_be16(&rest[2])}));
      add_options(rest.subspan(12), data, arena);
      return {};
    case 135:
    case 136:
    case 137: {  // RFC 4861 4.3 to 4.5
      if (rest.size() < 20) return {};
      const std::string_view target = address_text(rest.subspan(4, 16), arena);
      data.add(type == 137 ? "gateway" : "target", target);
      add_options(rest.subspan(std::min<size_t>(type == 137 ? 36 : 20, rest.size())), data, arena);
      return target;
    }
    case 143:
      if (rest.size() >= 4) add_groups(rest, data, arena);
      return {};
    default: return {};
  }
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
    if (v6 && type == 4) data.add("pointer", Value(uint64_t{load_be32(rest.data())}));
    if (!v6 && type == 12) data.add("pointer", Value(int{rest[0]}));
    if (!v6 && type == 5) data.add("gateway", address_text(rest.first(4), arena));
  }
  if (v6)
    if (const std::string_view about = add_discovery(type, rest, data, arena); !about.empty())
      summary = join({name, " ", about}, arena);
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

std::optional<Duration> Echoes::pair(const net::Decoded& d, Timestamp time) {
  const bool v6 = d.tuple.transport == net::Transport::kIcmp6;
  const bool request = d.icmp.type == (v6 ? 128 : 8), reply = d.icmp.type == (v6 ? 129 : 0);
  if ((!request && !reply) || d.payload.size() < 4) return std::nullopt;
  const uint32_t id = load_be32(d.payload.data());
  const bool from_low = net::flow_key(d.tuple).from_low;
  if (request) {
    requests_[next_] = {id, from_low, true, time};
    next_ = (next_ + 1) % requests_.size();
    return std::nullopt;
  }
  for (size_t back = 1; back <= requests_.size(); ++back) {  // the last of those that say the same
    Request& r = requests_[(next_ + requests_.size() - back) % requests_.size()];
    if (!r.waits || r.id != id || r.from_low == from_low) continue;
    r.waits = false;
    return time > r.time ? time - r.time : Duration{0};
  }
  return std::nullopt;
}

}  // namespace baleen::dissect::l4
