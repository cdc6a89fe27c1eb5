#include "dissect/tls/certificate.h"

#include "dissect/ber.h"
#include "dissect/build.h"

namespace baleen::dissect::tls {

using item::Value;

namespace {

struct Oid {
  std::string_view bytes, name;
};

constexpr Oid kOids[] = {
    {"\x55\x04\x03", "CN"},
    {"\x55\x04\x06", "C"},
    {"\x55\x04\x07", "L"},
    {"\x55\x04\x08", "ST"},
    {"\x55\x04\x0A", "O"},
    {"\x55\x04\x0B", "OU"},
    {"\x55\x04\x05", "serialNumber"},
    {"\x55\x04\x09", "street"},
    {"\x55\x04\x11", "postalCode"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x09\x01", "emailAddress"},
    {"\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x19", "DC"},
    {"\x09\x92\x26\x89\x93\xF2\x2C\x64\x01\x01", "UID"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01", "RSA"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x04", "RSA-MD5"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x05", "RSA-SHA1"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0A", "RSA-PSS"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0B", "RSA-SHA256"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0C", "RSA-SHA384"},
    {"\x2A\x86\x48\x86\xF7\x0D\x01\x01\x0D", "RSA-SHA512"},
    {"\x2A\x86\x48\xCE\x3D\x02\x01", "EC"},
    {"\x2A\x86\x48\xCE\x3D\x04\x03\x02", "ECDSA-SHA256"},
    {"\x2A\x86\x48\xCE\x3D\x04\x03\x03", "ECDSA-SHA384"},
    {"\x2A\x86\x48\xCE\x3D\x04\x03\x04", "ECDSA-SHA512"},
    {"\x2B\x65\x70", "Ed25519"},
    {"\x2B\x65\x71", "Ed448"},
    {"\x2A\x86\x48\xCE\x38\x04\x01", "DSA"},
};

constexpr std::string_view kAlternativeNames = "\x55\x1D\x11", kConstraints = "\x55\x1D\x13";

/// "1.2.840.113549" (X.690 8.19), or a name for those that are met often.
std::string_view oid_text(Bytes oid, Arena& arena) {
  for (const Oid& o : kOids)
    if (o.bytes == as_text(oid)) return o.name;
  char text[160];
  size_t at = 0;
  uint64_t n = 0;
  bool first = true;
  const auto put = [&](uint64_t v) {
    const std::string_view d = decimal(v, arena);
    if (at + d.size() + 1 >= sizeof text) return;
    if (at != 0) text[at++] = '.';
    at += d.copy(text + at, d.size());
  };
  for (const uint8_t b : oid) {
    n = n << 7 | (b & 0x7F);
    if ((b & 0x80) != 0) continue;
    if (first) {
      const uint64_t top = std::min<uint64_t>(n / 40, 2);
      put(top);
      put(n - top * 40);
    } else {
      put(n);
    }
    first = false;
    n = 0;
  }
  return arena.copy(std::string_view(text, at));
}

/// BMPString and UTF8String and the rest as UTF-8; what is not text in hexadecimal.
std::string_view string_text(const Ber& s, Arena& arena) {
  if (s.tag == 0x1E) {  // two bytes a character: the Latin ones
    char* const out = static_cast<char*>(arena.allocate(s.content.size() / 2 + 1, 1));
    for (size_t i = 0; i + 1 < s.content.size(); i += 2)
      out[i / 2] = s.content[i] == 0 && s.content[i + 1] < 0x80 ? static_cast<char>(s.content[i + 1]) : '?';
    return {out, s.content.size() / 2};
  }
  return is_text(s.text()) ? s.text() : hex(s.content, arena);
}

/// "CN=example.org, O=Example" in the order of the certificate.
std::string_view name_text(Bytes rdns, Arena& arena) {
  std::string_view out;
  for (ByteReader r(rdns); !r.at_end();) {
    for (ByteReader set(ber(r).content); !set.at_end();) {
      ByteReader pair(ber(set).content);
      const Ber type = ber(pair), value = ber(pair);
      if (!pair.ok()) return out;
      out = join({out, out.empty() ? "" : ", ", oid_text(type.content, arena), "=", string_text(value, arena)}, arena);
      if (out.size() > 2048) return out;
    }
  }
  return out;
}

/// UTCTime and GeneralizedTime in UTC (RFC 5280 4.1.2.5) as RFC 3339.
std::string_view time_text(const Ber& t, Arena& arena) {
  std::string_view s = t.text();
  std::string_view century = "";
  if (t.tag == 0x17) {
    if (s.size() != 13) return {};
    century = s[0] < '5' ? "20" : "19";
  } else if (s.size() != 15) {
    return {};
  }
  if (!is_printable(s)) return {};
  const std::string_view year = s.substr(0, t.tag == 0x17 ? 2 : 4);
  s.remove_prefix(year.size());
  return join({century, year, "-", s.substr(0, 2), "-", s.substr(2, 2), "T", s.substr(4, 2), ":", s.substr(6, 2), ":",
               s.substr(8, 2), "Z"},
              arena);
}

void read_extensions(Bytes list, MapOf& out, Arena& arena) {
  ByteReader outer(list);
  for (ByteReader r(ber(outer).content); !r.at_end();) {
    ByteReader e(ber(r).content);
    const std::string_view oid = ber(e).text();
    Ber value = ber(e);
    if (value.tag == 0x01) value = ber(e);  // critical
    if (!e.ok()) return;
    ByteReader inner(value.content);
    if (oid == kConstraints) {
      ByteReader fields(ber(inner).content);
      if (!fields.at_end() && fields.peek() == 0x01) out.add("isCa", !ber(fields).content.empty());
    } else if (oid == kAlternativeNames) {
      ListOf names(arena);
      for (ByteReader each(ber(inner).content); !each.at_end();) {
        const Ber name = ber(each);
        if (!each.ok()) break;
        if (name.tag == 0x87)
          names.push(address_text(name.content, arena));
        else if (name.tag >= 0x81 && name.tag <= 0x86)
          names.push(string_text(name, arena));
      }
      out.add("names", names.build());
    }
  }
}

}  // namespace

Value read_certificate(Bytes der, Arena& arena) {
  ByteReader outer(der);
  ByteReader certificate(ber(outer).content);
  ByteReader tbs(ber(certificate).content);
  if (tbs.peek() == 0xA0) ber(tbs);  // version
  const Ber serial = ber(tbs), algorithm = ber(tbs), issuer = ber(tbs), validity = ber(tbs), subject = ber(tbs),
            key = ber(tbs);
  if (!outer.ok() || !certificate.ok() || !tbs.ok() || serial.tag != 0x02 || issuer.tag != 0x30 || subject.tag != 0x30)
    return {};
  MapOf out(arena);
  out.add("subject", name_text(subject.content, arena));
  out.add("issuer", name_text(issuer.content, arena));
  out.add("serialNumber", hex(serial.content, arena));
  ByteReader times(validity.content);
  out.add("notBefore", time_text(ber(times), arena));
  out.add("notAfter", time_text(ber(times), arena));
  ByteReader signature(algorithm.content), spki(key.content);
  out.add("signatureAlgorithm", oid_text(ber(signature).content, arena));
  ByteReader key_algorithm(ber(spki).content);
  out.add("keyAlgorithm", oid_text(ber(key_algorithm).content, arena));
  while (!tbs.at_end()) {
    const Ber more = ber(tbs);
    if (tbs.ok() && more.tag == 0xA3) read_extensions(more.content, out, arena);
  }
  return out.build();
}

}  // namespace baleen::dissect::tls
