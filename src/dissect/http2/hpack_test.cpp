#include "dissect/http2/hpack.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <random>

#include "dissect/http2/huffman.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::http2 {
namespace {

std::string fields(HeaderDecoder& decoder, const std::string& block, size_t cap = 1 << 20) {
  Arena arena;
  Block out(arena);
  const std::vector<uint8_t> exact(block.begin(), block.end());
  decoder.decode(exact, cap, arena, out);
  std::string text;
  for (const item::Member& m : out.fields.kept()) text += std::string(m.name) + "=" + std::string(m.value.text()) + ";";
  if (out.unknown > 0) text += " unknown " + std::to_string(out.unknown);
  if (out.malformed) text += " malformed";
  if (out.too_long) text += " too long";
  return text;
}

// RFC 7541 C.3 to C.6: each row's blocks follow one another.
TEST(Hpack, ReadsTheExamplesOfTheRfc) {
  const std::string first = ":method=GET;:scheme=http;:path=/;:authority=www.example.com;";
  const std::string second = first + "Cache-Control=no-cache;";
  const std::string third =
      ":method=GET;:scheme=https;:path=/index.html;:authority=www.example.com;custom-key=custom-value;";
  const auto canonical = [](std::string text) { return text.replace(text.find("custom-key"), 10, "Custom-Key"); };
  HeaderDecoder plain, huffman;
  EXPECT_EQ(fields(plain, unhex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d")), first);
  EXPECT_EQ(fields(plain, unhex("8286 84be 5808 6e6f 2d63 6163 6865")), second);
  EXPECT_EQ(fields(plain, unhex("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65")),
            canonical(third));
  EXPECT_EQ(fields(huffman, unhex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")), first);
  EXPECT_EQ(fields(huffman, unhex("8286 84be 5886 a8eb 1064 9cbf")), second);
  EXPECT_EQ(fields(huffman, unhex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")), canonical(third));
  // C.6, with a table of 256 bytes that evicts.
  HeaderDecoder responses;
  const std::string rest = "Cache-Control=private;Date=Mon, 21 Oct 2013 20:13:21 GMT;Location=https://www.example.com;";
  EXPECT_EQ(
      fields(responses,
             unhex("3f e101") + unhex("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 "
                                      "2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3")),
      ":status=302;" + rest);
  EXPECT_EQ(fields(responses, unhex("4883 640e ffc1 c0bf")), ":status=307;" + rest);
  EXPECT_EQ(
      fields(responses, unhex("88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad "
                              "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 "
                              "65c0 03ed 4ee5 b106 3d50 07")),
      ":status=200;Cache-Control=private;Date=Mon, 21 Oct 2013 20:13:22 GMT;Location=https://www.example.com;"
      "Content-Encoding=gzip;Set-Cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1;");
}

TEST(Hpack, RefusesWhatIsNoBlock) {
  for (const char* block : {"80", "be", "ff ffffffffff", "40 05 'a'", "40 01 'a' 05 'b'", "41",
                            "40 81 ff 00" /* padding */, "00 84 ffffffff 00" /* EOS */, "82 7f"}) {
    HeaderDecoder decoder;
    EXPECT_NE(fields(decoder, unhex(block)).find("malformed"), std::string::npos) << block;
  }
}

TEST(Hpack, DecodesEveryCharacter) {
  nghttp2_hd_deflater* deflater = nullptr;
  ASSERT_EQ(nghttp2_hd_deflate_new(&deflater, 4096), 0);
  for (int c = 0; c < 256; ++c) {
    // Enough short characters that Huffman is the shorter form.
    std::string value = std::string(60, 'a') + static_cast<char>(c) + "e" + static_cast<char>(c);
    std::string name = "x";
    nghttp2_nv nv{reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), 1, value.size(),
                  NGHTTP2_NV_FLAG_NO_INDEX};
    std::string block(1000, '\0');
    const auto size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()), block.size(), &nv, 1);
    ASSERT_GT(size, 0);
    block.resize(static_cast<size_t>(size));
    EXPECT_LT(block.size(), value.size());
    HeaderDecoder decoder;
    EXPECT_EQ(fields(decoder, block), "X=" + value + ";") << c;
  }
  nghttp2_hd_deflate_del(deflater);
}

/// What nghttp2's encoder writes is read, whatever sizes of tables it is told.
TEST(Hpack, ReadsWhatNghttp2Writes) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    nghttp2_hd_deflater* deflater = nullptr;
    ASSERT_EQ(nghttp2_hd_deflate_new(&deflater, 65536), 0);
    HeaderDecoder decoder, joined;
    joined.forget();
    for (int i = 0; i < 100; ++i) {
      if (random() % 20 == 0) nghttp2_hd_deflate_change_table_size(deflater, random() % 70000);
      std::vector<std::pair<std::string, std::string>> headers;
      std::string expected;
      for (size_t n = random() % 12; n > 0; --n) {
        static constexpr const char* kNames[] = {":path", "cookie", "x-id", "content-type", "authorization", "a-b-c"};
        static constexpr const char* kShown[] = {":path", "Cookie", "X-Id", "Content-Type", "Authorization", "A-B-C"};
        const size_t name = random() % std::size(kNames);
        std::string value(random() % 5 == 0 ? random() % 9000 : random() % 30, ' ');
        for (char& c : value) c = static_cast<char>(random() % 10 == 0 ? random() : 'a' + random() % 3);
        headers.emplace_back(kNames[name], value);
        expected += std::string(kShown[name]) + "=" + value + ";";
      }
      std::vector<nghttp2_nv> nvs;
      for (auto& [name, value] : headers)
        nvs.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(),
                       value.size(), 0});
      std::string block(200000, '\0');
      const auto size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()), block.size(),
                                              nvs.data(), nvs.size());
      ASSERT_GE(size, 0);
      block.resize(static_cast<size_t>(size));
      EXPECT_EQ(fields(decoder, block), expected);
      if (i > 0) {
        EXPECT_EQ(fields(joined, block).find("malformed"), std::string::npos);
      }
    }
    nghttp2_hd_deflate_del(deflater);
  }
}

TEST(Hpack, LargerTablesThanOurOwnAreFollowed) {
  HeaderDecoder decoder;
  std::string block = unhex("3f e1ff ff07");  // the table's size becomes 16 MiB
  const std::string value(30000, 'v');
  for (const char* name : {"a", "b", "c", "d"}) block += unhex("40 01") + name + unhex("7f b1e901") + value;
  EXPECT_EQ(fields(decoder, block).find("malformed"), std::string::npos);
  EXPECT_EQ(fields(decoder, unhex("be bf c0 c1")), "D=" + value + ";C=" + value + "; unknown 2");
}

TEST(Hpack, BombsAreCutShort) {
  HeaderDecoder decoder;
  fields(decoder, unhex("40 01 'a' 7f a11e") + std::string(4000, 'v'));
  std::string bomb(100000, '\xbe');
  Arena arena;
  Block out(arena);
  decoder.decode(as_bytes(bomb), 256 << 10, arena, out);
  EXPECT_TRUE(out.too_long);
  EXPECT_FALSE(out.malformed);
  EXPECT_EQ(out.fields.size(), 65u);
  EXPECT_LT(arena.footprint(), 600u << 10);
  // What is left out is followed: the table is right afterwards, also where an entry takes its name from another.
  const std::string named = unhex("7e 02 'zz'");
  EXPECT_EQ(fields(decoder, bomb + named, 1000).find("malformed"), std::string::npos);
  EXPECT_EQ(fields(decoder, unhex("be")), "A=zz;");
}

TEST(Hpack, AnEntryMayEvictTheOneThatNamesIt) {  // RFC 7541 4.4
  HeaderDecoder decoder;
  EXPECT_EQ(fields(decoder, unhex("3f 21 40 0a 'name-after' 06 'value1'")), "Name-After=value1;");  // 64 bytes
  EXPECT_EQ(fields(decoder, unhex("7e 06 'value2'")), "Name-After=value2;");
  EXPECT_EQ(fields(decoder, unhex("be")), "Name-After=value2;");
}

}  // namespace
}  // namespace baleen::dissect::http2
