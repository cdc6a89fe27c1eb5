#include "dissect/dhcp/version6.h"

namespace baleen::dissect::dhcp {

using item::Value;

namespace {

constexpr Name kTypes[] = {{1, "SOLICIT"},
                           {2, "ADVERTISE"},
                           {3, "REQUEST"},
                           {4, "CONFIRM"},
                           {5, "RENEW"},
                           {6, "REBIND"},
                           {7, "REPLY"},
                           {8, "RELEASE"},
                           {9, "DECLINE"},
                           {10, "RECONFIGURE"},
                           {11, "INFORMATION-REQUEST"},
                           {12, "RELAY-FORW"},
                           {13, "RELAY-REPL"},
                           {14, "LEASEQUERY"},
                           {15, "LEASEQUERY-REPLY"}};
constexpr Name kStatus[] = {{0, "Success"},        {1, "UnspecFail"},    {2, "NoAddrsAvail"},  {3, "NoBinding"},
                            {4, "NotOnLink"},      {5, "UseMulticast"},  {6, "NoPrefixAvail"}, {7, "UnknownQueryType"},
                            {8, "MalformedQuery"}, {9, "NotConfigured"}, {10, "NotAllowed"}};
constexpr uint8_t kRelayForward = 12, kRelayReply = 13;
constexpr size_t kRelayHead = 34, kHead = 4;
constexpr int kMaxDepth = 10;  // RFC 8415 7.6: HOP_COUNT_LIMIT is 8

enum class Kind {
  kBytes,
  kHex,
  kNumber,
  kAddresses,
  kNames,
  kCodes,
  kAssociation,
  kTemporary,
  kAddress,
  kPrefix,
  kStatus,
  kText,
  kFqdn,
  kClasses
};
struct Option {
  uint16_t code;
  std::string_view name;
  Kind kind;
};
// RFC 8415 21 and those that came later
constexpr Option kOptions[] = {
    {1, "Client Identifier", Kind::kHex},
    {2, "Server Identifier", Kind::kHex},
    {3, "IA_NA", Kind::kAssociation},
    {4, "IA_TA", Kind::kTemporary},
    {5, "IA Address", Kind::kAddress},
    {6, "Option Request", Kind::kCodes},
    {7, "Preference", Kind::kNumber},
    {8, "Elapsed Time", Kind::kNumber},
    {11, "Authentication", Kind::kBytes},
    {12, "Server Unicast", Kind::kAddresses},
    {13, "Status Code", Kind::kStatus},
    {14, "Rapid Commit", Kind::kBytes},
    {15, "User Class", Kind::kClasses},
    {16, "Vendor Class", Kind::kBytes},
    {17, "Vendor Options", Kind::kBytes},
    {18, "Interface-ID", Kind::kText},
    {19, "Reconfigure Message", Kind::kNumber},
    {20, "Reconfigure Accept", Kind::kBytes},
    {21, "SIP Server Names", Kind::kNames},
    {22, "SIP Servers", Kind::kAddresses},
    {23, "DNS Servers", Kind::kAddresses},
    {24, "Domain Search List", Kind::kNames},
    {25, "IA_PD", Kind::kAssociation},
    {26, "IA Prefix", Kind::kPrefix},
    {27, "NIS Servers", Kind::kAddresses},
    {29, "NIS Domain", Kind::kNames},
    {31, "SNTP Servers", Kind::kAddresses},
    {32, "Information Refresh Time", Kind::kNumber},
    {37, "Remote-ID", Kind::kBytes},
    {38, "Subscriber-ID", Kind::kText},
    {39, "Client FQDN", Kind::kFqdn},
    {43, "Echo Request", Kind::kCodes},
    {56, "NTP Server", Kind::kBytes},
    {59, "Boot File URL", Kind::kText},
    {60, "Boot File Parameters", Kind::kClasses},
    {61, "Client System Architecture", Kind::kNumber},
    {62, "Client Network Interface", Kind::kBytes},
    {64, "AFTR Name", Kind::kNames},
    {79, "Client Link-Layer Address", Kind::kHex},
    {82, "SOL_MAX_RT", Kind::kNumber},
    {83, "INF_MAX_RT", Kind::kNumber},
    {103, "Captive Portal", Kind::kText},
};

const Option* find(uint16_t code) {
  for (const Option& o : kOptions)
    if (o.code == code) return &o;
  return nullptr;
}

bool is_relay(uint8_t type) { return type == kRelayForward || type == kRelayReply; }

/// The next option; fails the reader when it is not whole.
Bytes next(ByteReader& r, uint16_t& code) {
  code = r.be16();
  return r.bytes(r.be16());
}

/// The message that a relay agent's message carries; empty when it has none.
Bytes relayed(Bytes message) {
  if (message.size() < kRelayHead) return {};
  for (ByteReader r(message.subspan(kRelayHead)); !r.at_end();) {
    uint16_t code = 0;
    const Bytes content = next(r, code);
    if (!r.ok()) break;
    if (code == 9) return content;
  }
  return {};
}

Bytes innermost(Bytes message) {
  for (int depth = 0; depth < kMaxDepth && !message.empty() && is_relay(message[0]); ++depth)
    message = relayed(message);
  return message;
}

/// Where not all of it was captured, an option more than the one that says who it is has to be there, or to begin:
/// twelve bytes of another protocol's head may be such an option.
bool is_message(Bytes b, bool captured) {
  if (b.size() < kHead || name_in(kTypes, b[0]).empty() || is_relay(b[0])) return false;
  bool identified = b[0] == 11;  // a client that only asks for information need not say who it is
  size_t count = 0;
  for (ByteReader r(b.subspan(kHead)); !r.at_end(); ++count) {
    uint16_t code = 0;
    const bool has_code = r.remaining() >= 2;
    const Bytes content = next(r, code);
    if (has_code && (code == 0 || code > 150)) return false;
    if (!r.ok()) return !captured && identified && count + (has_code ? 1 : 0) > 1;
    // RFC 8415 11: four kinds of DUID
    if (code <= 2) {
      if (content.size() < 4 || content.size() > 130) return false;
      const uint16_t kind = load_be16(content.data());
      if (kind < 1 || kind > 4) return false;
      identified = true;
    }
  }
  return identified && count > (captured ? 0 : 1);
}

std::string_view names_text(Bytes b, Arena& arena) {
  std::string_view all;
  bool begins = true;
  for (ByteReader r(b); !r.at_end();) {
    const std::string_view label = r.text(r.u8());
    if (!r.ok()) break;
    if (label.empty()) {
      begins = true;
      continue;
    }
    all = all.empty() ? label : join({all, begins ? " " : ".", label}, arena);
    begins = false;
  }
  return all;
}

/// Options become values; what the payload shows beside the list is noted on the way.
class Reader {
 public:
  explicit Reader(Arena& arena) : addresses(arena), arena_(arena) {}

  Value options(Bytes field, int depth, MapOf* promote) {
    ListOf list(arena_);
    for (ByteReader r(field); !r.at_end() && depth < kMaxDepth;) {
      uint16_t code = 0;
      const Bytes content = next(r, code);
      if (!r.ok()) {
        fits = false;
        break;
      }
      const Option* const known = find(code);
      const Value v = value(known == nullptr ? Kind::kBytes : known->kind, content, depth);
      MapOf one(arena_);
      one.add("code", static_cast<int64_t>(code));
      one.add_text("name", known == nullptr ? std::string_view() : known->name);
      one.add("value", v);
      list.push(one.build());
      if (promote == nullptr) continue;
      if (code == 1) promote->add("clientId", client = v);
      if (code == 2) promote->add("serverId", v);
      if (code == 23) promote->add("nameServers", v);
      if (code == 39) promote->add("fqdn", fqdn = v);
    }
    return list.build();
  }

  ListOf addresses;
  Value client, fqdn;
  std::string_view status = "Success";
  bool fits = true;

 private:
  Value value(Kind kind, Bytes b, int depth) {
    ByteReader r(b);
    MapOf map(arena_);
    switch (kind) {
      case Kind::kHex: return Value(hex(b, arena_));
      case Kind::kNumber: {
        uint64_t n = 0;
        for (const uint8_t byte : b.first(std::min<size_t>(b.size(), 8))) n = n << 8 | byte;
        return Value(n);
      }
      case Kind::kAddresses: {
        ListOf list(arena_);
        for (; b.size() >= 16; b = b.subspan(16)) list.push(address_text(b.first(16), arena_));
        return list.build();
      }
      case Kind::kNames: return text_or_bytes(names_text(b, arena_));
      case Kind::kFqdn: return b.empty() ? Value() : text_or_bytes(names_text(b.subspan(1), arena_));
      case Kind::kCodes: {
        ListOf list(arena_);
        while (r.remaining() >= 2) list.push(static_cast<int64_t>(r.be16()));
        return list.build();
      }
      case Kind::kText: return text_or_bytes(as_text(b));
      case Kind::kClasses: {
        ListOf list(arena_);
        while (!r.at_end()) {
          const std::string_view text = r.text(r.be16());
          if (r.ok()) list.push(text_or_bytes(text));
        }
        return list.build();
      }
      case Kind::kStatus: {  // RFC 8415 21.13
        const uint16_t code = r.be16();
        const std::string_view name = name_in(kStatus, code);
        if (code != 0) status = name.empty() ? decimal(code, arena_) : name;
        map.add("status", name.empty() ? Value(static_cast<int64_t>(code)) : Value(name));
        map.add("message", text_or_bytes(as_text(r.rest())));
        return map.build();
      }
      case Kind::kAssociation:
        map.add("id", static_cast<int64_t>(r.be32()));
        map.add("t1", static_cast<int64_t>(r.be32()));
        map.add("t2", static_cast<int64_t>(r.be32()));
        if (r.ok()) map.add("options", options(r.rest(), depth + 1, nullptr));
        return map.build();
      case Kind::kTemporary:
        map.add("id", static_cast<int64_t>(r.be32()));
        if (r.ok()) map.add("options", options(r.rest(), depth + 1, nullptr));
        return map.build();
      case Kind::kAddress: {
        const std::string_view address = address_text(r.bytes(16), arena_);
        map.add("address", address);
        map.add("preferredLifetime", static_cast<int64_t>(r.be32()));
        map.add("validLifetime", static_cast<int64_t>(r.be32()));
        if (!r.ok()) break;
        addresses.push(address);
        if (!r.at_end()) map.add("options", options(r.rest(), depth + 1, nullptr));
        return map.build();
      }
      case Kind::kPrefix: {
        map.add("preferredLifetime", static_cast<int64_t>(r.be32()));
        map.add("validLifetime", static_cast<int64_t>(r.be32()));
        const uint8_t width = r.u8();
        const Bytes prefix = r.bytes(16);
        if (!r.ok()) break;
        const std::string_view text = join({address_text(prefix, arena_), "/", decimal(width, arena_)}, arena_);
        map.add("prefix", text);
        addresses.push(text);
        if (!r.at_end()) map.add("options", options(r.rest(), depth + 1, nullptr));
        return map.build();
      }
      case Kind::kBytes: break;
    }
    return Value::bytes(b);
  }

  Arena& arena_;
};

}  // namespace

bool is_v6(const Input& in) {
  const Bytes b = in.bytes;
  if (b.size() < kHead || name_in(kTypes, b[0]).empty()) return false;
  const bool relay = is_relay(b[0]);
  if (relay && (b.size() < kRelayHead || b[1] > 32)) return false;
  if (!is_message(relay ? innermost(b) : b, in.missing == 0)) return false;
  return read_v6(b).asks == (in.direction == Direction::kToServer);
}

V6 read_v6(Bytes message) {
  V6 out;
  const Bytes inner = innermost(message);
  if (inner.size() >= kHead) {
    out.type = inner[0];
    out.transaction = load_be32(inner.data()) & 0xFFFFFF;
    for (ByteReader r(inner.subspan(kHead)); !r.at_end() && out.client.empty();) {
      uint16_t code = 0;
      const Bytes content = next(r, code);
      if (r.ok() && code == 1) out.client = content;
    }
  }
  const bool relay = !message.empty() && is_relay(message[0]);
  out.asks = relay ? message[0] == kRelayForward : out.type != 2 && out.type != 7 && out.type != 15;
  out.is_answered = out.asks && out.type != 10;  // RFC 8415 18.3.11: a client answers with a message of its own
  return out;
}

bool describe_v6(Bytes message, MapOf& out, Arena& arena) {
  Reader reader(arena);
  ListOf relays(arena);
  const bool asks = read_v6(message).asks;
  for (int depth = 0; depth < kMaxDepth && message.size() >= kRelayHead && is_relay(message[0]); ++depth) {
    MapOf relay(arena);
    relay.add("hops", static_cast<int64_t>(message[1]));
    relay.add("link", address_text(message.subspan(2, 16), arena));
    relay.add("peer", address_text(message.subspan(18, 16), arena));
    relays.push(relay.build());
    message = relayed(message);
  }
  if (message.size() < kHead) return false;
  const std::string_view type = name_in(kTypes, message[0]);
  out.add("type", type);
  out.add("transactionId", hex(message.subspan(1, 3), arena));
  const Value options = reader.options(message.subspan(kHead), 0, &out);
  out.add("addresses", reader.addresses.build());
  if (!relays.empty()) out.add("relays", relays.build());
  out.add("options", options);
  if (asks) {
    out.add("summary", reader.fqdn.is_null() ? reader.client.is_null() ? Value("") : reader.client : reader.fqdn);
  } else {
    out.add("status", reader.status);
  }
  return reader.fits;
}

}  // namespace baleen::dissect::dhcp
