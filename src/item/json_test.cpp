#include "item/json.h"

#include <gtest/gtest.h>

namespace baleen::item {
namespace {

std::string print(const Value& v) {
  std::string out;
  append_json(v, out);
  return out;
}

std::string again(std::string_view text) {
  Arena arena;
  const auto v = parse_json(text, arena);
  return v ? print(*v) : "not JSON";
}

TEST(Json, prints_what_it_parses) {
  for (const char* text : {"null", "true", "-5", "9223372036854775807", "1.5", "1e+300", "\"\"", "[]", "{}",
                           R"({"a":[1,{"b":null}],"c":"\u0001\"\\\n"})", "\"\xC3\xA9\xF0\x9F\x90\x8B\""})
    EXPECT_EQ(again(text), text);
}

TEST(Json, a_double_stays_a_double) { EXPECT_EQ(again("3.0"), "3.0"); }

TEST(Json, refuses_what_is_not_json) {
  for (const char* text : {"", "{", "[1,]", "nul", "\"\x01\"", "{\"a\" 1}"}) EXPECT_EQ(again(text), "not JSON") << text;
  EXPECT_EQ(again(std::string(100, '[') + std::string(100, ']')), "not JSON");
}

TEST(Json, mends_text_that_is_not_utf8) {
  EXPECT_EQ(print(Value("a\xFF\xC3")), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(print(Value("\xED\xA0\x80")), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");  // a surrogate
  EXPECT_EQ(print(Value::bytes(as_bytes("\x01\x02"))), "\"AQI=\"");
}

TEST(Json, headers_fold_case_after_parsing) {
  Arena arena;
  const auto v = parse_json(R"({"request":{"headers":{"X-User":"a"},"Other":{"K":1}}})", arena);
  ASSERT_TRUE(v);
  EXPECT_EQ((*v)["request"]["headers"]["x-user"].text(), "a");
  EXPECT_TRUE((*v)["request"]["other"].is_null());
}

TEST(Json, only_fields_that_are_wanted_are_made) {
  const std::string text =
      R"({"a":{"b":[1,{"c":2}],"d":{"e":3,"f":4}},"g":5,"headers":{"Host":"x","Other":"y"},"a.b":6,"h":{"i":7}})";
  const auto only = [&](std::vector<std::string> paths) {
    Arena arena;
    const auto value = parse_json(text, arena, JsonFields(paths));
    std::string out;
    if (value) append_json(*value, out);
    return out;
  };
  EXPECT_EQ(only({}), "{}");
  EXPECT_EQ(only({"g"}), R"({"g":5})");
  EXPECT_EQ(only({"a.d.f", "h"}), R"({"a":{"d":{"f":4}},"h":{"i":7}})");
  EXPECT_EQ(only({"a.d.f", "a"}), R"({"a":{"b":[1,{"c":2}],"d":{"e":3,"f":4}}})");
  EXPECT_EQ(only({"a.b[1].c"}), R"({"a":{"b":[1,{"c":2}]}})");
  EXPECT_EQ(only({"g.more", "none"}), R"({"g":5})");
  EXPECT_EQ(only({"headers.host"}), R"({"headers":{"Host":"x","Other":"y"}})") << "their names fold case";
  EXPECT_EQ(only({R"(["a.b"])"}), again(text)) << "a root that is asked by brackets is wanted whole";
}

TEST(Json, an_item_has_the_reference_shape) {
  static constexpr uint16_t kPorts[] = {80};
  static constexpr Protocol kCard = {.name = "http", .version = "1.1", .abbreviation = "HTTP", .ports = kPorts};
  static constexpr Origin kOrigin = {"192.168.49.2:8897", "node-1", "192.168.49.2"};
  Item item(nullptr);
  item.protocol = &kCard;
  item.origin = &kOrigin;
  item.stream = 25258;
  item.request.present = true;
  item.request.time = timestamp_from_ns(1'700'000'000'123'456'789);
  item.outcome = Outcome::kNoResponse;
  item.client.address = {*net::IpAddress::parse("10.0.0.1"), 4242};
  Arena arena;
  EXPECT_EQ(member(item, "id", arena).text(), "192.168.49.2:8897/000000025258.pcap-0");
  EXPECT_EQ(member(item, "entryFile", arena).text(), "000000025258_pcap-0_entry.json");
  EXPECT_EQ(member(item, "conn_id", arena).as_int(), 25258);
  EXPECT_EQ(print(member(item, "node", arena)), R"({"ip":"192.168.49.2","name":"node-1"})");
  EXPECT_EQ(member(item, "src", arena)["port"].text(), "4242");
  EXPECT_EQ(member(item, "timestamp", arena).as_int(), 1'700'000'000'123);
  EXPECT_EQ(member(item, "startTime", arena).text(), "2023-11-14T22:13:20.123456789Z");
  EXPECT_EQ(print(member(item, "error", arena)), R"({"type":"pair-not-found","msg":"no response was seen"})");
  EXPECT_TRUE(member(item, "response", arena).is_null());
  EXPECT_TRUE(member(item, "no such", arena).is_null());

  std::string text;
  append_json(item, text);
  const auto parsed = parse_json(text, arena);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(*parsed == as_value(item, arena));
}

}  // namespace
}  // namespace baleen::item
