#include "index/encryption.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "io/crypto.h"

namespace baleen::index {
namespace {

constexpr size_t kLargestKeyFile = 4096;
constexpr size_t kSealedChunk = ObjectCipher::kChunk + io::kGcmTag;

std::string be64(uint64_t n) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  return text;
}

std::optional<io::Key256> key_of(std::string_view text) {
  io::Key256 key;
  if (text.size() == 64) {
    for (size_t i = 0; i < 32; ++i) {
      const std::string_view digits = "0123456789abcdef";
      const size_t high = digits.find(static_cast<char>(std::tolower(text[2 * i])));
      const size_t low = digits.find(static_cast<char>(std::tolower(text[2 * i + 1])));
      if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
      key[i] = static_cast<uint8_t>(high << 4 | low);
    }
    return key;
  }
  const auto bytes = io::base64_decode(text);
  if (!bytes || bytes->size() != key.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return key;
}

/// Names a key without saying anything about it.
std::string fingerprint(const io::Key256& key) {
  const io::Sha256 sum = io::hmac_sha256(key, as_bytes(std::string_view("baleen key fingerprint")));
  return io::to_hex(Bytes(sum).first(8));
}

}  // namespace

Result<> KeyRing::add_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error(path, errno);
  std::string content(kLargestKeyFile, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<size_t>(in.gcount()));
  if (content.size() == 32) {
    NamedKey k;
    std::copy(content.begin(), content.end(), k.key.begin());
    k.id = fingerprint(k.key);
    keys_.push_back(std::move(k));
    return {};
  }
  return add_text(content, path);
}

Result<> KeyRing::add_text(std::string_view text, std::string_view source) {
  text = trimmed(text);
  const size_t colon = text.find(':');
  const std::string_view id = trimmed(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  const auto key = key_of(trimmed(colon == std::string_view::npos ? text : text.substr(colon + 1)));
  if (!key)
    return Error{Code::kInvalid, fmt::format("{}: a key has 32 bytes, as such, as 64 hexadecimal digits or in base64 "
                                             "(openssl rand -base64 32)",
                                             source)};
  keys_.push_back({id.empty() ? fingerprint(*key) : std::string(id), *key});
  return {};
}

Result<io::Key256> KeyRing::unwrap(const BlockEncryption& encryption) const {
  if (keys_.empty())
    return Error{Code::kDenied,
                 fmt::format("it is encrypted with key '{}': give it with --decryption-key FILE", encryption.key_id)};
  bool named = false;
  for (const NamedKey& k : keys_) {
    named = named || k.id == encryption.key_id;
    if (const auto key = io::unwrap_key(k.key, encryption.wrapped_key)) return *key;
  }
  return Error{Code::kInvalid,
               named ? fmt::format("the key given as '{}' is not the one it was encrypted with", encryption.key_id)
                     : fmt::format("it is encrypted with key '{}', which is not among the {} given", encryption.key_id,
                                   keys_.size())};
}

BlockKey new_block_key(const NamedKey& user) {
  BlockKey out;
  io::fill_random(out.key);
  out.encryption = {user.id, io::wrap_key(user.key, out.key)};
  return out;
}

ObjectCipher::ObjectCipher(const io::Key256& block_key, std::string block, std::string object,
                           const ObjectEncryption& encryption)
    : block_(std::move(block)), object_(std::move(object)), encryption_(encryption) {
  // What is written anew, after a failure, is written with another key: so no nonce is used twice.
  key_ = io::hmac_sha256(block_key, as_bytes(std::string("baleen object key 1") + encryption_.salt));
}

ObjectCipher ObjectCipher::fresh(const io::Key256& block_key, std::string block, std::string object) {
  ObjectEncryption encryption;
  encryption.salt.resize(16);
  io::fill_random({reinterpret_cast<uint8_t*>(encryption.salt.data()), encryption.salt.size()});
  return {block_key, std::move(block), std::move(object), encryption};
}

io::Nonce96 ObjectCipher::nonce(uint64_t chunk) const {
  io::Nonce96 out{};
  const std::string n = be64(chunk);
  std::copy(n.begin(), n.end(), out.begin() + 4);
  return out;
}

std::string ObjectCipher::associated(uint64_t chunk, bool last) const {
  return "baleen chunk 1" + std::string(1, '\0') + block_ + '\0' + object_ + '\0' + be64(chunk) + (last ? '\1' : '\0');
}

void ObjectCipher::seal(uint64_t chunk, bool last, std::string_view text, std::string& out) const {
  io::gcm_seal(key_, nonce(chunk), associated(chunk, last), text, out);
}

ObjectCipher::Place ObjectCipher::place(uint64_t offset, uint64_t length) const {
  const uint64_t size = text_size(), chunks = std::max<uint64_t>(1, (size + kChunk - 1) / kChunk);
  const uint64_t whole = size + chunks * io::kGcmTag;
  const uint64_t first = std::min(offset / kChunk, chunks - 1);
  const uint64_t behind =
      length == 0 ? first + 1 : std::min(chunks, (std::min(offset + length, size) + kChunk - 1) / kChunk);
  const uint64_t end = behind >= chunks ? whole : behind * kSealedChunk;
  return {first * kSealedChunk, end - std::min(end, first * kSealedChunk), first};
}

Result<std::string> ObjectCipher::open(uint64_t offset, uint64_t length, std::string_view sealed) const {
  const Error damaged{Code::kIo, fmt::format("{} of block {}: it is not what was encrypted", object_, block_)};
  if (offset > text_size() || length > text_size() - offset) return damaged;
  const Place at = place(offset, length);
  if (sealed.size() != at.length) return damaged;
  const uint64_t chunks = std::max<uint64_t>(1, (text_size() + kChunk - 1) / kChunk);
  std::string text;
  text.reserve(sealed.size());
  for (uint64_t chunk = at.first_chunk; !sealed.empty(); ++chunk) {
    const std::string_view piece = sealed.substr(0, kSealedChunk);
    if (!io::gcm_open(key_, nonce(chunk), associated(chunk, chunk + 1 == chunks), piece, text)) return damaged;
    sealed.remove_prefix(piece.size());
  }
  return text.substr(offset - at.first_chunk * kChunk, length);
}

Result<std::optional<ObjectCipher>> cipher_of(const BlockRecord& record, const ObjectRecord& object,
                                              const KeyRing* keys) {
  if (!object.encryption) return std::optional<ObjectCipher>();
  static const KeyRing kNone;
  BALEEN_TRY(const io::Key256 key, (keys != nullptr ? keys : &kNone)->unwrap(record.encryption));
  const bool packets = &object == &record.packets_object;
  return std::optional(ObjectCipher(key, record.block, packets ? "packets" : "items", *object.encryption));
}

}  // namespace baleen::index
