#include "kfl/fields.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace baleen::kfl {
namespace {

std::string read_by(std::string_view text, Dialect dialect) {
  Options options;
  options.dialect = dialect;
  const Compiled compiled = compile(text, options);
  if (!compiled.filter) return "does not compile";
  const auto fields = fields_read(*compiled.filter);
  return fields ? fmt::format("{}", fmt::join(*fields, " ")) : "unknown";
}

TEST(FieldsRead, OfTheFirstDialect) {
  constexpr auto v1 = Dialect::kV1;
  EXPECT_EQ(read_by("", v1), "");
  EXPECT_EQ(read_by("http", v1), "protocol.abbr");
  EXPECT_EQ(read_by("redis or !(src.name == r\"cata.*\")", v1), "protocol.name src.name");
  EXPECT_EQ(read_by("http and response.status >= 500 and elapsedTime > 3", v1),
            "elapsedTime protocol.abbr response.status");
  EXPECT_EQ(read_by("request.path.contains(\"a\") and record(\"x\")", v1), "record request.path");
  EXPECT_EQ(read_by("request.headers.* == \"a\"", v1), "unknown");
  EXPECT_EQ(read_by("request..id == \"a\"", v1), "unknown");
  EXPECT_EQ(read_by("http and redact(\"request.path\")", v1), "unknown");
}

TEST(FieldsRead, OfTheSecondDialect) {
  constexpr auto v2 = Dialect::kV2;
  constexpr const char* kProtocol = "protocol.abbr protocol.macro protocol.name protocol.version";
  EXPECT_EQ(read_by("dns", v2), kProtocol);
  EXPECT_EQ(read_by("src.name in [\"a\", \"b\"]", v2), "src.name");
  EXPECT_EQ(read_by("http && status_code == 404", v2), std::string(kProtocol) + " response.status");
  EXPECT_EQ(read_by("dst.namespace == \"internal\"", v2), "dst.ip dst.namespace");
  EXPECT_EQ(read_by("timestamp > timestamp(\"2026-01-01T00:00:00Z\")", v2), "unknown");
  EXPECT_EQ(read_by("node[\"name\"] == \"n\"", v2), "node");
}

}  // namespace
}  // namespace baleen::kfl
