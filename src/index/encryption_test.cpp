#include "index/encryption.h"

#include <gtest/gtest.h>

#include "io/crypto.h"

namespace baleen::index {
namespace {

NamedKey user_key(std::string id, uint8_t fill) {
  NamedKey k{std::move(id), {}};
  k.key.fill(fill);
  return k;
}

KeyRing ring(std::initializer_list<std::string> texts) {
  KeyRing out;
  for (const std::string& text : texts) EXPECT_TRUE(out.add_text(text, "test"));
  return out;
}

std::string hex_key(uint8_t fill) { return io::to_hex(std::vector<uint8_t>(32, fill)); }

TEST(Aes, KnownAnswers) {
  // NIST GCM, test case 14 of "The Galois/Counter Mode of Operation": 256-bit zero key and nonce, 16 zero bytes.
  std::string sealed;
  io::gcm_seal({}, {}, "", std::string(16, '\0'), sealed);
  EXPECT_EQ(io::to_hex(as_bytes(sealed)), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
  // RFC 3394 4.6: 256 bits of key data with a 256-bit key.
  io::Key256 wrapping, data;
  for (size_t i = 0; i < 32; ++i) wrapping[i] = static_cast<uint8_t>(i);
  const uint8_t tail[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (size_t i = 0; i < 16; ++i) data[i] = static_cast<uint8_t>(i * 0x11), data[16 + i] = tail[i];
  const std::string wrapped = io::wrap_key(wrapping, data);
  EXPECT_EQ(io::to_hex(as_bytes(wrapped)),
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
  EXPECT_EQ(io::unwrap_key(wrapping, wrapped), data);
  EXPECT_EQ(io::unwrap_key(data, wrapped), std::nullopt);
  EXPECT_EQ(io::unwrap_key(wrapping, wrapped.substr(1)), std::nullopt);
}

std::string sealed_object(ObjectCipher& cipher, std::string_view text) {
  std::string out;
  uint64_t chunk = 0;
  cipher.set_text_size(text.size());
  do {
    const std::string_view piece = text.substr(0, ObjectCipher::kChunk);
    text.remove_prefix(piece.size());
    cipher.seal(chunk++, text.empty(), piece, out);
  } while (!text.empty());
  return out;
}

TEST(ObjectCipher, EveryRangeReadsBack) {
  const BlockKey key = new_block_key(user_key("k", 7));
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}, size_t{65537}, size_t{200000}}) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>(i * 31 >> 3);
    ObjectCipher cipher = ObjectCipher::fresh(key.key, "block", "packets");
    const std::string object = sealed_object(cipher, text);
    const ObjectCipher reader(key.key, "block", "packets", cipher.encryption());
    EXPECT_EQ(object.size(), reader.place(0, size).length);
    for (const size_t begin : {size_t{0}, size / 3, size - size / 4, size}) {
      for (const size_t length : {size_t{0}, size_t{1}, size / 2, size - begin}) {
        if (begin + length > size) continue;
        const auto at = reader.place(begin, length);
        ASSERT_LE(at.offset + at.length, object.size());
        const auto read = reader.open(begin, length, std::string_view(object).substr(at.offset, at.length));
        ASSERT_TRUE(read) << size << ' ' << begin << ' ' << length;
        EXPECT_EQ(*read, text.substr(begin, length));
        EXPECT_LE(at.length, length + 2 * (ObjectCipher::kChunk + 16) + 16 * (length / ObjectCipher::kChunk))
            << "no more";
      }
    }
  }
}

TEST(ObjectCipher, WhatWasChangedMovedCutOrIsAnothersIsRefused) {
  const BlockKey key = new_block_key(user_key("k", 7)), other = new_block_key(user_key("k", 7));
  const std::string text(150000, 't');
  ObjectCipher cipher = ObjectCipher::fresh(key.key, "block", "packets");
  const std::string object = sealed_object(cipher, text);
  EXPECT_EQ(object.find("tttttttt"), std::string::npos);
  const auto opens = [&](const ObjectCipher& with, const std::string& bytes) {
    return with.open_all(bytes).has_value();
  };
  EXPECT_TRUE(opens(cipher, object));
  for (const size_t at : {size_t{0}, size_t{70000}, object.size() - 1}) {
    std::string changed = object;
    changed[at] ^= 1;
    EXPECT_FALSE(opens(cipher, changed));
  }
  const size_t chunk = ObjectCipher::kChunk + 16;
  EXPECT_FALSE(opens(cipher, object.substr(chunk, chunk) + object.substr(0, chunk) + object.substr(2 * chunk)));
  ObjectCipher cut = cipher;
  cut.set_text_size(2 * ObjectCipher::kChunk);
  EXPECT_FALSE(opens(cut, object.substr(0, 2 * chunk))) << "the last chunk says that it is the last";
  EXPECT_FALSE(opens(ObjectCipher(key.key, "block", "items", cipher.encryption()), object));
  EXPECT_FALSE(opens(ObjectCipher(key.key, "block2", "packets", cipher.encryption()), object));
  EXPECT_FALSE(opens(ObjectCipher(other.key, "block", "packets", cipher.encryption()), object));
}

TEST(KeyRing, FindsTheKeyOrSaysWhatIsMissing) {
  const KeyRing writer = ring({"2026-11:" + hex_key(7)});
  const BlockKey key = new_block_key(writer.writer());
  EXPECT_EQ(key.encryption.key_id, "2026-11");
  const auto rotated = ring({"2026-12:" + hex_key(8), "2026-11:" + hex_key(7)}).unwrap(key.encryption);
  ASSERT_TRUE(rotated);
  EXPECT_EQ(*rotated, key.key);
  EXPECT_TRUE(ring({hex_key(7)}).unwrap(key.encryption)) << "whatever it is called";
  struct Row {
    KeyRing keys;
    const char* message;
  };
  for (const Row& row :
       {Row{KeyRing(), "it is encrypted with key '2026-11': give it with --decryption-key FILE"},
        Row{ring({"a:" + hex_key(8)}), "it is encrypted with key '2026-11', which is not among the 1 given"},
        Row{ring({"2026-11:" + hex_key(8)}), "the key given as '2026-11' is not the one it was encrypted with"}}) {
    const auto result = row.keys.unwrap(key.encryption);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, row.keys.empty() ? Code::kDenied : Code::kInvalid);
    EXPECT_EQ(result.error().message, row.message);
  }
  KeyRing bad;
  for (const char* text : {"", "short", "id:", "zz:zz"}) {
    const auto added = bad.add_text(text, "the file");
    ASSERT_FALSE(added);
    EXPECT_TRUE(added.error().message.starts_with("the file: a key has 32 bytes")) << added.error().message;
  }
  EXPECT_FALSE(bad.add_file("/nowhere/key"));
}

}  // namespace
}  // namespace baleen::index
