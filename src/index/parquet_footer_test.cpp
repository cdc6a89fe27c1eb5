#include "index/parquet_footer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "index/parquet.h"

namespace baleen::index {
namespace {

std::string file_with(uint64_t rows) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("baleen-footer-" + std::to_string(::getpid()))).string();
  uint64_t n = 0;
  const auto next = [&](ItemRow& row) {
    row = {};
    row.time_ns = static_cast<int64_t>(n) * 1'000'000;
    row.src_pod = n < 40'000 ? "a" : "b";
    return n++ < rows;
  };
  EXPECT_TRUE(write_parquet(path, next, {}, ""));
  std::ifstream in(path, std::ios::binary);
  std::string out(std::istreambuf_iterator<char>(in), {});
  std::filesystem::remove(path);
  return out;
}

TEST(ParquetFooter, RowGroupsAndTheirStatistics) {
  const std::string file = file_with(70'000);
  const auto footer = ParquetFooter::parse(file, file.size());
  ASSERT_TRUE(footer) << footer.error().message;
  ASSERT_EQ(footer->row_groups().size(), 3u);
  EXPECT_EQ(footer->row_groups()[0].rows, 30'720u);
  const ColumnChunk* pod = footer->row_groups()[2].column("src_pod");
  ASSERT_NE(pod, nullptr);
  EXPECT_EQ(pod->lowest, "b");
  EXPECT_EQ(pod->highest, "b");
  EXPECT_GT(pod->bytes.length, 0u);
  EXPECT_EQ(footer->row_groups()[0].column("none"), nullptr);
}

TEST(ParquetFooter, AShortenedOneHasTheChosenRowGroupsOnly) {
  const std::string file = file_with(70'000);
  const auto footer = ParquetFooter::parse(file, file.size());
  ASSERT_TRUE(footer);
  const size_t chosen[] = {0, 2};
  const std::string end = footer->with_only(chosen);
  const auto shortened = ParquetFooter::parse(end, file.size());
  ASSERT_TRUE(shortened) << shortened.error().message;
  ASSERT_EQ(shortened->row_groups().size(), 2u);
  EXPECT_EQ(shortened->row_groups()[1].column("time")->bytes, footer->row_groups()[2].column("time")->bytes);
  EXPECT_EQ(shortened->row_groups()[1].column("src_pod")->lowest, "b");
  const size_t all[] = {0, 1, 2};
  EXPECT_EQ(footer->with_only(all), file.substr(file.size() - ParquetFooter::size_at_end(file)));
}

TEST(ParquetFooter, EveryTruncationAndEveryByteIsSurvived) {
  const std::string file = file_with(100);
  const std::string end = file.substr(file.size() - ParquetFooter::size_at_end(file));
  for (size_t cut = 1; cut < end.size(); ++cut)
    EXPECT_FALSE(ParquetFooter::parse(std::string_view(end).substr(cut), file.size()));
  for (size_t i = 0; i < end.size(); ++i)
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = end;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const auto parsed = ParquetFooter::parse(damaged, file.size());
      if (!parsed) continue;
      for (const RowGroup& group : parsed->row_groups())
        for (const ColumnChunk& c : group.columns) EXPECT_LE(c.bytes.offset + c.bytes.length, file.size());
    }
}

}  // namespace
}  // namespace baleen::index
