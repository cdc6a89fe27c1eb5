#include "io/crypto.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "io/byte_source.h"

namespace baleen::io {
namespace {

template <auto free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

std::string encode(Bytes bytes, const char* alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    const uint32_t v =
        uint32_t{bytes[i]} << 16 | (n > 1 ? uint32_t{bytes[i + 1]} << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
    out += alphabet[v >> 18];
    out += alphabet[v >> 12 & 63];
    if (n > 1) out += alphabet[v >> 6 & 63];
    if (n > 2) out += alphabet[v & 63];
    if (pad) out.append(3 - n, '=');
  }
  return out;
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

}  // namespace

Sha256 sha256(Bytes bytes) {
  Sha256 out;
  BALEEN_CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return out;
}

Md5 md5(Bytes bytes) {
  Md5 out;
  BALEEN_CHECK(EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_md5(), nullptr) == 1);
  return out;
}

Result<PartDigests> digest_part(const ByteSource& source, uint64_t offset, uint64_t length, Digests wanted) {
  const auto begin = [](bool asked, const EVP_MD* kind) {
    DigestPtr context(asked ? EVP_MD_CTX_new() : nullptr);
    BALEEN_CHECK(!asked || (context && EVP_DigestInit_ex(context.get(), kind, nullptr) == 1));
    return context;
  };
  const DigestPtr sha = begin(wanted.sha256, EVP_sha256()), md = begin(wanted.md5, EVP_md5());
  PartDigests out;
  std::vector<uint8_t> buffer(std::min<uint64_t>(length, 256 * 1024));
  for (uint64_t done = 0; done < length;) {
    const size_t want = std::min<uint64_t>(buffer.size(), length - done);
    BALEEN_TRY(const size_t n, source.read(offset + done, {buffer.data(), want}));
    const Bytes piece(buffer.data(), n);
    for (const DigestPtr* context : {&sha, &md})
      BALEEN_CHECK(!*context || EVP_DigestUpdate(context->get(), piece.data(), piece.size()) == 1);
    if (wanted.crc32c) out.crc32c = crc32c(piece, out.crc32c);
    done += piece.size();
  }
  BALEEN_CHECK(!md || EVP_DigestFinal_ex(md.get(), out.md5.data(), nullptr) == 1);
  BALEEN_CHECK(!sha || EVP_DigestFinal_ex(sha.get(), out.sha256.data(), nullptr) == 1);
  return out;
}

Sha256 hmac_sha256(Bytes key, Bytes message) {
  Sha256 out;
  unsigned int length = 0;
  static const uint8_t nothing = 0;  // HMAC takes a null key for "the last one"
  BALEEN_CHECK(HMAC(EVP_sha256(), key.empty() ? &nothing : key.data(), static_cast<int>(key.size()), message.data(),
                    message.size(), out.data(), &length) != nullptr);
  return out;
}

std::string to_hex(Bytes bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string base64(Bytes bytes) {
  return encode(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

std::string base64url(Bytes bytes) {
  return encode(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

Result<std::string> base64_decode(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int v = sextet(c);
    if (v < 0) return Error{Code::kInvalid, "not base64"};
    bits = bits << 6 | static_cast<uint32_t>(v);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  if (count >= 6) return Error{Code::kInvalid, "not base64: a single character at the end"};
  return out;
}

std::string random_hex(size_t n) {
  std::vector<uint8_t> bytes(n);
  BALEEN_CHECK(RAND_bytes(bytes.data(), static_cast<int>(n)) == 1);
  return to_hex(bytes);
}

Result<std::string> sign_jwt(std::string_view claims, std::string_view private_key, std::string_view key_id) {
  const BioPtr bio(BIO_new_mem_buf(private_key.data(), static_cast<int>(private_key.size())));
  // Without a callback OpenSSL would ask the terminal for the passphrase of an encrypted key.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key) return Error{Code::kInvalid, "the private key is not a PEM key"};
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA)
    return Error{Code::kInvalid, "the private key is not an RSA key"};

  std::string header = R"({"alg":"RS256","typ":"JWT")";
  if (!key_id.empty()) {
    for (const char c : key_id)
      if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\')
        return Error{Code::kInvalid, "odd private key id"};
    header += R"(,"kid":")" + std::string(key_id) + '"';
  }
  header += '}';
  const std::string input = base64url(as_bytes(header)) + "." + base64url(as_bytes(claims));

  const DigestPtr digest(EVP_MD_CTX_new());
  std::vector<uint8_t> signature(static_cast<size_t>(EVP_PKEY_get_size(key.get())));
  size_t length = signature.size();
  if (!digest || EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(digest.get(), signature.data(), &length, as_bytes(input).data(), input.size()) != 1)
    return Error{Code::kInvalid, "the private key cannot sign"};
  return input + "." + base64url(Bytes(signature.data(), length));
}

}  // namespace baleen::io
