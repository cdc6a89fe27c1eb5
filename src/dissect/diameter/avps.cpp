#include "dissect/diameter/avps.h"

#include "dissect/diameter/dictionary.h"

namespace baleen::dissect::diameter {

using item::Value;

namespace {

struct Promoted {
  uint32_t code;
  std::string_view name;
};
constexpr Promoted kPromoted[] = {
    {263, "sessionId"},
    {264, "originHost"},
    {296, "originRealm"},
    {293, "destinationHost"},
    {283, "destinationRealm"},
    {1, "userName"},
    {268, "resultCode"},
    {281, "errorMessage"},
    {415, "ccRequestNumber"},
    {416, "ccRequestType"},
    {461, "serviceContextId"},
    {294, "errorReportingHost"},
    {480, "accountingRecordType"},
    {295, "terminationCause"},
    {273, "disconnectCause"},
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

/// AVPs become values; those that are secret stand apart.
class Reader {
 public:
  Reader(ListOf& secrets, Arena& arena) : secrets_(secrets), arena_(arena) {}

  /// `each(head, value)` is told every AVP of this level.
  template <class Each>
  Value list(Bytes avps, int depth, Each each) {
    ListOf list(arena_);
    for (ByteReader r(avps); !r.at_end() && depth <= kMaxDepth;) {
      Head h;
      const Bytes content = next(r, h);
      if (!r.ok()) break;
      const Avp* const a = find_avp(h.vendor, h.code);
      MapOf one(arena_);
      one.add("code", static_cast<int64_t>(h.code));
      if (h.vendor != 0) one.add("vendorId", static_cast<int64_t>(h.vendor));
      one.add_text("name", a == nullptr ? std::string_view() : a->name);
      const bool secret = a != nullptr && a->is_secret;
      const Value v = secret ? Value::bytes(content) : value(a, content, depth);
      one.add("value", v);
      (secret ? secrets_ : list).push(one.build());
      if (!secret) each(h, v);
    }
    return list.build();
  }

 private:
  Value value(const Avp* a, Bytes content, int depth) {
    const size_t size = content.size();
    switch (a == nullptr ? Kind::kBytes : a->kind) {
      case Kind::kText: return text_or_bytes(as_text(content));
      case Kind::kNumber: {
        if (size != 4) break;
        const uint32_t n = load_be32(content.data());
        const std::string_view word = word_of(a->vendor, a->code, n);
        return word.empty() ? Value(static_cast<int64_t>(n)) : Value(word);
      }
      case Kind::kSigned:
        if (size != 4) break;
        return Value(static_cast<int64_t>(static_cast<int32_t>(load_be32(content.data()))));
      case Kind::kLong:
        if (size != 8) break;
        return Value(load_be64(content.data()));
      case Kind::kSignedLong:
        if (size != 8) break;
        return Value(static_cast<int64_t>(load_be64(content.data())));
      case Kind::kTime:  // seconds since 1900 (RFC 6733 4.3.1), shown since 1970
        if (size != 4) break;
        return Value(static_cast<int64_t>(load_be32(content.data())) - int64_t{2208988800});
      case Kind::kAddress:  // RFC 6733 4.3.1: behind its family; 3GPP's older ones are bare
        if (size == 4 || size == 16) return Value(address_text(content, arena_));
        if (size == 6 || size == 18) return Value(address_text(content.subspan(2), arena_));
        break;
      case Kind::kGrouped: return list(content, depth + 1, [](const Head&, const Value&) {});
      case Kind::kBytes: break;
    }
    return text_or_bytes(as_text(content));
  }

  ListOf& secrets_;
  Arena& arena_;
};

}  // namespace

bool are_avps(Bytes avps) {
  ByteReader r(avps);
  Head h;
  while (!r.at_end()) next(r, h);
  return r.ok();
}

void describe_avps(Bytes avps, bool answer, MapOf& out, Arena& arena) {
  ListOf secrets(arena);
  Reader reader(secrets, arena);
  std::string_view status;
  int64_t result = 0;
  const Value list = reader.list(avps, 0, [&](const Head& h, const Value& v) {
    if (h.vendor != 0) return;
    for (const Promoted& p : kPromoted)
      if (p.code == h.code) out.add(p.name, v);
    if (h.code == 268) {
      result = v.as_int();
      status = result_name(static_cast<uint32_t>(result));
    }
    if (h.code != 297 || !v.is_list()) return;  // Experimental-Result (RFC 6733 7.6)
    int64_t vendor = 0;
    for (const Value& inner : v.elements()) {
      if (inner["code"].as_int() == 266) vendor = inner["value"].as_int();
      if (inner["code"].as_int() == 298) result = inner["value"].as_int();
    }
    out.add("resultCode", result);
    status = experimental_result_name(static_cast<uint32_t>(vendor), static_cast<uint32_t>(result));
  });
  out.add("avps", list);
  if (!secrets.empty()) out.add("secrets", secrets.build());
  if (answer) out.add("status", status.empty() ? decimal(static_cast<uint64_t>(result), arena) : status);
}

}  // namespace baleen::dissect::diameter
