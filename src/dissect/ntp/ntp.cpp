#include "dissect/ntp/ntp.h"

#include "dissect/build.h"

namespace baleen::dissect::ntp {

using item::Field;
using item::Item;
using item::Value;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {123};
constexpr Field kFields[] = {
    {"request.mode", "ntp_mode", kString, "client, server, symmetric active, broadcast, control, private."},
    {"request.version", "ntp_version", kInt, "Version of the protocol: 3 or 4."},
    {"request.summary", "", kString, "Mode and version."},
    {"request.transmitTime", "", kDouble,
     "When it was sent, in seconds since 1970; many clients send a random number."},
    {"response.mode", "", kString, "server."},
    {"response.stratum", "ntp_stratum", kInt, "Distance from a reference clock; 0 says that the server refuses."},
    {"response.status", "", kString, "OK, the kiss code such as RATE, or not synchronized."},
    {"response.referenceId", "ntp_reference", kString, "The reference clock, the server's server, or the kiss code."},
    {"response.leap", "", kInt, "Leap second warning; 3: not synchronized."},
    {"response.rootDelay", "", kDouble, "Seconds to the reference clock and back."},
    {"response.rootDispersion", "", kDouble, "Seconds by which the server may be wrong."},
    {"response.referenceTime", "", kDouble, "When the server's clock was last set."},
    {"response.receiveTime", "", kDouble, "When the request arrived."},
    {"response.transmitTime", "", kDouble, "When the response was sent."},
    {"request.extensions", "", kList, "Extension fields: type, name and length."},
    {"request.keyId", "", kInt, "Number of the key of the message authentication code."},
    {"request.operation", "ntp_operation", kString,
     "Of control messages readvar, writevar and the like; of private ones the number of the request."},
    {"request.sequence", "", kInt, "Number of a control or private message that the answers repeat."},
    {"request.association", "", kInt, "The association that a control message is about."},
    {"request.text", "", kString, "Variables that a control message names or sets."},
    {"response.text", "", kString, "Variables in the answers to a control message, together."},
    {"response.packets", "", kInt, "How many datagrams answered a control or private message."},
};

constexpr std::string_view kModes[] = {"reserved", "symmetric active", "symmetric passive", "client",
                                       "server",   "broadcast",        "control",           "private"};
constexpr size_t kSize = 48, kControlHead = 12, kPrivateHead = 8;
constexpr size_t kMaxText = 16 << 10;
constexpr int64_t kMaxPackets = 256;  // of one answer; what comes beyond answers nothing

// RFC 9327 2, 3 and ntpd
constexpr Name kOperations[] = {{0, "unspecified"},    {1, "readstat"},   {2, "readvar"},   {3, "writevar"},
                                {4, "readclock"},      {5, "writeclock"}, {6, "settrap"},   {7, "asyncmsg"},
                                {8, "configure"},      {9, "saveconfig"}, {10, "read_mru"}, {11, "read_ordlist_a"},
                                {12, "request_nonce"}, {31, "unsettrap"}};
constexpr Name kControlErrors[] = {{0, "unspecified"}, {1, "authentication failure"},     {2, "bad format"},
                                   {3, "bad opcode"},  {4, "unknown association"},        {5, "unknown variable"},
                                   {6, "bad value"},   {7, "administratively prohibited"}};
// ntpd's ntp_request.h
constexpr Name kPrivateRequests[] = {{0, "peer_list"},     {1, "peer_list_sum"}, {2, "peer_info"}, {3, "peer_stats"},
                                     {4, "sys_info"},      {5, "sys_stats"},     {6, "io_stats"},  {7, "mem_stats"},
                                     {8, "loop_info"},     {9, "timer_stats"},   {16, "reslist"},  {20, "mon_getlist"},
                                     {42, "mon_getlist_1"}};
constexpr Name kPrivateErrors[] = {{0, "OK"},      {1, "bad implementation"},    {2, "bad request"}, {3, "bad format"},
                                   {4, "no data"}, {7, "authentication failure"}};
// RFC 8915 5.7, 7821, 5906
constexpr Name kExtensions[] = {{0x0104, "Unique Identifier"},           {0x0204, "NTS Cookie"},
                                {0x0304, "NTS Cookie Placeholder"},      {0x0404, "NTS Authenticator"},
                                {0x2005, "Checksum Complement"},         {0x0200, "Autokey No-Operation"},
                                {0x0201, "Autokey Association Request"}, {0x8201, "Autokey Association Response"},
                                {0x0202, "Autokey Certificate Request"}, {0x8202, "Autokey Certificate Response"},
                                {0x0203, "Autokey Cookie Request"},      {0x8203, "Autokey Cookie Response"}};

/// Seconds since 1970 (RFC 5905 6); zero stays zero.
double seconds(uint64_t stamp) {
  return stamp == 0
             ? 0
             : static_cast<double>(stamp >> 32) - 2208988800.0 + static_cast<double>(stamp & 0xFFFFFFFF) / 4294967296.0;
}
double short_seconds(uint32_t v) { return static_cast<double>(v) / 65536.0; }

/// What stands behind the header: extension fields, and perhaps a key's number with a code (RFC 7822 3, RFC 5905 7.3).
void add_extensions(Bytes rest, MapOf& map, Arena& arena) {
  ListOf list(arena);
  while (rest.size() > 24 || (rest.size() >= 16 && rest.size() != 20 && rest.size() != 24)) {
    const size_t size = load_be16(&rest[2]);
    if (size < 16 || size % 4 != 0 || size > rest.size()) break;
    const uint16_t type = load_be16(rest.data());
    MapOf one(arena);
    one.add("type", static_cast<int64_t>(type));
    one.add_text("name", name_in(kExtensions, type));
    one.add("length", static_cast<int64_t>(size));
    list.push(one.build());
    rest = rest.subspan(size);
  }
  if (!list.empty()) map.add("extensions", list.build());
  if (rest.size() >= 4) map.add("keyId", static_cast<int64_t>(load_be32(rest.data())));
}

/// RFC 9327 2
Value control_payload(Bytes b, bool response, Arena& arena) {
  MapOf map(arena);
  const std::string_view operation = name_in(kOperations, b[1] & 31);
  const uint16_t status = load_be16(&b[4]);
  const size_t count = std::min<size_t>(load_be16(&b[10]), b.size() - kControlHead);
  map.add("mode", "control");
  map.add("version", static_cast<int64_t>(b[0] >> 3 & 7));
  map.add("operation", operation);
  map.add("sequence", static_cast<int64_t>(load_be16(&b[2])));
  map.add("association", static_cast<int64_t>(load_be16(&b[6])));
  if (count > 0) map.add("text", text_or_bytes(as_text(b.subspan(kControlHead, count)), true));
  if (!response) {
    map.add("summary", join({"control ", operation}, arena));
  } else {
    const std::string_view error = name_in(kControlErrors, status >> 8);
    map.add("status", (b[1] & 0x40) == 0 ? "OK" : error.empty() ? "error" : error);
  }
  return map.build();
}

/// ntpd's own (ntp_request.h)
Value private_payload(Bytes b, bool response, Arena& arena) {
  MapOf map(arena);
  const std::string_view known = name_in(kPrivateRequests, b[3]);
  const std::string_view operation = known.empty() ? decimal(b[3], arena) : known;
  const uint16_t items = load_be16(&b[4]);
  map.add("mode", "private");
  map.add("version", static_cast<int64_t>(b[0] >> 3 & 7));
  map.add("operation", operation);
  map.add("sequence", static_cast<int64_t>(b[1] & 0x7F));
  map.add("implementation", static_cast<int64_t>(b[2]));
  map.add("items", static_cast<int64_t>(items & 0xFFF));
  if (!response) {
    map.add("summary", join({"private ", operation}, arena));
  } else {
    const std::string_view error = name_in(kPrivateErrors, items >> 12);
    map.add("status", error.empty() ? "error" : error);
  }
  return map.build();
}

/// Control messages: nothing but what RFC 9327 2 wants of a request, and the length, makes sure that it is one.
Probe probe_control(Bytes b, bool asks) {
  if (b.size() < kControlHead || b[0] >> 6 != 0 || name_in(kOperations, b[1] & 31).empty()) return Probe::kNo;
  const int version = b[0] >> 3 & 7;
  const size_t end = kControlHead + load_be16(&b[10]), padded = (end + 3) / 4 * 4;
  if (version < 1 || version > 4 || (b[1] >> 7 == 0) != asks) return Probe::kNo;
  // Some pad to four octets, some to eight, and a key's number with a code may follow.
  const size_t behind = b.size() < end ? SIZE_MAX : b.size() == end ? 0 : b.size() - std::min(padded, b.size());
  if (behind != 0 && behind != 4 && behind != 20 && behind != 24 && behind != 28) return Probe::kNo;
  if (asks) return (b[1] & 0xE0) == 0 && load_be16(&b[4]) == 0 && load_be16(&b[8]) == 0 ? Probe::kYes : Probe::kNo;
  return Probe::kYes;
}

/// Private messages, of ntpd alone: 8 octets of head, items of one size, perhaps padded as requests are.
Probe probe_private(Bytes b, bool asks) {
  if (b.size() < kPrivateHead || (b[2] != 0 && b[2] != 2 && b[2] != 3) || b[3] > 45) return Probe::kNo;
  const int version = b[0] >> 3 & 7;
  if (version < 1 || version > 4 || (b[0] >> 7 == 0) != asks) return Probe::kNo;
  const size_t items = load_be16(&b[4]) & 0xFFF, size = load_be16(&b[6]) & 0xFFF, end = kPrivateHead + items * size;
  if (load_be16(&b[6]) >> 12 != 0 || end > b.size()) return Probe::kNo;
  if (!asks) return end == b.size() || b.size() == 48 ? Probe::kYes : Probe::kNo;
  const bool empty = std::all_of(b.begin() + static_cast<ptrdiff_t>(end), b.end(), [](uint8_t x) { return x == 0; });
  const bool known_size = b.size() == end || b.size() == 48 || b.size() == 184 || b.size() == 192 || b.size() == 216;
  return (b[0] >> 6 == 0) && b[1] < 0x80 && load_be16(&b[4]) >> 12 == 0 && empty && known_size ? Probe::kYes
                                                                                               : Probe::kNo;
}

Value payload(Bytes b, bool response, Arena& arena) {
  MapOf map(arena);
  const int mode = b[0] & 7, version = b[0] >> 3 & 7, leap = b[0] >> 6;
  const int stratum = b[1];
  map.add("mode", kModes[mode]);
  map.add("version", version);
  if (!response) map.add("summary", join({kModes[mode], " ", decimal(static_cast<uint64_t>(version), arena)}, arena));
  if (b.size() < kSize) return map.build();
  const std::string_view code = as_text(b.subspan(12, 4));
  const std::string_view name = code.substr(0, std::min(code.find('\0'), code.size()));
  const Value reference = stratum <= 1 ? (is_printable(name) ? Value(name) : Value(hex(b.subspan(12, 4), arena)))
                                       : Value(address_text(b.subspan(12, 4), arena));
  map.add("leap", leap);
  map.add("stratum", stratum);
  map.add("poll", static_cast<int64_t>(static_cast<int8_t>(b[2])));
  map.add("precision", static_cast<int64_t>(static_cast<int8_t>(b[3])));
  map.add("rootDelay", short_seconds(load_be32(&b[4])));
  map.add("rootDispersion", short_seconds(load_be32(&b[8])));
  map.add("referenceId", reference);
  map.add("referenceTime", seconds(load_be64(&b[16])));
  map.add("originateTime", seconds(load_be64(&b[24])));
  map.add("receiveTime", seconds(load_be64(&b[32])));
  map.add("transmitTime", seconds(load_be64(&b[40])));
  add_extensions(b.subspan(kSize), map, arena);
  if (response) map.add("status", stratum == 0 ? reference : leap == 3 ? Value("not synchronized") : Value("OK"));
  return map.build();
}

}  // namespace

const item::Protocol Ntp::kProtocol = {
    .name = "ntp",
    .version = "4",
    .abbreviation = "NTP",
    .long_name = "Network Time Protocol",
    .macro = "ntp",
    .reference = "https://datatracker.ietf.org/doc/html/rfc5905",
    .background = "#37474f",
    .foreground = "#ffffff",
    .priority = 10,
    .layer4 = "udp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.mode",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

Probe Ntp::probe(const Input& in) {
  const Bytes b = in.bytes;
  if (b.empty()) return Probe::kNo;
  if ((b[0] & 7) == 6) return probe_control(b, in.direction == Direction::kToServer);
  if ((b[0] & 7) == 7) return probe_private(b, in.direction == Direction::kToServer);
  if (b.size() < kSize || (b.size() - kSize) % 4 != 0 || b.size() > 1024) return Probe::kNo;
  const int version = b[0] >> 3 & 7, mode = b[0] & 7, stratum = b[1];
  const int poll = static_cast<int8_t>(b[2]), precision = static_cast<int8_t>(b[3]);
  if (version < 1 || version > 4 || mode < 1 || mode > 5 || stratum > 16) return Probe::kNo;
  if (poll < -8 || poll > 17 || precision > (mode == 3 ? 32 : 0) || precision < -40) return Probe::kNo;
  // Less than a quarter of an hour, each.
  if (load_be32(&b[4]) > 900u << 16 || load_be32(&b[8]) > 900u << 16) return Probe::kNo;
  const bool answers = mode == 4 || mode == 2;
  if (answers != (in.direction == Direction::kToClient)) return Probe::kNo;
  // The simplest clients send nothing but the first byte.
  if (mode == 3 && std::all_of(b.begin() + 1, b.end(), [](uint8_t byte) { return byte == 0; })) return Probe::kYes;
  const uint32_t transmitted = load_be32(&b[40]);
  if (transmitted == 0) return Probe::kNo;
  // A server knows what the time is: between 1990 and the end of era 0, or in era 1 until 2053.
  const auto plausible = [](uint32_t s) { return s >= 2840140800u || s < 0x20000000u; };
  // It repeats the client's transmit stamp, which the simplest leave zero.
  if (answers)
    return plausible(transmitted) &&
                   (load_be64(&b[24]) != 0 || (load_be32(&b[32]) != 0 && plausible(load_be32(&b[32]))))
               ? Probe::kYes
               : Probe::kNo;
  if (mode == 3) {
    // Clients that hide their time send zeros but for the last stamp (in interleaved mode also what they repeat of the
    // server's); others say when it is.
    const auto zero = [&](size_t from, size_t to) {
      return std::all_of(&b[from], &b[to], [](uint8_t byte) { return byte == 0; });
    };
    const bool bare = zero(16, 40) || zero(4, 24);
    return bare || plausible(transmitted) ? Probe::kYes : Probe::kNo;
  }
  return plausible(transmitted) ? Probe::kYes : Probe::kNo;
}

Probe Ntp::begins(Direction d, Bytes b) { return probe({d, b, {}, true}); }
Measure Ntp::measure(Direction, Bytes b) const { return Measure::frame(b.size()); }

Step Ntp::message(const Frame& frame, Output& out) {
  const Bytes b = frame.bytes;
  const int mode = b[0] & 7;
  if (b.size() < (mode == 6 ? kControlHead : mode == 7 ? kPrivateHead : kSize)) {
    out.count(Counter::kMalformed);
    return Step::took(frame.size);
  }
  if (mode >= 6) return management(frame, out);
  const uint64_t originate = load_be64(&b[24]), receive = load_be64(&b[32]), transmit = load_be64(&b[40]);
  Item* item = nullptr;
  bool early = false;
  if (mode == 4) {
    item = waiting_.take(originate);
    if (item == nullptr) item = interleaved(originate);
    if (item == nullptr) item = begin_unasked(kProtocol, waiting_.early, originate, frame, early, out);
  } else {
    if (mode == 3) item = waiting_.early.take(transmit, frame.time, out);
    if (mode == 3 && item == nullptr && receive != 0) item = waiting_.early.take(receive, frame.time, out);
    early = item != nullptr;
    if (!early) item = out.begin(kProtocol);
  }
  const Bytes copy = item->arena.copy(b);
  set(mode == 4 ? item->response : item->request, payload(copy, mode == 4, item->arena), frame);
  item->data.size = mode == 3 ? receive : 0;
  if (mode == 4 && early) {
    waiting_.early.keep(originate, item, out);
  } else if (mode == 3 && !early) {
    waiting_.push(transmit, item, out);
  } else if (mode == 4 || early) {
    out.finish(item);
  } else {
    finish_single(item, out);
  }
  return Step::took(frame.size);
}

/// RFC 9769 2: in interleaved mode a server repeats the client's receive timestamp instead; `data.size` keeps it.
item::Item* Ntp::interleaved(uint64_t originate) {
  if (originate == 0) return nullptr;
  for (Item* i = waiting_.front(); i != nullptr; i = i->next)
    if (i->data.size == originate) return waiting_.take(i->match_key);
  return nullptr;
}

/// Control and private messages: an answer may take several datagrams, all but the last with the "more" bit.
Step Ntp::management(const Frame& frame, Output& out) {
  const Bytes b = frame.bytes;
  const bool control = (b[0] & 7) == 6;
  const bool asks = control ? b[1] >> 7 == 0 : b[0] >> 7 == 0;
  const bool more = control ? (b[1] & 0x20) != 0 : (b[0] & 0x40) != 0;
  // Timestamps of clients with these top bits would be of 1900.
  const uint64_t key = control ? uint64_t{1} << 32 | static_cast<uint64_t>(b[1] & 31) << 16 | load_be16(&b[2])
                               : uint64_t{2} << 32 | static_cast<uint64_t>(b[3]) << 16 | b[2];
  Item* item = asks ? out.begin(kProtocol) : waiting_.find(key);
  const bool unasked = item == nullptr;
  if (unasked) item = begin_orphan(kProtocol, out);
  Arena& arena = item->arena;
  const Bytes copy = arena.copy(b);
  const Value now = control ? control_payload(copy, !asks, arena) : private_payload(copy, !asks, arena);
  if (asks) {
    set(item->request, now, frame);
    waiting_.push(key, item, out);
    return Step::took(frame.size);
  }
  MapOf map(arena);
  const Value before = item->response.payload;
  for (const item::Member& m : now.members()) {
    const Value old = before[m.name];
    if (m.name != "text" || !old.is_string() || !m.value.is_string()) {
      map.add(m.name, m.value);
    } else {
      map.add(m.name, old.text().size() < kMaxText ? Value(join({old.text(), m.value.text()}, arena)) : old);
    }
  }
  const int64_t packets = before["packets"].as_int() + 1;
  map.add("packets", packets);
  const Timestamp first = item->response.present ? item->response.time : frame.time;
  item->response = {map.build(), first, item->response.size + frame.size, true};
  if (unasked) {
    out.finish(item);
  } else if (!more || packets == kMaxPackets) {
    out.finish(waiting_.take(key));
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::ntp
