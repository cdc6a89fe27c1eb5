#include "dissect/tls/decrypt/key_schedule.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace baleen::dissect::tls {
namespace {

using Hash = std::array<uint8_t, EVP_MAX_MD_SIZE>;

size_t hmac(const EVP_MD* hash, Bytes key, Bytes text, Hash& out) {
  unsigned size = 0;
  BALEEN_CHECK(HMAC(hash, key.data(), static_cast<int>(key.size()), text.data(), text.size(), out.data(), &size) !=
               nullptr);
  return size;
}

/// Bytes put one after the other.
template <size_t kRoom>
struct Concatenated {
  std::array<uint8_t, kRoom> bytes;
  size_t size = 0;
  void add(Bytes more) {
    BALEEN_CHECK(size + more.size() <= kRoom);
    std::copy(more.begin(), more.end(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    size += more.size();
  }
  void add(uint8_t byte) { add(Bytes(&byte, 1)); }
  Bytes view() const { return {bytes.data(), size}; }
};

}  // namespace

void expand_label(const EVP_MD* hash, Bytes secret, std::string_view label, std::span<uint8_t> out) {
  Concatenated<256> label_bytes;
  label_bytes.add(static_cast<uint8_t>(out.size() >> 8));
  label_bytes.add(static_cast<uint8_t>(out.size()));
  label_bytes.add(static_cast<uint8_t>(6 + label.size()));
  label_bytes.add(as_bytes("tls13 "));
  label_bytes.add(as_bytes(label));
  label_bytes.add(uint8_t{0});  // no context
  Hash previous;
  size_t size = 0;
  uint8_t counter = 0;
  for (size_t done = 0; done < out.size(); done += size) {  // RFC 5869 2.3
    Concatenated<EVP_MAX_MD_SIZE + 257> text;
    text.add(Bytes(previous.data(), size));
    text.add(label_bytes.view());
    text.add(++counter);
    size = hmac(hash, secret, text.view(), previous);
    std::copy_n(previous.begin(), std::min(size, out.size() - done), out.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

Secret extract(const EVP_MD* hash, Bytes salt, Bytes key) {
  Hash out;
  Secret secret;
  secret.size = static_cast<uint8_t>(hmac(hash, salt, key, out));
  BALEEN_CHECK(secret.size <= secret.bytes.size());
  std::copy_n(out.begin(), secret.size, secret.bytes.begin());
  return secret;
}

Secret next_traffic_secret(const EVP_MD* hash, const Secret& secret) {
  Secret next;
  next.size = secret.size;
  expand_label(hash, secret.view(), "traffic upd", {next.bytes.data(), next.size});
  return next;
}

void prf(const EVP_MD* hash, Bytes secret, std::string_view label, Bytes seed, std::span<uint8_t> out) {
  Concatenated<128> label_and_seed;
  label_and_seed.add(as_bytes(label));
  label_and_seed.add(seed);
  Hash a, block;
  size_t size = hmac(hash, secret, label_and_seed.view(), a);
  for (size_t done = 0; done < out.size(); done += size) {
    Concatenated<EVP_MAX_MD_SIZE + 128> text;
    text.add(Bytes(a.data(), size));
    text.add(label_and_seed.view());
    size = hmac(hash, secret, text.view(), block);
    std::copy_n(block.begin(), std::min(size, out.size() - done), out.begin() + static_cast<std::ptrdiff_t>(done));
    Hash next;
    hmac(hash, secret, Bytes(a.data(), size), next);
    a = next;
  }
}

}  // namespace baleen::dissect::tls
