#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "dissect/dns/wire.h"
#include "net/address.h"

// RDATA in presentation form. Every type is a short sequence of primitive fields, written by one Writer, which is
// sticky: a field that is not there, or bytes that are left over, make the whole record print as RFC 3597 says.

namespace baleen::dissect::dns {
namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(Bytes bytes, std::string& out) {
  for (const uint8_t b : bytes) {
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
}

void append_base64(Bytes b, std::string& out) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < b.size(); i += 3) {
    const size_t have = std::min<size_t>(3, b.size() - i);
    const uint32_t v = uint32_t{b[i]} << 16 | (have > 1 ? uint32_t{b[i + 1]} << 8 : 0) | (have > 2 ? b[i + 2] : 0u);
    out += kAlphabet[v >> 18];
    out += kAlphabet[v >> 12 & 63];
    out += have > 1 ? kAlphabet[v >> 6 & 63] : '=';
    out += have > 2 ? kAlphabet[v & 63] : '=';
  }
}

/// RFC 4648 7, without padding, as NSEC3 shows hashed names.
void append_base32hex(Bytes bytes, std::string& out) {
  static constexpr char kAlphabet[] = "0123456789abcdefghijklmnopqrstuv";
  uint32_t held = 0;
  int bits = 0;
  for (const uint8_t b : bytes) {
    held = held << 8 | b;
    for (bits += 8; bits >= 5; bits -= 5) out += kAlphabet[held >> (bits - 5) & 31];
  }
  if (bits > 0) out += kAlphabet[held << (5 - bits) & 31];
}

void append_number(uint64_t n, std::string& out) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
}

void append_address(const net::IpAddress& ip, std::string& out) {
  char text[46];
  out.append(text, net::write_address(ip, text));
}

/// RFC 1035 5.1: a <character-string> in quotes.
void append_quoted(Bytes text, std::string& out) {
  out += '"';
  for (const uint8_t c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c >= 0x20 && c < 0x7F) {
      out += static_cast<char>(c);
    } else {
      out += '\\';
      out += static_cast<char>('0' + c / 100);
      out += static_cast<char>('0' + c / 10 % 10);
      out += static_cast<char>('0' + c % 10);
    }
  }
  out += '"';
}

class Writer {
 public:
  Writer(Bytes message, size_t at, size_t size, std::string& out)
      : message_(message), at_(at), end_(at + size), out_(out) {}

  bool done() const { return ok_ && at_ == end_; }
  size_t left() const { return ok_ ? end_ - at_ : 0; }
  void fail() { ok_ = false; }

  Writer& space() {
    if (!first_) out_ += ' ';
    first_ = false;
    return *this;
  }
  uint64_t take(size_t bytes) {
    if (bytes > left()) return fail(), 0;
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; ++i) v = v << 8 | message_[at_++];
    return v;
  }
  Bytes take_bytes(size_t n) {
    if (n > left()) return fail(), Bytes();
    at_ += n;
    return message_.subspan(at_ - n, n);
  }
  Writer& number(size_t bytes) { return space(), append_number(take(bytes), out_), *this; }
  Writer& name() {
    space();
    const size_t behind = ok_ ? append_name(message_.first(std::max(end_, at_)), at_, out_) : 0;
    if (behind == 0) return fail(), *this;
    at_ = behind;
    return *this;
  }
  Writer& text() { return space(), append_quoted(take_bytes(take(1)), out_), *this; }
  Writer& texts() {
    do text();
    while (left() > 0);
    return *this;
  }
  Writer& quoted_rest() { return space(), append_quoted(take_bytes(left()), out_), *this; }
  Writer& hex(size_t n) { return space(), append_hex(take_bytes(n), out_), *this; }
  Writer& base64_rest() { return space(), append_base64(take_bytes(left()), out_), *this; }
  Writer& type() { return space(), append_type(static_cast<uint16_t>(take(2)), out_), *this; }
  Writer& address(size_t bytes) {
    space();
    const Bytes b = take_bytes(bytes);
    if (ok_) append_address(bytes == 4 ? net::IpAddress::v4(b.data()) : net::IpAddress::v6(b.data()), out_);
    return *this;
  }
  /// RFC 4034 3.2: YYYYMMDDHHmmSS.
  Writer& time() {
    space();
    char text[30];
    write_rfc3339(timestamp_from_ns(static_cast<int64_t>(take(4)) * 1'000'000'000), text);
    for (const char* p = text; p < text + 19; ++p)
      if (*p >= '0' && *p <= '9') out_ += *p;
    return *this;
  }
  /// RFC 4034 4.1.2.
  Writer& type_bitmap() {
    while (left() > 0) {
      const uint64_t window = take(1);
      const Bytes bits = take_bytes(take(1));
      for (size_t i = 0; i < bits.size() * 8; ++i)
        if ((bits[i / 8] >> (7 - i % 8) & 1) != 0) space(), append_type(static_cast<uint16_t>(window << 8 | i), out_);
    }
    return *this;
  }
  std::string& out() { return out_; }

 private:
  Bytes message_;
  size_t at_, end_;
  std::string& out_;
  bool ok_ = true, first_ = true;
};

/// RFC 9460 2.1: SvcParams as key=value.
void service_parameters(Writer& w) {
  static constexpr std::string_view kKeys[] = {"mandatory", "alpn",     "no-default-alpn", "port", "ipv4hint",
                                               "ech",       "ipv6hint", "dohpath",         "ohttp"};
  const auto key_name = [&](uint64_t key) {
    if (key < std::size(kKeys)) {
      w.out() += kKeys[key];
    } else {
      w.out() += "key";
      append_number(key, w.out());
    }
  };
  while (w.left() > 0) {
    const uint64_t key = w.take(2);
    const Bytes value = w.take_bytes(w.take(2));
    w.space();
    key_name(key);
    if (value.empty()) continue;
    w.out() += '=';
    auto comma = [&, first = true]() mutable {
      if (!std::exchange(first, false)) w.out() += ',';
    };
    if (key == 0 && value.size() % 2 == 0) {
      for (size_t i = 0; i < value.size(); i += 2) comma(), key_name(load_be16(&value[i]));
    } else if (key == 1) {
      for (size_t i = 0; i < value.size();) {
        const size_t n = value[i];
        if (i + 1 + n > value.size()) return w.fail();
        comma();
        w.out() += as_text(value.subspan(i + 1, n));
        i += 1 + n;
      }
    } else if (key == 3 && value.size() == 2) {
      append_number(load_be16(value.data()), w.out());
    } else if ((key == 4 && value.size() % 4 == 0) || (key == 6 && value.size() % 16 == 0)) {
      const size_t n = key == 4 ? 4 : 16;
      for (size_t i = 0; i < value.size(); i += n)
        comma(), append_address(n == 4 ? net::IpAddress::v4(&value[i]) : net::IpAddress::v6(&value[i]), w.out());
    } else if (key == 5) {
      append_base64(value, w.out());
    } else {
      append_quoted(value, w.out());
    }
  }
}

/// RFC 1876 3.
void location(Writer& w) {
  if (w.left() != 16 || w.take(1) != 0) return w.fail();
  uint64_t centimetres[3];
  for (uint64_t& c : centimetres) {
    const uint64_t b = w.take(1);
    c = b >> 4;
    if (c > 9 || (b & 15) > 9) return w.fail();
    for (uint64_t i = 0; i < (b & 15); ++i) c *= 10;
  }
  char text[80];
  for (const char* ends : {"NS", "EW"}) {
    const int64_t v = static_cast<int64_t>(w.take(4)) - (int64_t{1} << 31);
    const uint64_t a = static_cast<uint64_t>(v < 0 ? -v : v);
    w.space();
    w.out().append(
        text, static_cast<size_t>(snprintf(text, sizeof text, "%u %u %u.%03u %c", static_cast<unsigned>(a / 3'600'000),
                                           static_cast<unsigned>(a / 60'000 % 60), static_cast<unsigned>(a / 1000 % 60),
                                           static_cast<unsigned>(a % 1000), v < 0 ? ends[1] : ends[0])));
  }
  const double altitude = static_cast<double>(w.take(4)) / 100.0 - 100'000.0;
  w.space();
  w.out().append(text,
                 static_cast<size_t>(snprintf(
                     text, sizeof text, "%.2fm %.2fm %.2fm %.2fm", altitude, static_cast<double>(centimetres[0]) / 100,
                     static_cast<double>(centimetres[1]) / 100, static_cast<double>(centimetres[2]) / 100)));
}

/// RFC 3123 5: [!]family:address/prefix.
void address_prefixes(Writer& w) {
  while (w.left() > 0) {
    const uint64_t family = w.take(2), prefix = w.take(1), length = w.take(1);
    const Bytes part = w.take_bytes(length & 0x7F);
    const size_t whole = family == 1 ? 4 : family == 2 ? 16 : 0;
    if (part.size() > whole || prefix > whole * 8 || (whole == 0)) return w.fail();
    uint8_t address[16] = {};  // trailing zeros are not sent (section 4)
    std::copy(part.begin(), part.end(), address);
    w.space();
    if ((length & 0x80) != 0) w.out() += '!';
    append_number(family, w.out());
    w.out() += ':';
    append_address(whole == 4 ? net::IpAddress::v4(address) : net::IpAddress::v6(address), w.out());
    w.out() += '/';
    append_number(prefix, w.out());
  }
}

/// RFC 4025 2 and 3.1: precedence, gateway type, algorithm, gateway, key.
void ipsec_key(Writer& w) {
  w.number(1).space();
  const uint64_t gateway = w.take(1);
  append_number(gateway, w.out());
  w.number(1);
  switch (gateway) {
    case 0: w.space().out() += '.'; break;
    case 1: w.address(4); break;
    case 2: w.address(16); break;
    case 3: w.name(); break;
    default: return w.fail();
  }
  if (w.left() > 0) w.base64_rest();
}

/// RFC 8005 5 and 6: algorithm, host identity tag, host identity, rendezvous servers.
void host_identity(Writer& w) {
  const size_t tag = w.take(1);
  w.number(1);
  const size_t key = w.take(2);
  w.hex(tag).space();
  append_base64(w.take_bytes(key), w.out());
  while (w.left() > 0) w.name();
}

void options(Writer& w) {
  while (w.left() > 0) {
    const auto code = static_cast<uint16_t>(w.take(2));
    const Bytes value = w.take_bytes(w.take(2));
    w.space();
    const std::string_view name = option_name(code);
    if (name.empty()) {
      w.out() += "OPT";
      append_number(code, w.out());
    } else {
      w.out() += name;
    }
    if (value.empty()) continue;
    w.out() += '=';
    append_option(code, value, w.out());
  }
}

void write(Writer& w, uint16_t type) {
  switch (type) {
    case 1: w.address(4); break;    // RFC 1035 3.4.1
    case 28: w.address(16); break;  // RFC 3596
    case 2:
    case 3:
    case 4:
    case 5:
    case 7:
    case 8:
    case 9:
    case 12:
    case 39: w.name(); break;                                                          // RFC 1035 3.3, RFC 6672
    case 6: w.name().name().number(4).number(4).number(4).number(4).number(4); break;  // RFC 1035 3.3.13
    case 14:
    case 17: w.name().name(); break;  // RFC 1035 3.3.7, RFC 1183
    case 15:
    case 18:
    case 36: w.number(2).name(); break;  // RFC 1035 3.3.9, RFC 1183, RFC 2230
    case 13: w.text().text(); break;     // RFC 1035 3.3.2
    case 16:
    case 99: w.texts(); break;                                          // RFC 1035 3.3.14
    case 33: w.number(2).number(2).number(2).name(); break;             // RFC 2782
    case 35: w.number(2).number(2).text().text().text().name(); break;  // RFC 3403
    case 37: w.number(2).number(2).number(1).base64_rest(); break;      // RFC 4398
    case 43:
    case 59: w.number(2).number(1).number(1).hex(w.left()); break;  // RFC 4034 5.3
    case 25:
    case 48:
    case 60: w.number(2).number(1).number(1).base64_rest(); break;  // RFC 4034 2.2
    case 24:
    case 46:  // RFC 4034 3.2
      w.type().number(1).number(1).number(4).time().time().number(2).name().base64_rest();
      break;
    case 47: w.name().type_bitmap(); break;  // RFC 4034 4.2
    case 50:
    case 51: {  // RFC 5155 3.3, 4.3
      w.number(1).number(1).number(2).space();
      const Bytes salt = w.take_bytes(w.take(1));
      salt.empty() ? void(w.out() += '-') : append_hex(salt, w.out());
      if (type == 51) break;
      w.space();
      append_base32hex(w.take_bytes(w.take(1)), w.out());
      w.type_bitmap();
      break;
    }
    case 52:
    case 53: w.number(1).number(1).number(1).hex(w.left()); break;  // RFC 6698 2.2
    case 42: address_prefixes(w); break;
    case 44: w.number(1).number(1).hex(w.left()); break;  // RFC 4255 3.2
    case 45: ipsec_key(w); break;
    case 55: host_identity(w); break;
    case 63: w.number(4).number(1).number(1).hex(w.left()); break;  // RFC 8976 2.3
    case 49:
    case 61: w.base64_rest(); break;                      // RFC 4701, RFC 7929
    case 62: w.number(4).number(2).type_bitmap(); break;  // RFC 7477
    case 108:
    case 109: {  // RFC 7043
      if (w.left() != (type == 108 ? 6u : 8u)) return w.fail();
      w.hex(1);
      while (w.left() > 0) w.out() += '-', append_hex(w.take_bytes(1), w.out());
      break;
    }
    case 64:
    case 65: w.number(2).name(), service_parameters(w); break;  // RFC 9460
    case 256: w.number(2).number(2).quoted_rest(); break;       // RFC 7553
    case 257: {                                                 // RFC 8659 4.1
      w.number(1).space();
      w.out() += as_text(w.take_bytes(w.take(1)));
      w.quoted_rest();
      break;
    }
    case 29: location(w); break;
    case kOpt: options(w); break;
    case 249: {  // RFC 2930 2; in words as BIND has them: sizes before the key and before other data
      w.name().number(4).number(4).number(2).number(2);
      for (int i = 0; i < 2; ++i) {
        const Bytes data = w.take_bytes(w.take(2));
        w.space();
        append_number(data.size(), w.out());
        if (!data.empty()) w.space(), append_base64(data, w.out());
      }
      break;
    }
    case 250: {  // RFC 8945 4.2
      w.name().number(6).number(2).space();
      append_base64(w.take_bytes(w.take(2)), w.out());
      w.number(2).number(2).space();
      append_base64(w.take_bytes(w.take(2)), w.out());
      break;
    }
    default: w.fail();
  }
}

}  // namespace

void append_rdata(Bytes message, uint16_t type, size_t at, size_t size, std::string& out) {
  const size_t before = out.size();
  Writer w(message, at, size, out);
  write(w, type);
  if (w.done()) return;
  out.resize(before);
  if (size == 0 && type != kA && type != kAaaa) return;  // RFC 2136 2.4: prerequisites and deletions have no data
  out += "\\# ";
  append_number(size, out);
  if (size > 0) out += ' ';
  append_hex(message.subspan(at, size), out);
}

void append_option(uint16_t option, Bytes v, std::string& out) {
  if (option == 8 && v.size() >= 4) {  // RFC 7871 6
    const size_t whole = load_be16(v.data()) == 1 ? 4 : 16;
    uint8_t address[16] = {};
    if (v.size() - 4 <= whole) {
      std::copy(v.begin() + 4, v.end(), address);
      append_address(whole == 4 ? net::IpAddress::v4(address) : net::IpAddress::v6(address), out);
      out += '/';
      append_number(v[2], out);
      out += '/';
      append_number(v[3], out);
      return;
    }
  }
  if (option == 15 && v.size() >= 2) {  // RFC 8914 2
    append_number(load_be16(v.data()), out);
    if (v.size() > 2) out += ' ', append_quoted(v.subspan(2), out);
    return;
  }
  if ((option == 11 && v.size() == 2) || (option == 9 && v.size() == 4)) {  // RFC 7828 3.1, RFC 7314 2
    append_number(option == 11 ? load_be16(v.data()) : load_be32(v.data()), out);
    return;
  }
  if (option == 12) return append_number(v.size(), out);  // RFC 7830: how many bytes
  append_hex(v, out);
}

}  // namespace baleen::dissect::dns
