#include "store/xml.h"

#include <gtest/gtest.h>

namespace baleen::store {
namespace {

constexpr std::string_view kError =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error xmlns=\"urn:x\"><Code>SlowDown</Code><Message>a &lt; b "
    "&#228;</Message><Inner><Deep>x</Deep></Inner></Error>";

TEST(Xml, ReadsAnAnswer) {
  const auto root = parse_xml(kError);
  ASSERT_TRUE(root) << root.error().message;
  EXPECT_EQ(root->name, "Error") << "without its namespace";
  EXPECT_EQ(root->child_text("Code"), "SlowDown");
  EXPECT_EQ(root->child_text("Message"), "a < b \xC3\xA4");
  ASSERT_NE(root->child("Inner"), nullptr);
  EXPECT_EQ(root->child("Inner")->child_text("Deep"), "x");
  EXPECT_EQ(root->child("Absent"), nullptr);
  EXPECT_EQ(root->child_text("Absent"), "");
}

TEST(Xml, EveryTruncationIsRefused) {
  for (size_t n = 0; n < kError.size(); ++n) EXPECT_FALSE(parse_xml(kError.substr(0, n))) << n;
}

TEST(Xml, RefusesWhatNoStoreSays) {
  std::string deep, wide = "<a>";
  for (int i = 0; i < 17; ++i) deep = "<a>" + deep + "</a>";
  for (int i = 0; i < 100'001; ++i) wide += "<b/>";
  wide += "</a>";
  const struct {
    const char* name;
    std::string text;
  } table[] = {
      {"entities", "<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\">]><a>&x;</a>"},
      {"a file", "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>"},
      {"too deep", deep},
      {"too wide", wide},
      {"JSON", "{}"},
      {"two roots", "<a/><b/>"},
      {"crossed", "<a><b></a></b>"},
  };
  for (const auto& row : table) EXPECT_FALSE(parse_xml(row.text)) << row.name;
}

TEST(Xml, EscapedTextComesBack) {
  const std::string text = "a<b>&\"c\"'d";
  const auto root = parse_xml("<t>" + escape_xml(text) + "</t>");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->text, text);
}

}  // namespace
}  // namespace baleen::store
