#include "codec/protobuf_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace baleen::codec {
namespace {

using ::testing::HasSubstr;

std::string shop() {
  std::ifstream file(BALEEN_SOURCE_DIR "/src/dissect/grpc/testdata/shop.pb", std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

std::shared_ptr<const Schema> read(const std::string& set, bool lenient = false) {
  SchemaBuilder builder;
  const auto added = builder.add_set(as_bytes(set));
  EXPECT_TRUE(added) << added.error().message;
  auto schema = builder.build(lenient);
  EXPECT_TRUE(schema) << schema.error().message;
  return schema ? *schema : nullptr;
}

TEST(ProtobufSchema, ReadsWhatProtocWrites) {
  const auto schema = read(shop());
  ASSERT_NE(schema, nullptr);
  EXPECT_EQ(schema->files(), 7u);
  EXPECT_EQ(schema->methods(), 4u);
  const MessageType* const item = schema->message("shop.v1.Item");
  ASSERT_NE(item, nullptr);
  EXPECT_EQ(item->fields.size(), 23u);
  const MessageField& kind = *item->find(2);
  EXPECT_EQ(kind.name, "kind");
  EXPECT_EQ(kind.kind, FieldKind::kEnum);
  EXPECT_EQ(kind.enumeration->find(5), "RECORD");
  EXPECT_EQ(kind.enumeration->find(-3), "DEBT");
  EXPECT_EQ(kind.enumeration->find(4), "");
  EXPECT_TRUE(item->find(3)->repeated);
  EXPECT_EQ(item->find(5)->message->meaning, Meaning::kMapEntry);
  EXPECT_EQ(item->find(7)->oneof, item->find(9)->oneof);
  EXPECT_NE(item->find(7)->oneof, 0u);
  EXPECT_EQ(item->find(1)->oneof, 0u);
  EXPECT_EQ(item->find(9)->message->name, "shop.v1.Item.Rebate");
  EXPECT_EQ(item->find(10)->message, item);
  EXPECT_EQ(item->find(14)->message->meaning, Meaning::kTimestamp);
  EXPECT_EQ(item->find(24), nullptr);
  EXPECT_EQ(item->find(0), nullptr);
  EXPECT_EQ(schema->message("shop.v1.Nothing"), nullptr);
  const MethodType* const watch = schema->method("shop.v1.Shop/Watch");
  ASSERT_NE(watch, nullptr);
  EXPECT_EQ(watch->request->name, "shop.v1.Order");
  EXPECT_EQ(watch->response, item);
  EXPECT_TRUE(watch->server_streams);
  EXPECT_FALSE(watch->client_streams);
}

TEST(ProtobufSchema, SaysWhatIsWrong) {
  const auto error = [](const std::string& set) {
    SchemaBuilder builder;
    if (const auto added = builder.add_set(as_bytes(set)); !added) return added.error().message;
    const auto schema = builder.build(false);
    return schema ? "" : schema.error().message;
  };
  EXPECT_THAT(error(""), HasSubstr("is empty"));
  EXPECT_THAT(error("syntax = \"proto3\";"), HasSubstr("malformed"));
  const std::string whole = shop();
  const size_t last = whole.find("\n\nshop.proto") - 3;  // before it stand its record's tag and length
  ASSERT_LT(last, whole.size());
  EXPECT_THAT(error(whole.substr(last)),
              HasSubstr("shop.v1.Item uses google.protobuf.Timestamp, which no file of the set describes"));
  EXPECT_NE(read(whole.substr(last), true)->message("shop.v1.Item"), nullptr);
  EXPECT_EQ(read(whole.substr(last), true)->message("shop.v1.Item")->find(14)->kind, FieldKind::kUnknown);
}

TEST(ProtobufSchema, SurvivesEveryTruncationAndEveryByte) {
  const std::string whole = shop();
  for (size_t size = 0; size < whole.size(); ++size) {
    SchemaBuilder builder;
    if (builder.add_set(as_bytes(whole).first(size))) (void)builder.build(size % 2 == 0);
    std::string changed = whole;
    changed[size] = static_cast<char>(changed[size] ^ (1 << size % 8));
    SchemaBuilder other;
    if (other.add_set(as_bytes(changed))) (void)other.build(true);
  }
}

TEST(ProtobufSchema, ReadsAFileOnce) {
  const std::string twice = shop() + shop();
  EXPECT_EQ(read(twice)->files(), 7u);
}

TEST(ProtobufSchema, BoundsNesting) {
  std::string message = "\x0a\x01M";
  for (int i = 0; i < 60; ++i) {
    std::string outer = "\x0a\x01M\x1a";
    for (size_t n = message.size();; n >>= 7) {
      outer += static_cast<char>(n >= 0x80 ? n | 0x80 : n);
      if (n < 0x80) break;
    }
    message = outer + message;
  }
  std::string file =
      "\x0a\x01"
      "f\x22";
  for (size_t n = message.size();; n >>= 7) {
    file += static_cast<char>(n >= 0x80 ? n | 0x80 : n);
    if (n < 0x80) break;
  }
  SchemaBuilder builder;
  EXPECT_FALSE(builder.add_file(as_bytes(file + message)));
}

}  // namespace
}  // namespace baleen::codec
