#include "store/upload_body.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/crc32c.h"
#include "base/unique_fd.h"

namespace baleen::store {
namespace {

constexpr uint64_t kPart = 1 << 20;

std::string content_of(size_t size) {
  std::string out(size, '\0');
  uint32_t x = 1;
  for (char& c : out) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return out;
}

/// A file without a name, of `then_size` bytes once it is open.
std::unique_ptr<io::ByteSource> file_of(const std::string& content, size_t then_size) {
  std::string path = testing::TempDir() + "upload-body-XXXXXX";
  const UniqueFd fd(::mkstemp(path.data()));
  EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  auto file = io::open_source(path);
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(then_size)), 0);
  ::unlink(path.c_str());
  EXPECT_TRUE(file);
  return *std::move(file);
}

TEST(UploadBody, DigestsAheadAreThoseOfEachPart) {
  const std::string content = content_of(3 * kPart + 17);
  const auto file = file_of(content, content.size());
  for (const UploadBody& body :
       {UploadBody{as_bytes(content), nullptr, content.size(), 0}, UploadBody{{}, file.get(), content.size(), 0}}) {
    for (const io::Digests wanted : {io::Digests{.md5 = true}, io::Digests{.sha256 = true}, io::Digests{.crc32c = true},
                                     io::Digests{.sha256 = true, .md5 = true, .crc32c = true}}) {
      DigestsAhead ahead(body, kPart);
      for (uint64_t at = 0; at < content.size(); at += kPart) {
        const auto digests = ahead.of(at, wanted);
        ASSERT_TRUE(digests);
        const Bytes part = as_bytes(content).subspan(at, std::min<uint64_t>(kPart, content.size() - at));
        EXPECT_EQ(digests->sha256, wanted.sha256 ? io::sha256(part) : io::Sha256{}) << at;
        EXPECT_EQ(digests->md5, wanted.md5 ? io::md5(part) : io::Md5{}) << at;
        EXPECT_EQ(digests->crc32c, wanted.crc32c ? crc32c(part) : 0) << at;
      }
    }
  }
}

TEST(UploadBody, PartsAreAlikeAndWithinTheirLimits) {
  constexpr uint64_t kMiB = 1 << 20;
  EXPECT_EQ(choose_part(65 * kMiB, 64 * kMiB, 16 * kMiB, 5 * kMiB, 10'000), 33 * kMiB);
  EXPECT_EQ(choose_part(64 * kMiB, 64 * kMiB, 16 * kMiB, 5 * kMiB, 10'000), 64 * kMiB);
  EXPECT_EQ(choose_part(100 * kMiB, 0, 16 * kMiB, 5 * kMiB, 10'000), 15 * kMiB) << "the store's choice";
  EXPECT_EQ(choose_part(6 * kMiB, 5 * kMiB, 16 * kMiB, 5 * kMiB, 10'000), 5 * kMiB) << "no smaller than it takes";
  EXPECT_EQ(choose_part(20'000 * kMiB, kMiB, 16 * kMiB, kMiB, 10'000), 2 * kMiB) << "no more than it takes";
  EXPECT_EQ(choose_part(1, 0, 16 * kMiB, 5 * kMiB, 10'000), 5 * kMiB);
  EXPECT_EQ(choose_part(0, 0, 16 * kMiB, kMiB, 10'000), kMiB);
}

TEST(UploadBody, PartsThatAreSkippedOrAskedForTwiceHaveTheirOwnDigests) {
  const std::string content = content_of(4 * kPart);
  const UploadBody body{as_bytes(content), nullptr, content.size(), 0};
  DigestsAhead ahead(body, kPart);
  for (const uint64_t part : {0, 2, 2, 3, 1}) {
    const auto digests = ahead.of(part * kPart, {.md5 = true});
    ASSERT_TRUE(digests);
    EXPECT_EQ(digests->md5, io::md5(as_bytes(content).subspan(part * kPart, kPart))) << part;
  }
}

TEST(UploadBody, DigestsThatWereNotReadAheadAreReadWhenTheyAreWanted) {
  const std::string content = content_of(3 * kPart);
  const UploadBody body{as_bytes(content), nullptr, content.size(), 0};
  const auto part = [&](uint64_t n) { return as_bytes(content).subspan(n * kPart, kPart); };
  DigestsAhead ahead(body, kPart);
  EXPECT_EQ(ahead.of(0, {.crc32c = true})->crc32c, crc32c(part(0)));
  EXPECT_EQ(ahead.of(kPart, {.sha256 = true, .crc32c = true})->sha256, io::sha256(part(1)));
  EXPECT_EQ(ahead.of(2 * kPart, {.crc32c = true})->crc32c, crc32c(part(2)));
}

TEST(UploadBody, AFileThatBecomesShorterIsAnErrorOfThePartThatIsMissing) {
  const std::string content = content_of(3 * kPart);
  const auto file = file_of(content, 2 * kPart + 1);
  const UploadBody body{{}, file.get(), content.size(), 0};
  DigestsAhead ahead(body, kPart);
  EXPECT_TRUE(ahead.of(0, {.md5 = true}));
  EXPECT_TRUE(ahead.of(kPart, {.md5 = true}));
  const auto missing = ahead.of(2 * kPart, {.md5 = true});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kIo);
}

}  // namespace
}  // namespace baleen::store
