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
};

constexpr std::string_view kModes[] = {"reserved", "symmetric active", "symmetric passive", "client",
                                       "server",   "broadcast",        "control",           "private"};
constexpr size_t kSize = 48;

/// Seconds since 1970 (RFC 5905 6); zero stays zero.
double seconds(uint64_t stamp) {
  return stamp == 0
             ? 0
             : static_cast<double>(stamp >> 32) - 2208988800.0 + static_cast<double>(stamp & 0xFFFFFFFF) / 4294967296.0;
}
double short_seconds(uint32_t v) { return static_cast<double>(v) / 65536.0; }

Value payload(Bytes b, bool response, Arena& arena) {
  MapOf map(arena);
  const int mode = b[0] & 7, version = b[0] >> 3 & 7, leap = b[0] >> 6;
  const int stratum = b[1];
  map.add("mode", kModes[mode]);
  map.add("version", version);
  if (!response) map.add("summary", join({kModes[mode], " ", decimal(static_cast<uint64_t>(version), arena)}, arena));
  if (b.size() < kSize || mode >= 6) return map.build();
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
  if (b.size() < kSize || (b.size() - kSize) % 4 != 0 || b.size() > 1024) return Probe::kNo;
  const int version = b[0] >> 3 & 7, mode = b[0] & 7, stratum = b[1];
  const int poll = static_cast<int8_t>(b[2]), precision = static_cast<int8_t>(b[3]);
  if (version < 1 || version > 4 || mode < 1 || mode > 5 || stratum > 16) return Probe::kNo;
  if (poll < 0 || poll > 17 || precision > (mode == 3 ? 32 : 0) || precision < -40) return Probe::kNo;
  // Less than a quarter of an hour, each.
  if (load_be32(&b[4]) > 900u << 16 || load_be32(&b[8]) > 900u << 16) return Probe::kNo;
  const bool answers = mode == 4 || mode == 2;
  if (answers != (in.direction == Direction::kToClient)) return Probe::kNo;
  // The simplest clients send nothing but the first byte.
  if (mode == 3 && std::all_of(b.begin() + 1, b.end(), [](uint8_t byte) { return byte == 0; })) return Probe::kYes;
  const uint32_t transmitted = load_be32(&b[40]);
  if (transmitted == 0) return Probe::kNo;
  // A server knows what the time is: between 2000 and 2100, as far as era 0 goes, or in era 1.
  const auto plausible = [](uint32_t s) { return s >= 3155673600u || s < 0x20000000u; };
  if (answers) return plausible(transmitted) && load_be64(&b[24]) != 0 ? Probe::kYes : Probe::kNo;
  if (mode == 3) {
    // Clients that hide their time send zeros but for the last stamp; others say when it is.
    const bool bare = load_be64(&b[16]) == 0 && load_be64(&b[24]) == 0 && load_be64(&b[32]) == 0;
    return bare || plausible(transmitted) ? Probe::kYes : Probe::kNo;
  }
  return plausible(transmitted) ? Probe::kYes : Probe::kNo;
}

Probe Ntp::begins(Direction d, Bytes b) { return probe({d, b, {}, true}); }
Measure Ntp::measure(Direction, Bytes b) const { return Measure::frame(b.size()); }

Step Ntp::message(const Frame& frame, Output& out) {
  const Bytes b = frame.bytes;
  const int mode = b[0] & 7;
  if (b.size() < 12 || (mode <= 5 && b.size() < kSize)) {
    out.count(Counter::kMalformed);
    return Step::took(frame.size);
  }
  Item* item = mode == 4 ? waiting_.take(load_be64(&b[24])) : out.begin(kProtocol);
  if (item == nullptr) item = begin_orphan(kProtocol, out);
  const Bytes copy = item->arena.copy(b);
  set(mode == 4 ? item->response : item->request, payload(copy, mode == 4, item->arena), frame);
  if (mode == 3) {
    waiting_.push(load_be64(&b[40]), item, out);
  } else if (mode == 4) {
    out.finish(item);
  } else {
    finish_single(item, out);
  }
  return Step::took(frame.size);
}

}  // namespace baleen::dissect::ntp
