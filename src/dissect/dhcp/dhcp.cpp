#include "dissect/dhcp/dhcp.h"

#include "dissect/dhcp/options.h"
#include "dissect/dhcp/version6.h"

namespace baleen::dissect::dhcp {

using item::Item;
using item::Value;

namespace {

constexpr size_t kHead = 240, kFixed = 36;  // with the cookie; what must have been captured
constexpr uint32_t kCookie = 0x63825363;

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

/// The payload of a message of IPv4, and its type; `fits` whether the options are well-formed.
std::string_view describe(Bytes b, bool asks, MapOf& map, Arena& arena, bool& fits) {
  Options options(arena);
  const std::string_view mac = hardware_text(b.subspan(28, std::min<size_t>({b[2], 16, b.size() - 28})), arena);
  map.add("transactionId", hex(b.subspan(4, 4), arena));
  map.add("hardwareAddress", mac);
  map.add("clientAddress", address_text(b.subspan(12, 4), arena));
  map.add("yourAddress", address_text(b.subspan(16, 4), arena));
  map.add("nextServer", address_text(b.subspan(20, 4), arena));
  map.add("relayAddress", address_text(b.subspan(24, 4), arena));
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
  return type;
}

}  // namespace

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
  MapOf map(arena);
  bool fits = true;
  const std::string_view type = describe(arena.copy(frame.bytes), asks, map, arena, fits);
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
