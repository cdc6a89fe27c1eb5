#include "dissect/tls/hello.h"

#include <algorithm>
#include <iterator>

#include "dissect/tls/names.h"

namespace baleen::dissect::tls {
namespace {

Numbers numbers(ByteReader& r, size_t bytes) { return {r.bytes(bytes & ~size_t{1})}; }

void read_extension(Hello& h, const Extension& e) {
  ByteReader r(e.content);
  switch (e.type) {
    case 0:
      h.has_sni = true;
      if (!h.is_client) return;
      for (ByteReader list(r.bytes(r.be16())); !list.at_end();) {
        const uint8_t type = list.u8();
        const std::string_view name = list.text(list.be16());
        if (list.ok() && type == 0) {
          h.sni = name;
          return;
        }
      }
      return;
    case 10: h.groups = numbers(r, r.be16()); return;
    case 11: h.point_formats = r.bytes(r.u8()); return;
    case 13: h.signatures = numbers(r, r.be16()); return;
    case 16:
      h.has_alpn = true;
      h.alpn = r.bytes(r.be16());
      return;
    case 35: h.has_ticket = !e.content.empty(); return;
    case 41: h.has_psk = true; return;
    case 42: h.has_early_data = true; return;
    case 43: h.versions = h.is_client ? numbers(r, r.u8()) : numbers(r, 2); return;
    case 51:
      if (!h.is_client) h.selected_group = r.be16();
      return;
    case 65037: h.has_ech = true; return;
    default: return;
  }
}

}  // namespace

uint16_t Hello::version() const {
  if (legacy_version >> 8 == 0xFE) {  // DTLS: the lower, the newer
    uint16_t best = 0xFFFF;
    for (size_t i = 0; i < versions.size(); ++i)
      if (versions[i] >> 8 == 0xFE) best = std::min(best, versions[i]);
    return best != 0xFFFF ? best : legacy_version;
  }
  if (!is_client && versions.size() == 1 && versions[0] >> 8 == 0x7F) return versions[0];  // a draft
  uint16_t best = 0;
  for (size_t i = 0; i < versions.size(); ++i)
    if (!is_grease(versions[i]) && versions[i] > best && versions[i] < 0x7F00) best = versions[i];
  return best != 0 ? best : legacy_version;
}

namespace {

Hello read(Bytes body, bool is_client, bool datagrams) {
  Hello h;
  h.is_client = is_client;
  ByteReader r(body);
  h.legacy_version = r.be16();
  // Until draft 21 of TLS 1.3 servers said which draft it is here, and neither session nor compression.
  const bool early_draft = !is_client && !datagrams && h.legacy_version >> 8 == 0x7F && h.legacy_version <= 0x7F15;
  h.random = r.bytes(32);
  if (!early_draft) h.session_id = r.bytes(r.u8());
  if (datagrams && is_client) r.skip(r.u8());  // cookie
  h.ciphers = is_client ? numbers(r, r.be16()) : numbers(r, 2);
  const uint8_t compression = early_draft ? 0 : r.u8();
  if (is_client)
    r.skip(compression);  // methods
  else
    h.compression = compression;
  if (!r.ok()) return h;
  const bool known =
      h.legacy_version >> 8 == (datagrams ? 0xFE : 3) || early_draft || (datagrams && h.legacy_version == 0x0100);
  h.ok = known && h.session_id.size() <= 32;
  if (r.remaining() < 2) return h;
  ByteReader list(r.bytes(r.be16()));
  if (!r.ok()) {
    h.ok = false;
    return h;
  }
  while (!list.at_end()) {
    Extension e;
    e.type = list.be16();
    e.content = list.bytes(list.be16());
    if (!list.ok()) {
      h.ok = false;
      break;
    }
    if (h.extension_count < Hello::kMaxExtensions) h.extensions[h.extension_count++] = e;
    read_extension(h, e);
  }
  return h;
}

/// SHA-256 of "HelloRetryRequest".
constexpr uint8_t kRetryRandom[] = {0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C,
                                    0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB,
                                    0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C};

}  // namespace

Hello read_hello(Bytes body, bool is_client) { return read(body, is_client, false); }
Hello read_datagram_hello(Bytes body, bool is_client) { return read(body, is_client, true); }

bool is_retry(const Hello& h) {
  return h.random.size() == 32 && std::equal(h.random.begin(), h.random.end(), std::begin(kRetryRandom));
}

size_t measure_v2_hello(Bytes b) {
  if (b.size() < 11) return 0;
  const size_t size = (b[0] & 0x7Fu) << 8 | b[1];
  const size_t ciphers = load_be16(&b[5]), session = load_be16(&b[7]), challenge = load_be16(&b[9]);
  const bool good = (b[0] & 0x80) != 0 && b[2] == 1 && b[3] == 3 && b[4] <= 4 && ciphers != 0 && ciphers % 3 == 0 &&
                    (session == 0 || session == 16) && challenge >= 16 && challenge <= 32 &&
                    size == 9 + ciphers + session + challenge;
  return good ? size + 2 : 0;
}

Hello read_v2_hello(Bytes record, Arena& arena) {
  ByteReader r(record.subspan(3));
  Hello h;
  h.is_v2 = true;
  h.legacy_version = r.be16();
  const uint16_t ciphers = r.be16(), session = r.be16(), challenge = r.be16();
  const auto numbers = arena.array<uint8_t>(ciphers / 3 * size_t{2});
  size_t size = 0;
  for (ByteReader each(r.bytes(ciphers)); !each.at_end();) {
    const uint8_t kind = each.u8();
    const Bytes number = each.bytes(2);
    if (!each.ok() || kind != 0) continue;  // a cipher of SSL 2.0
    numbers[size++] = number[0];
    numbers[size++] = number[1];
  }
  h.ciphers = {numbers.first(size)};
  h.session_id = r.bytes(session);
  const Bytes said = r.bytes(challenge);
  h.ok = r.ok();
  const auto random = arena.array<uint8_t>(32);  // zeros in front
  std::fill(random.begin(), random.end(), uint8_t{0});
  std::copy(said.begin(), said.end(), random.end() - static_cast<ptrdiff_t>(said.size()));
  h.random = random;
  return h;
}

}  // namespace baleen::dissect::tls
