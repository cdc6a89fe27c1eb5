#include "dissect/radius/attributes.h"

#include "dissect/radius/dictionary.h"

namespace baleen::dissect::radius {

using item::Value;

namespace {

Value number_value(uint8_t type, uint32_t n) {
  const std::string_view word = word_of(type, n);
  return word.empty() ? Value(static_cast<int64_t>(n)) : Value(word);
}

/// A reserved byte, the length, and as much of the address as is not zero (RFC 3162 2.3).
Value prefix_value(Bytes b, Arena& arena) {
  const size_t whole = b.size() == 6 ? 4 : 16;
  if (b.size() < 2 || b.size() > 18) return Value::bytes(b);
  uint8_t address[16] = {};
  std::copy(b.begin() + 2, b.end(), address);
  return Value(join({address_text({address, whole}, arena), "/", decimal(b[1], arena)}, arena));
}

/// The list of all attributes in the making; those that are secret stand apart.
class Lists {
 public:
  explicit Lists(Arena& arena) : all(arena), secrets(arena), arena_(arena) {}

  Value value(Kind kind, uint8_t type, Bytes content) {
    switch (kind) {
      case Kind::kText: return text_or_bytes(as_text(content));
      case Kind::kNumber:
        return content.size() == 4 ? number_value(type, load_be32(content.data())) : Value::bytes(content);
      case Kind::kTime:
        return content.size() == 4 ? Value(static_cast<int64_t>(load_be32(content.data()))) : Value::bytes(content);
      case Kind::kAddress: return Value(address_text(content, arena_));
      case Kind::kPrefix: return prefix_value(content, arena_);
      case Kind::kVendor: return vendor(content);
      case Kind::kTaggedText: {
        const size_t tag = !content.empty() && content[0] <= 0x1F ? 1 : 0;
        return text_or_bytes(as_text(content.subspan(tag)));
      }
      case Kind::kTaggedNumber:
        return content.size() == 4 ? number_value(type, load_be32(content.data()) & 0xFFFFFF) : Value::bytes(content);
      case Kind::kExtended:
      case Kind::kEap:
      case Kind::kSecret:
      case Kind::kBytes: return Value::bytes(content);
    }
    return {};
  }

  ListOf all, secrets;

 private:
  /// Most vendors nest attributes of the same shape (RFC 2865 5.26); what does not fit is shown whole.
  Value vendor(Bytes content) {
    ByteReader r(content);
    const uint32_t id = r.be32();
    MapOf map(arena_);
    map.add("vendorId", static_cast<int64_t>(id));
    map.add_text("vendor", vendor_name(id));
    if (!r.ok() || !are_attributes(content.subspan(4))) {
      map.add("data", Value::bytes(r.rest()));
      return map.build();
    }
    ListOf list(arena_);
    while (!r.at_end()) {
      const uint8_t type = r.u8();
      const Bytes bytes = r.bytes(r.u8() - 2u);
      const VendorAttribute* const known = find_vendor_attribute(id, type);
      MapOf one(arena_);
      one.add("type", static_cast<int64_t>(type));
      if (known != nullptr) one.add("name", known->name);
      if (known == nullptr) {
        one.add("value", bytes.size() == 4 && !is_printable(as_text(bytes))
                             ? Value(static_cast<int64_t>(load_be32(bytes.data())))
                             : text_or_bytes(as_text(bytes)));
      } else {
        one.add("value", value(known->kind, 0, bytes));
      }
      (known != nullptr && known->kind == Kind::kSecret ? secrets : list).push(one.build());
    }
    map.add("attributes", list.build());
    return map.build();
  }

  Arena& arena_;
};

/// RFC 3748 4, of all EAP-Message attributes together.
Value eap_value(Bytes packet, Arena& arena) {
  ByteReader r(packet);
  const uint8_t code = r.u8(), id = r.u8();
  const uint16_t length = r.be16();
  MapOf map(arena);
  map.add("code", eap_code_name(code));
  map.add("id", static_cast<int64_t>(id));
  map.add("length", static_cast<int64_t>(length));
  if (r.at_end() || code > 2) return map.build();
  const uint8_t type = r.u8();
  const auto named = [](uint8_t method) {
    const std::string_view name = eap_method_name(method);
    return name.empty() ? Value(static_cast<int64_t>(method)) : Value(name);
  };
  map.add("type", named(type));
  if (type == 1 || type == 2) map.add("identity", text_or_bytes(as_text(r.rest())));
  if (type == 3) {  // RFC 3748 5.3.1: the methods that the client would take
    ListOf wanted(arena);
    while (!r.at_end()) wanted.push(named(r.u8()));
    map.add("wanted", wanted.build());
  }
  if (type == 254) {  // RFC 3748 5.7
    map.add("vendorId", static_cast<int64_t>(r.be24()));
    map.add("vendorType", static_cast<int64_t>(r.be32()));
  }
  if ((type == 13 || type == 21 || type == 25 || type == 43 || type == 55) && !r.at_end()) {
    const uint8_t flags = r.u8();  // RFC 5216 3.1 and those that follow it
    map.add("start", (flags & 0x20) != 0);
    map.add("moreFragments", (flags & 0x40) != 0);
    if ((flags & 0x80) != 0 && r.remaining() >= 4) map.add("tlsLength", static_cast<int64_t>(r.be32()));
  }
  return map.build();
}

}  // namespace

bool is_request(uint8_t code) { return code == 1 || code == 4 || code == 12 || code == 13 || code == 40 || code == 43; }

size_t attributes_end(Bytes b) {
  size_t at = 0;
  while (at + 2 <= b.size() && b[at + 1] >= 2) at += b[at + 1];
  return at;
}

bool are_attributes(Bytes b) { return attributes_end(b) == b.size(); }

bool are_plausible(Bytes attributes, bool sizes) {
  for (ByteReader r(attributes); !r.at_end();) {
    const uint8_t type = r.u8(), size = r.u8();
    if (r.ok() && (type == 0 || size < 2)) return false;  // RFC 6929 10.3.1: 0 is reserved
    r.skip(size - 2u);
    if (!r.ok()) break;
    const Attribute* const a = find_attribute(type);
    if (a == nullptr || !sizes) continue;
    const size_t content = size - 2u;
    switch (a->kind) {
      case Kind::kNumber:
      case Kind::kTaggedNumber:
      case Kind::kTime:
        if (content != 4 && content != 8) return false;
        break;
      case Kind::kAddress:
        if (content != 4 && content != 16) return false;
        break;
      case Kind::kPrefix:
        if (content < 2 || content > 18) return false;
        break;
      case Kind::kVendor:
        if (content < 4) return false;
        break;
      default: break;
    }
  }
  return true;
}

void describe_attributes(Bytes attributes, MapOf& out, Arena& arena) {
  Lists lists(arena);
  size_t eap_size = 0;
  auto* const eap = static_cast<uint8_t*>(arena.allocate(attributes.size() + 1, 1));
  for (ByteReader r(attributes); !r.at_end();) {
    const uint8_t type = r.u8(), size = r.u8();
    const Bytes content = r.bytes(size < 2 ? 0 : size - 2u);
    if (!r.ok() || size < 2) break;
    const Attribute* const a = find_attribute(type);
    const Kind kind = a == nullptr ? Kind::kBytes : a->kind;
    if (kind == Kind::kEap) {
      std::copy(content.begin(), content.end(), eap + eap_size);
      eap_size += content.size();
      continue;
    }
    MapOf one(arena);
    one.add("type", static_cast<int64_t>(type));
    one.add_text("name", a == nullptr ? std::string_view() : a->name);
    if (kind == Kind::kExtended && !content.empty()) one.add("extendedType", static_cast<int64_t>(content[0]));
    const Value v = lists.value(kind, type, kind == Kind::kExtended && !content.empty() ? content.subspan(1) : content);
    one.add("value", v);
    (kind == Kind::kSecret ? lists.secrets : lists.all).push(one.build());
    switch (type) {
      case 1: out.add("userName", v); break;
      case 4:
      case 95: out.add("nasIpAddress", v); break;
      case 8: out.add("framedIpAddress", v); break;
      case 18: out.add("replyMessage", v); break;
      case 30: out.add("calledStationId", v); break;
      case 31: out.add("callingStationId", v); break;
      case 32: out.add("nasIdentifier", v); break;
      case 40: out.add("acctStatusType", v); break;
      case 44: out.add("acctSessionId", v); break;
      case 101: out.add("errorCause", v); break;
      default: break;
    }
  }
  out.add("attributes", lists.all.build());
  if (!lists.secrets.empty()) out.add("secrets", lists.secrets.build());
  if (eap_size > 0) out.add("eap", eap_value({eap, eap_size}, arena));
}

}  // namespace baleen::dissect::radius
