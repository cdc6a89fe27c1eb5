#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <string>

#include "dissect/build.h"
#include "dissect/tls/hello.h"
#include "dissect/tls/names.h"

namespace baleen::dissect::tls {
namespace {

/// Text in the making, on the stack as long as it is not unusually long.
class Text {
 public:
  explicit Text(Arena& arena) : arena_(arena) {}
  Text& put(std::string_view s) {
    if (size_ + s.size() > room_) grow(s.size());
    std::copy(s.begin(), s.end(), at_ + size_);
    size_ += s.size();
    return *this;
  }
  Text& number(uint64_t n) {
    char digits[20];
    char* p = digits + sizeof digits;
    do *--p = static_cast<char>('0' + n % 10);
    while ((n /= 10) != 0);
    return put({p, static_cast<size_t>(digits + sizeof digits - p)});
  }
  Text& two_digits(size_t n) {
    n = std::min<size_t>(n, 99);
    const char d[] = {static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
    return put({d, 2});
  }
  Text& hex4(uint16_t n) {
    char d[4];
    for (int i = 0; i < 4; ++i) d[i] = "0123456789abcdef"[n >> (12 - 4 * i) & 15];
    return put({d, 4});
  }
  size_t size() const { return size_; }
  std::string_view view() const { return {at_, size_}; }
  std::string_view take() { return arena_.copy(view()); }

 private:
  void grow(size_t more) {
    const size_t room = (size_ + more) * 2;
    char* to = static_cast<char*>(arena_.allocate(room, 1));
    std::copy(at_, at_ + size_, to);
    at_ = to;
    room_ = room;
  }
  Arena& arena_;
  char first_[1024];
  char* at_ = first_;
  size_t size_ = 0, room_ = sizeof first_;
};

// Of the library's oldest interface: the newer ones, SHA256() among them, look up the algorithm and allocate each time.
std::string_view md5(std::string_view text, Arena& arena) {
  uint8_t out[MD5_DIGEST_LENGTH];
  MD5(reinterpret_cast<const uint8_t*>(text.data()), text.size(), out);
  return hex(out, arena);
}
/// The first twelve digits.
std::string_view short_sha256(std::string_view text, Arena& arena) {
  uint8_t out[SHA256_DIGEST_LENGTH];
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, text.data(), text.size());
  SHA256_Final(out, &context);
  return hex(Bytes(out).first(6), arena);
}

void dashed(Text& out, const Numbers& numbers) {
  bool first = true;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (is_grease(numbers[i])) continue;
    if (!first) out.put("-");
    out.number(numbers[i]);
    first = false;
  }
}

/// Numbers in hexadecimal with commas between; sorted when asked for.
size_t listed(Text& out, std::span<uint16_t> numbers, bool sorted) {
  if (sorted) std::sort(numbers.begin(), numbers.end());
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i != 0) out.put(",");
    out.hex4(numbers[i]);
  }
  return numbers.size();
}

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }

/// First and last character of the first protocol; of its hexadecimal form when they are not alphanumeric.
void put_alpn(Text& out, const Hello& hello) {
  ByteReader r(hello.alpn);
  const std::string_view first = hello.alpn.empty() ? std::string_view() : r.text(r.u8());
  if (first.empty()) {
    out.put("00");
    return;
  }
  char two[] = {first.front(), first.back()};
  if (!is_alphanumeric(two[0]) || !is_alphanumeric(two[1])) {
    two[0] = "0123456789abcdef"[static_cast<uint8_t>(first.front()) >> 4];
    two[1] = "0123456789abcdef"[static_cast<uint8_t>(first.back()) & 15];
  }
  out.put({two, 2});
}

std::string_view ja4_version(uint16_t version) {
  switch (version) {
    case 0x0304: return "13";
    case 0x0303: return "12";
    case 0x0302: return "11";
    case 0x0301: return "10";
    case 0x0300: return "s3";
    case 0x0002: return "s2";
    case 0xFEFF: return "d1";
    case 0xFEFD: return "d2";
    case 0xFEFC: return "d3";
    default: return "00";
  }
}

}  // namespace

std::string_view ja3_text(const Hello& hello, Arena& arena) {
  Text out(arena);
  out.number(hello.legacy_version).put(",");
  dashed(out, hello.ciphers);
  out.put(",");
  bool first = true;
  for (const Extension& e : hello.all()) {
    if (is_grease(e.type)) continue;
    if (!first) out.put("-");
    out.number(e.type);
    first = false;
  }
  if (!hello.is_client) return out.take();
  out.put(",");
  dashed(out, hello.groups);
  out.put(",");
  for (size_t i = 0; i < hello.point_formats.size(); ++i) {
    if (i != 0) out.put("-");
    out.number(hello.point_formats[i]);
  }
  return out.take();
}

std::string_view ja3_hash(std::string_view text, Arena& arena) { return md5(text, arena); }

Ja4 ja4(const Hello& hello, Arena& arena) {
  auto ciphers = arena.array<uint16_t>(hello.ciphers.size());
  size_t cipher_count = 0;
  for (size_t i = 0; i < hello.ciphers.size(); ++i)
    if (!is_grease(hello.ciphers[i])) ciphers[cipher_count++] = hello.ciphers[i];
  auto extensions = arena.array<uint16_t>(hello.extension_count);
  size_t extension_count = 0, shown = 0;
  for (const Extension& e : hello.all()) {
    if (is_grease(e.type)) continue;
    ++extension_count;
    if (e.type != 0 && e.type != 16) extensions[shown++] = e.type;
  }
  Text a(arena), b(arena), c(arena);
  a.put(hello.over_quic ? "q" : hello.legacy_version >> 8 == 0xFE ? "d" : "t");
  a.put(ja4_version(hello.version())).put(hello.has_sni ? "d" : "i");
  a.two_digits(cipher_count).two_digits(extension_count);
  put_alpn(a, hello);
  listed(b, ciphers.subspan(0, cipher_count), true);
  listed(c, extensions.subspan(0, shown), true);
  if (hello.signatures.size() > 0) {
    c.put("_");
    bool first = true;
    for (size_t i = 0; i < hello.signatures.size(); ++i) {
      if (is_grease(hello.signatures[i])) continue;
      if (!first) c.put(",");
      c.hex4(hello.signatures[i]);
      first = false;
    }
  }
  constexpr std::string_view kNothing = "000000000000";
  const auto hashed = [&](const Text& text, bool any) { return any ? short_sha256(text.view(), arena) : kNothing; };
  return {join({a.view(), "_", hashed(b, cipher_count > 0), "_", hashed(c, shown > 0)}, arena),
          join({a.view(), "_", b.view(), "_", c.view()}, arena)};
}

}  // namespace baleen::dissect::tls
