#include "dissect/tls/describe.h"

#include <algorithm>

#include "codec/inflate.h"
#include "dissect/tls/certificate.h"
#include "dissect/tls/names.h"

namespace baleen::dissect::tls {

using item::Value;

namespace {

void add_extensions(const Hello& hello, MapOf& out, Arena& arena) {
  ListOf names(arena);
  for (const Extension& e : hello.all())
    if (!is_grease(e.type)) names.push(extension_name(e.type, arena));
  out.add("extensions", names.build());
}

/// Values that mean nothing and keep servers tolerant (RFC 8701).
bool has_grease(const Hello& h) {
  for (const Numbers& list : {h.ciphers, h.groups, h.versions})
    for (size_t i = 0; i < list.size(); ++i)
      if (is_grease(list[i])) return true;
  return std::any_of(h.all().begin(), h.all().end(), [](const Extension& e) { return is_grease(e.type); });
}

Value weaknesses(uint16_t version, std::string_view cipher, Arena& arena) {
  ListOf out(arena);
  if (version < 0x0303 || version == 0xFEFF) out.push(join({"obsolete version ", version_name(version, arena)}, arena));
  for (const std::string_view word : {"RC4", "_NULL_", "EXPORT", "anon", "_DES_", "3DES", "MD5", "RC2"})
    if (cipher.find(word) != std::string_view::npos) {
      std::string_view bare = word;
      while (bare.front() == '_') bare.remove_prefix(1);
      while (bare.back() == '_') bare.remove_suffix(1);
      out.push(join({"weak cipher suite: ", bare}, arena));
    }
  return out.empty() ? Value() : out.build();
}

}  // namespace

std::string_view alpn_text(Bytes alpn, Arena& arena) {
  std::string_view out;
  for (ByteReader r(alpn); !r.at_end();) {
    const std::string_view name = r.text(r.u8());
    if (!r.ok()) break;
    out = out.empty() ? name : join({out, ",", is_printable(name) ? name : hex(as_bytes(name), arena)}, arena);
    if (out.size() > 1024) break;
  }
  return is_text(out) ? out : hex(as_bytes(out), arena);
}

void describe_client(const Hello& h, MapOf& out, Arena& arena) {
  const std::string_view sni = is_text(h.sni) ? h.sni : hex(as_bytes(h.sni), arena);
  const uint16_t version = h.version();
  out.add("info", "ClientHello");
  out.add("summary", sni.empty() ? version_name(version, arena) : sni);
  out.add("sni", sni);
  out.add("alpn", alpn_text(h.alpn, arena));
  out.add("version", static_cast<int64_t>(version));
  out.add("versionName", version_name(version, arena));
  if (h.versions.size() > 0) {
    ListOf versions(arena);
    for (size_t i = 0; i < h.versions.size(); ++i)
      if (!is_grease(h.versions[i])) versions.push(version_name(h.versions[i], arena));
    out.add("versions", versions.build());
  }
  ListOf ciphers(arena), groups(arena);
  for (size_t i = 0; i < h.ciphers.size(); ++i)
    if (!is_grease(h.ciphers[i])) ciphers.push(cipher_name(h.ciphers[i], arena));
  out.add("cipherSuites", ciphers.build());
  add_extensions(h, out, arena);
  for (size_t i = 0; i < h.groups.size(); ++i)
    if (!is_grease(h.groups[i])) groups.push(group_name(h.groups[i], arena));
  out.add("groups", groups.build());
  const std::string_view ja3 = ja3_text(h, arena);
  const Ja4 fingerprint = ja4(h, arena);
  if (!h.is_v2) {
    out.add("ja3", ja3_hash(ja3, arena));
    out.add("ja3Text", ja3);
    out.add("ja4", fingerprint.hashed);
    out.add("ja4Raw", fingerprint.raw);
  }
  out.add_text("sessionId", hex(h.session_id, arena));
  if (h.has_psk || h.has_ticket || (!h.session_id.empty() && version < 0x0304))
    out.add("resumption", h.has_psk ? "pre-shared key" : h.has_ticket ? "session ticket" : "session id");
  if (h.has_early_data) out.add("earlyData", true);
  if (h.has_ech) out.add("encryptedClientHello", true);
  if (h.is_v2) out.add("sslv2Hello", true);
  if (has_grease(h)) out.add("grease", true);
}

void describe_server(const Hello& h, MapOf& out, Arena& arena) {
  const uint16_t version = h.version(), cipher = h.ciphers.size() > 0 ? h.ciphers[0] : 0;
  const std::string_view name = cipher_name(cipher, arena);
  out.add("info", is_retry(h) ? "HelloRetryRequest" : "ServerHello");
  out.add("version", static_cast<int64_t>(version));
  out.add("versionName", version_name(version, arena));
  out.add("cipherSuite", static_cast<int64_t>(cipher));
  out.add("cipherSuiteName", name);
  if (h.has_alpn) out.add("alpn", alpn_text(h.alpn, arena));
  add_extensions(h, out, arena);
  out.add("ja3s", ja3_hash(ja3_text(h, arena), arena));
  out.add_text("sessionId", hex(h.session_id, arena));
  if (h.selected_group != 0) out.add("group", group_name(h.selected_group, arena));
  if (const Value weak = weaknesses(version, name, arena); !weak.is_null()) out.add("security", weak);
}

Value read_certificates(Bytes body, bool modern, Arena& arena) {
  ByteReader r(body);
  ListOf list(arena);
  if (modern) r.skip(r.u8());
  for (ByteReader each(r.bytes(r.be24())); !each.at_end();) {
    const Bytes der = each.bytes(each.be24());
    if (modern) each.skip(each.be16());
    if (!each.ok()) break;
    if (const Value v = read_certificate(der, arena); !v.is_null()) list.push(v);
  }
  return list.build();
}

CompressedCertificates read_compressed_certificates(Bytes body, size_t most, Arena& arena) {
  ByteReader r(body);
  const uint16_t algorithm = r.be16();
  const size_t size = r.be24();
  const Bytes packed = r.bytes(r.be24());
  // Section 7.3.
  const codec::Coding coding = algorithm == 1   ? codec::Coding::kDeflate
                               : algorithm == 2 ? codec::Coding::kBrotli
                               : algorithm == 3 ? codec::Coding::kZstd
                                                : codec::Coding::kUnknown;
  CompressedCertificates out;
  out.algorithm = algorithm == 1   ? "zlib"
                  : algorithm == 2 ? "brotli"
                  : algorithm == 3 ? "zstd"
                                   : decimal(algorithm, arena);
  if (!r.ok() || size == 0 || size > most || coding == codec::Coding::kUnknown) return out;
  const codec::Decoded plain = codec::decode(coding, packed, size, arena);
  if (plain.ending == codec::Ending::kWhole && plain.bytes.size() == size)
    out.certificates = read_certificates(plain.bytes, true, arena);
  return out;
}

}  // namespace baleen::dissect::tls
