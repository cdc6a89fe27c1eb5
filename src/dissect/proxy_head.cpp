#include "dissect/proxy_head.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/crc32c.h"
#include "dissect/build.h"

namespace baleen::dissect {
namespace {

using Kind = ProxyReading::Kind;

constexpr std::string_view kLine = "PROXY ";
constexpr size_t kLongestLine = 107;  // with CR LF (2.1)
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr size_t kFixed = 16;                            // of a head of version 2
constexpr size_t kPath = 108;                            // of a UNIX address
constexpr size_t kAddresses[] = {0, 12, 36, 2 * kPath};  // bytes, by family

/// Whether one of them begins with the other.
bool agree(std::string_view bytes, std::string_view wanted) {
  const size_t n = std::min(bytes.size(), wanted.size());
  return bytes.substr(0, n) == wanted.substr(0, n);
}

// ---- version 1 ----

std::string_view next_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), word.size() + 1));
  return word;
}

/// Leading zeros are not permitted.
std::optional<uint16_t> port_of(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0')) return {};
  return port;
}

std::optional<net::IpAddress> address_of(std::string_view text, bool v6) {
  if ((text.find(':') != std::string_view::npos) != v6) return {};
  return net::IpAddress::parse(text);
}

/// The line between "PROXY " and CR LF.
bool read_line(std::string_view line, ProxyHead& head) {
  head.version = 1;
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {  // the rest has to be ignored
    head.transport = "UNKNOWN";
    return true;
  }
  const bool v6 = line.starts_with("TCP6 ");
  if (!v6 && !line.starts_with("TCP4 ")) return false;
  head.transport = v6 ? "TCP6" : "TCP4";
  line.remove_prefix(5);
  if (std::ranges::count(line, ' ') != 3) return false;
  const auto source = address_of(next_word(line), v6), destination = address_of(next_word(line), v6);
  const auto source_port = port_of(next_word(line)), destination_port = port_of(line);
  if (!source || !destination || !source_port || !destination_port) return false;
  head.source = {*source, *source_port};
  head.destination = {*destination, *destination_port};
  return head.has_ends = true;
}

ProxyReading read_version1(std::string_view text, ProxyHead& head) {
  const std::string_view most = text.substr(0, kLongestLine);
  // What cannot be in a line ends it, or spoils it.
  const size_t end =
      static_cast<size_t>(std::ranges::find_if(most, [](char c) { return c < 0x20 || c > 0x7E; }) - most.begin());
  const std::string_view line = most.substr(0, end);
  if (!agree(line, kLine)) return {Kind::kNo};
  if (end == most.size()) return {most.size() < kLongestLine ? Kind::kNeed : Kind::kNo};
  if (line.size() < kLine.size() || !agree(most.substr(end), "\r\n")) return {Kind::kNo};
  if (end + 2 > most.size()) return {most.size() < kLongestLine ? Kind::kNeed : Kind::kNo};
  if (!read_line(line.substr(kLine.size()), head)) return {Kind::kNo};
  return {Kind::kYes, end + 2};
}

// ---- version 2 ----

std::string path_of(Bytes field) {
  const std::string_view text = as_text(field);
  return std::string(text.substr(0, text.find('\0', 1)));  // an abstract socket's name begins with a zero
}

/// Calls `take(type, value)` for each that is whole.
template <class Take>
void each_tlv(Bytes bytes, Take take) {
  for (ByteReader in(bytes); in.remaining() >= 3;) {
    const uint8_t type = in.u8();
    const Bytes value = in.bytes(in.be16());
    if (!in.ok()) return;
    take(type, value);
  }
}

void read_tls(Bytes value, ProxyHead& head) {
  if (value.size() < 5) return;
  head.has_tls = true;
  head.tls_client = value[0];
  head.tls_verify = load_be32(value.data() + 1);
  each_tlv(value.subspan(5), [&](uint8_t type, Bytes v) {
    switch (type) {
      case 0x21: head.tls_version = as_text(v); break;
      case 0x22: head.tls_common_name = as_text(v); break;
      case 0x23: head.tls_cipher = as_text(v); break;
      case 0x24: head.tls_signature = as_text(v); break;
      case 0x25: head.tls_key = as_text(v); break;
      default: break;
    }
  });
}

/// `whole`: the head, where all of it is there; else nothing.
void read_checksum(Bytes value, Bytes whole, ProxyHead& head) {
  if (value.size() != 4 || whole.empty()) return;
  static constexpr uint8_t kZeros[4] = {};
  const auto before = static_cast<size_t>(value.data() - whole.data());
  uint32_t sum = crc32c(whole.first(before));
  sum = crc32c(kZeros, sum);
  sum = crc32c(whole.subspan(before + 4), sum);
  head.checksum = sum == load_be32(value.data()) ? ProxyHead::Checksum::kRight : ProxyHead::Checksum::kWrong;
}

void read_tlvs(Bytes bytes, Bytes whole, ProxyHead& head) {
  each_tlv(bytes, [&](uint8_t type, Bytes v) {
    switch (type) {
      case 0x01: head.alpn = as_text(v); break;
      case 0x02: head.authority = as_text(v); break;
      case 0x03: read_checksum(v, whole, head); break;
      case 0x05: head.unique_id = as_text(v); break;
      case 0x20: read_tls(v, head); break;
      case 0x30: head.net_namespace = as_text(v); break;
      case 0xEA:
        if (v.size() > 1 && v[0] == 1) head.vpc_endpoint = as_text(v.subspan(1));
        break;
      default: break;
    }
  });
}

/// The addresses of this family; how many bytes they take. REQUIRES: they are there.
size_t read_addresses(uint8_t family, uint8_t protocol, Bytes bytes, ProxyHead& head) {
  const size_t size = kAddresses[family];
  if (family == 0 || protocol == 0) return size;  // whatever is there has to be ignored
  const bool stream = protocol == 1;
  if (family == 3) {
    head.transport = stream ? "UNIX" : "UNIX-DGRAM";
    head.source_path = path_of(bytes.first(kPath));
    head.destination_path = path_of(bytes.subspan(kPath, kPath));
    return size;
  }
  const bool v6 = family == 2;
  head.transport = v6 ? (stream ? "TCP6" : "UDP6") : stream ? "TCP4" : "UDP4";
  const uint8_t* const at = bytes.data();
  head.source = {v6 ? net::IpAddress::v6(at) : net::IpAddress::v4(at), load_be16(at + size - 4)};
  head.destination = {v6 ? net::IpAddress::v6(at + 16) : net::IpAddress::v4(at + 4), load_be16(at + size - 2)};
  head.has_ends = true;
  return size;
}

ProxyReading read_version2(Bytes bytes, ProxyHead& head) {
  if (!agree(as_text(bytes), kSignature)) return {Kind::kNo};
  if (bytes.size() > 12 && (bytes[12] >> 4 != 2 || (bytes[12] & 15) > 1)) return {Kind::kNo};
  if (bytes.size() < kFixed) return {Kind::kNeed};
  const size_t size = kFixed + load_be16(&bytes[14]);
  const size_t wanted = std::min(size, kProxyHeadRead);
  head.version = 2;
  head.local = (bytes[12] & 15) == 0;
  const uint8_t family = bytes[13] >> 4, protocol = bytes[13] & 15;
  // Of what the balancer says for itself the family is ignored.
  if (!head.local && (family > 3 || protocol > 2 || size - kFixed < kAddresses[family])) return {Kind::kNo};
  if (bytes.size() < wanted) return {Kind::kNeed};
  const Bytes content = bytes.first(wanted).subspan(kFixed);
  head.transport = "UNKNOWN";
  if (head.local) return {Kind::kYes, size};
  const size_t addresses = read_addresses(family, protocol, content, head);
  read_tlvs(content.subspan(addresses), wanted == size ? bytes.first(size) : Bytes{}, head);
  return {Kind::kYes, size};
}

// ---- as items show it ----

item::Value end_value(const net::Endpoint& end, Arena& arena) {
  char text[46];
  MapOf map(arena);
  map.add("ip", arena.copy(std::string_view(text, net::write_address(end.ip, text))));
  map.add("port", decimal(end.port, arena));
  return map.build();
}

item::Value path_value(const std::string& path, Arena& arena) {
  MapOf map(arena);
  map.add("path", arena.copy(path));
  return map.build();
}

item::Value tls_value(const ProxyHead& head, Arena& arena) {
  MapOf map(arena);
  const auto text = [&](std::string_view name, const std::string& value) { map.add_text(name, arena.copy(value)); };
  text("version", head.tls_version);
  text("cipher", head.tls_cipher);
  map.add("clientCertificate", (head.tls_client & 6) != 0);
  if ((head.tls_client & 6) != 0) map.add("verified", head.tls_verify == 0);
  text("cn", head.tls_common_name);
  text("signatureAlgorithm", head.tls_signature);
  text("keyAlgorithm", head.tls_key);
  return map.build();
}

}  // namespace

ProxyReading read_proxy_head(Bytes bytes, ProxyHead& head) {
  return bytes[0] == 'P' ? read_version1(as_text(bytes), head) : read_version2(bytes, head);
}

item::Value ProxyHead::value(Arena& arena) const {
  MapOf map(arena);
  const auto text = [&](std::string_view name, const std::string& value) { map.add_text(name, arena.copy(value)); };
  map.add("version", int{version});
  map.add("command", local ? "LOCAL" : "PROXY");
  map.add("transport", transport);
  if (has_ends) {
    map.add("src", end_value(source, arena));
    map.add("dst", end_value(destination, arena));
  } else if (transport.starts_with("UNIX")) {
    map.add("src", path_value(source_path, arena));
    map.add("dst", path_value(destination_path, arena));
  }
  text("alpn", alpn);
  text("authority", authority);
  if (!unique_id.empty())
    map.add("uniqueId", is_printable(unique_id) ? arena.copy(unique_id) : hex(as_bytes(unique_id), arena));
  text("netns", net_namespace);
  text("vpcEndpoint", vpc_endpoint);
  if (has_tls) map.add("tls", tls_value(*this, arena));
  if (checksum != Checksum::kNone) map.add("checksum", checksum == Checksum::kRight ? "right" : "wrong");
  if (number > 1) map.add("heads", int{number});
  return map.build();
}

}  // namespace baleen::dissect
