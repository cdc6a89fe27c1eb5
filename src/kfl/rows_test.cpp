// What the rows of the reference for KFL v1 say, a line each: testdata/v1_rows.ndjson. {"row", "filter", "match",
// "limit"}, over the item of the first line or its own "item"; "shown" is the item afterwards where the filter changes
// it. The expectations of the rows without time, text and redaction were made by a second implementation of the
// reference's semantics, written apart from this one.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "item/json.h"
#include "kfl/batch.h"

namespace baleen::kfl {
namespace {

TEST(V1Rows, AreAnsweredAsTheReferenceDoes) {
  std::ifstream in(BALEEN_SOURCE_DIR "/src/kfl/testdata/v1_rows.ndjson");
  ASSERT_TRUE(in);
  Options options;
  options.now = timestamp_from_ns(1'700'000'060'000'000'000);
  std::string common;
  size_t rows = 0;
  for (std::string line; std::getline(in, line);) {
    Arena arena;
    const auto root = item::parse_json(line, arena);
    ASSERT_TRUE(root) << line;
    const auto json = [&](const item::Value& v) {
      std::string out;
      item::append_json(v, out);
      return out;
    };
    const item::Value* own = root->find("item");
    if (common.empty()) {
      common = json(*own);
      continue;
    }
    const std::string item = own != nullptr ? json(*own) : common;
    const item::Value* shown = root->find("shown");
    const std::string expected =
        fmt::format("{{\"match\":{},\"limit\":{},\"item\":{}}}", root->find("match")->as_bool(),
                    json(*root->find("limit")), shown != nullptr ? json(*shown) : item);
    const std::string request =
        fmt::format("{{\"filter\":{},\"dialect\":\"v1\",\"item\":{}}}", json(*root->find("filter")), item);
    EXPECT_EQ(answer_line(request, options), expected) << root->find("row")->text() << ": " << request;
    ++rows;
  }
  EXPECT_GE(rows, 600u);
}

}  // namespace
}  // namespace baleen::kfl
