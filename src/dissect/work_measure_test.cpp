// The law of work, for every protocol: its fuzz seeds, stretched in every way that work.h knows. And the proof that
// this would notice: dissectors that break the law are caught.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "dissect/registry.h"
#include "dissect/work.h"

namespace baleen::dissect {
namespace {

namespace fs = std::filesystem;

std::vector<std::vector<Said>> seeds_of(std::string_view protocol) {
  fs::path folder = fs::path(BALEEN_SOURCE_DIR) / "src" / "dissect" / protocol / "corpus";
  if (fs::exists(folder / protocol)) folder /= protocol;  // its folder has other fuzz targets, too
  std::vector<fs::path> files;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::vector<Said>> seeds;
  for (const fs::path& path : files) {
    std::ifstream in(path, std::ios::binary);
    seeds.push_back(script_from(std::string{std::istreambuf_iterator<char>(in), {}}));
    if (seeds.size() == 3) break;
  }
  return seeds;
}

class LawOfWork : public testing::TestWithParam<ProtocolEntry> {};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // times mean nothing
#else
constexpr bool kSanitized = false;
#endif

TEST_P(LawOfWork, holds) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take the time";
  const ProtocolEntry& entry = GetParam();
  if (!entry.over_tcp) GTEST_SKIP() << "datagrams do not drip";
  const auto seeds = seeds_of(entry.name);
  ASSERT_FALSE(seeds.empty()) << "a protocol over TCP has fuzz seeds";
  for (const auto& seed : seeds) EXPECT_EQ(broken_law_of_work(entry.make, seed), "");
}

INSTANTIATE_TEST_SUITE_P(Protocols, LawOfWork, testing::ValuesIn(registry().begin(), registry().end()),
                         [](const auto& row) { return std::string(row.param.name); });

// ---- dissectors that break it ----

const item::Protocol kLines{.name = "lines"};

/// Lines of text, each an item. How it finds a line's end is what the heirs differ in.
class Lines : public Session {
 public:
  Step dissect(const Input& in, Output& out) override {
    const size_t end = find_end(in.bytes);
    if (end == SIZE_MAX) return Step::need();
    out.finish(out.begin(kLines));
    return Step::took(end + 1);
  }
  bool gap(Direction, uint64_t, Output&) override { return false; }
  Resync resync(const Input& in) override { return {in.bytes.size(), false}; }
  void expire(Timestamp, Output&) override {}
  void close(bool, Output&) override {}

 protected:
  virtual size_t find_end(Bytes bytes) = 0;
};

/// Remembers how far it has looked.
class Lawful final : public Lines {
  size_t find_end(Bytes bytes) override {
    for (; looked_ < bytes.size(); ++looked_)
      if (bytes[looked_] == '\n') return std::exchange(looked_, 0);
    return SIZE_MAX;
  }
  size_t looked_ = 0;
};

/// Looks at the whole line again for each piece of it.
class LooksAgain final : public Lines {
  size_t find_end(Bytes bytes) override {
    for (size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] == '\n') return i;
    return SIZE_MAX;
  }
};

/// Keeps all lines, and looks through them for each.
class Remembers final : public Lines {
  size_t find_end(Bytes bytes) override {
    const size_t end = as_text(bytes).find('\n');
    if (end == SIZE_MAX) return end;
    const std::string line(as_text(bytes.first(end)));
    size_t same = 0;
    for (const std::string& other : lines_) same += other == line ? 1 : 0;
    lines_.push_back(line + std::to_string(same));
    return end;
  }
  std::vector<std::string> lines_;
};

template <class D>
std::string broken() {
  return broken_law_of_work([] { return std::make_unique<D>(); }, {c("GET a\nSET b\n"), s("+OK\n")});
}

TEST(LawOfWork, is_not_said_to_be_broken_where_it_holds) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take the time";
  EXPECT_EQ(broken<Lawful>(), "");
}

TEST(LawOfWork, notices_who_looks_at_the_same_bytes_again) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take the time";
  EXPECT_NE(broken<LooksAgain>().find("cut at"), std::string::npos);
}

TEST(LawOfWork, notices_who_looks_through_all_messages_for_each) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take the time";
  EXPECT_NE(broken<Remembers>(), "");
}

}  // namespace
}  // namespace baleen::dissect
