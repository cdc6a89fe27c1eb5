#include "dissect/tls/hello.h"

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
  uint16_t best = 0;
  for (size_t i = 0; i < versions.size(); ++i)
    if (!is_grease(versions[i]) && versions[i] > best && versions[i] < 0x7F00) best = versions[i];
  return best != 0 ? best : legacy_version;
}

Hello read_hello(Bytes body, bool is_client) {
  Hello h;
  h.is_client = is_client;
  ByteReader r(body);
  h.legacy_version = r.be16();
  h.random = r.bytes(32);
  h.session_id = r.bytes(r.u8());
  h.ciphers = is_client ? numbers(r, r.be16()) : numbers(r, 2);
  const uint8_t compression = r.u8();
  if (is_client)
    r.skip(compression);  // methods
  else
    h.compression = compression;
  if (!r.ok()) return h;
  h.ok = h.legacy_version >> 8 == 3 && h.session_id.size() <= 32;
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

}  // namespace baleen::dissect::tls
