#include "codec/tar/tar.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>

// Archives that tar(1) and Python have made lie in corpus/; those here are made by hand, field after field.

namespace baleen::codec {
namespace {

std::string header(const std::string& name, const std::string& size, char type, const std::string& magic = "ustar") {
  std::string h(TarReader::kRecord, '\0');
  h.replace(0, name.size(), name);
  h.replace(100, 7, "0000644");
  h.replace(124, size.size(), size);
  h[156] = type;
  h.replace(257, magic.size(), magic);
  h.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  h.replace(148, 7, std::string(text, 7));
  return h;
}

std::string octal(size_t n) {
  char text[12];
  std::snprintf(text, sizeof text, "%011zo", n);
  return text;
}

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

struct File {
  std::string name, content;
  bool whole = false;
  bool operator==(const File&) const = default;
};

struct Read {
  std::vector<File> files;
  bool end = false;
  std::string error;
};

Read read(const std::string& archive, size_t piece = 1 << 20) {
  Read out;
  TarReader reader;
  size_t begin = 0, end = 0;
  for (;;) {
    const auto step = reader.read(as_bytes(archive).subspan(begin, end - begin));
    begin += step.consumed;
    switch (step.kind) {
      case TarReader::Kind::kEntry: out.files.push_back({reader.entry().name, "", false}); continue;
      case TarReader::Kind::kData:
        out.files.back().content += as_text(step.data);
        out.files.back().whole = step.last;
        continue;
      case TarReader::Kind::kEnd: out.end = true; return out;
      case TarReader::Kind::kFailed: out.error = reader.error().message; return out;
      case TarReader::Kind::kNeed: break;
    }
    if (end - begin >= step.need && step.consumed != 0) continue;
    if (end == archive.size()) return out;
    end = std::min(archive.size(), std::max(end + piece, begin + step.need));
  }
}

const std::string kZeros(1024, '\0');

TEST(Tar, FilesOfEveryKindOfWriter) {
  const std::string long_name = std::string(120, 'd') + "/x.pcap";
  const std::string pax = "30 mtime=1700000000.123456789\n";
  ASSERT_EQ(pax.size(), 30u);
  std::string path_line = " path=" + long_name + "\n";
  path_line = std::to_string(path_line.size() + 3) + path_line;
  const std::string archive =
      header("plain.pcap", "5", '0') + padded("hello") + header("old", "00000000003 ", '\0', "") + padded("abc") +
      header("folder/", "0", '5') + header("link", "7", '2') + header("././@LongLink", "00000000200", 'L', "ustar  ") +
      padded(long_name + std::string(1, '\0')) + header("cut", "2", '0', "ustar  ") + padded("gn") +
      header("PaxHeaders/x", octal(pax.size() + path_line.size()), 'x') + padded(pax + path_line) +
      header("short", "4", '0') + padded("pax!") + header("empty", "0", '0') + kZeros;
  const Read got = read(archive);
  EXPECT_EQ(got.error, "");
  EXPECT_TRUE(got.end);
  const std::vector<File> wanted = {{"plain.pcap", "hello", true},
                                    {"old", "abc", true},
                                    {long_name, "gn", true},
                                    {long_name, "pax!", true},
                                    {"empty", "", true}};
  EXPECT_EQ(got.files, wanted);
  for (const size_t piece : {1, 7, 511, 512, 513}) {
    const Read same = read(archive, piece);
    EXPECT_EQ(same.files, wanted) << piece;
    EXPECT_TRUE(same.end) << piece;
  }
}

TEST(Tar, CutAnywhereGivesWhatIsThere) {
  const std::string archive = header("a", "5", '0') + padded("hello") + header("b", "1", '0') + padded("x") + kZeros;
  const File whole{"a", "hello", true};
  for (size_t cut = 0; cut <= archive.size(); ++cut) {
    const Read got = read(archive.substr(0, cut));
    EXPECT_EQ(got.error, "") << cut;
    EXPECT_EQ(got.files.size(), cut < 512 ? 0u : cut < 1536 ? 1u : 2u) << cut;
    EXPECT_TRUE(cut < 517 || got.files[0] == whole) << cut;
    EXPECT_EQ(got.end, cut >= 2560) << cut;
  }
}

TEST(Tar, LargeSizesInBinary) {
  std::string h = header("large", "0", '0');
  const std::string size = {'\x80', 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 1};  // 8 GiB + 1
  h.replace(124, 12, size);
  unsigned sum = 0;
  for (size_t i = 0; i < h.size(); ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(h[i]);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  h.replace(148, 7, std::string(text, 7));
  TarReader reader;
  ASSERT_EQ(reader.read(as_bytes(h)).kind, TarReader::Kind::kEntry);
  EXPECT_EQ(reader.entry().size, (uint64_t{8} << 30) + 1);
}

TEST(Tar, WhatIsNoArchiveIsToldFromOne) {
  EXPECT_FALSE(TarReader::is_tar(as_bytes(std::string(512, '\0'))));
  EXPECT_FALSE(TarReader::is_tar(as_bytes("\xd4\xc3\xb2\xa1" + std::string(508, 'x'))));
  EXPECT_TRUE(TarReader::is_tar(as_bytes(header("a", "0", '0'))));
  std::string changed = header("a", "5", '0');
  changed[0] = 'b';
  EXPECT_FALSE(TarReader::is_tar(as_bytes(changed)));
  const Read got = read(header("a", "5", '0') + padded("hello") + changed);
  EXPECT_EQ(got.files.size(), 1u);
  EXPECT_NE(got.error.find("at offset 1024"), std::string::npos) << got.error;
}

TEST(Tar, ArchivesOfOtherPrograms) {
  for (const char* name : {"gnu.tar", "pax.tar", "ustar.tar", "v7.tar"}) {
    std::ifstream in(std::string(BALEEN_SOURCE_DIR "/src/codec/tar/corpus/") + name, std::ios::binary);
    const std::string archive((std::istreambuf_iterator<char>(in)), {});
    const Read got = read(archive, 100);
    EXPECT_TRUE(got.end) << name;
    ASSERT_EQ(got.files.size(), 2u) << name;
    EXPECT_EQ(got.files[0].content, "one\n") << name;
    EXPECT_EQ(got.files[1].content.size(), 700u) << name;
    EXPECT_TRUE(got.files[1].name.ends_with("two.pcap")) << got.files[1].name;
  }
}

}  // namespace
}  // namespace baleen::codec
