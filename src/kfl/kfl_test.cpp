#include "kfl/kfl.h"

#include <gtest/gtest.h>

#include "item/json.h"

namespace baleen::kfl {
namespace {

struct Row {
  const char* filter;
  const char* item;
  bool match;
  uint64_t limit = 0;
  const char* shown = nullptr;  // the record afterwards; null: as it was
};

class V1 : public testing::TestWithParam<Row> {};

TEST_P(V1, Table) {
  const Row& row = GetParam();
  Options options;
  options.dialect = Dialect::kV1;
  const Compiled compiled = compile(row.filter, options);
  ASSERT_TRUE(compiled.filter) << row.filter << "\n" << render(row.filter, compiled.diagnostics);
  EXPECT_EQ(compile(row.filter).dialect, Dialect::kV1) << row.filter << " is not recognised";
  Arena arena;
  const auto root = item::parse_json(row.item, arena);
  ASSERT_TRUE(root) << row.item;
  const auto answer = compiled.filter->apply_json(*root, arena);
  EXPECT_EQ(answer.match, row.match) << row.filter << "\n" << row.item;
  EXPECT_EQ(compiled.filter->matches_json(*root), row.match);
  EXPECT_EQ(compiled.filter->limit(), row.limit) << row.filter;
  std::string shown, expected;
  item::append_json(answer.record, shown);
  item::append_json(row.shown != nullptr ? *item::parse_json(row.shown, arena) : *root, expected);
  EXPECT_EQ(shown, expected) << row.filter;
}

constexpr const char* kCar = R"({"id":114905,"model":"Camaro","brand":{"name":"Chevrolet"},"year":2021})";
constexpr const char* kRequest =
    R"({"request":{"path":["api","v1","example"],"headers":{"a":"b","c":"d","e":{"x":"y"}}}})";
constexpr const char* kNumbers = R"({"request":{"path":[1,2,3]},"response":{"header":[-1,-2,-3]}})";
constexpr const char* kObjects = R"({"request":{"path":[{"x":1},{"x":2},{"x":3}]}})";
constexpr const char* kBody =
    R"({"response":{"body":"{\"id\":114905,\"model\":\"Camaro\",\"brand\":{\"name\":\"Chevrolet\"},\"key\":[\"api\",\"v1\"]}"}})";
constexpr const char* kList = R"({"response":{"body":"[\"api\",\"v1\"]"}})";
constexpr const char* kBase64 =
    R"({"response":{"body":"eyJpZCI6MTE0OTA1LCJtb2RlbCI6IkNhbWFybyIsImJyYW5kIjp7Im5hbWUiOiJDaGV2cm9sZXQifSwieWVhciI6MjAyMX0="}})";
constexpr const char* kXml =
    R"({"body":"<?xml version=\"1.0\"?>\r\n<shop><book c=\"x\"><title lang=\"en\">Everyday</title><author>G</author></book><book c=\"y\"><title lang=\"en\">Potter</title><author>J</author></book></shop>"})";

INSTANTIATE_TEST_SUITE_P(
    Literals, V1,
    testing::Values(Row{"", "{}", true}, Row{"  // nothing\n", "{}", true}, Row{"true and true", "{}", true},
                    Row{"true and false", "{}", false}, Row{"false or true", "{}", true},
                    Row{"false or false", "{}", false}, Row{"true and 5", "{}", true}, Row{"false and 5", "{}", false},
                    Row{"true and 0", "{}", false}, Row{"-5", "{}", false}, Row{"5 == 5", "{}", true},
                    Row{"3 == 5", "{}", false}, Row{R"("abc" == "abc")", "{}", true},
                    Row{R"("abc" != "xyz")", "{}", true}, Row{R"("abc" == 'abc')", "{}", true},
                    Row{"\"abc\" == `abc`", "{}", true}, Row{"true == true", "{}", true},
                    Row{"true != true", "{}", false}, Row{"3.14 == 42", "{}", false}, Row{"42 > 41", "{}", true},
                    Row{"42 >= 42", "{}", true}, Row{"41 > = 42", "{}", false}, Row{"42 < 13", "{}", false},
                    Row{"!true", "{}", false}, Row{"!!true", "{}", true}, Row{"-300 < 42", "{}", true},
                    Row{"0x10 == 16", "{}", true}, Row{"1_000 == 1000", "{}", true}, Row{"1e3 == 1000", "{}", true},
                    Row{"1 = = 1 /* one */", "{}", true}, Row{"1234567 == 1234568", "{}", true},
                    Row{R"(100 == "100")", "{}", true}, Row{"true == \"true\"", "{}", true},
                    Row{R"("4x" == r "^\d")", "{}", true}, Row{R"(r"a" == r"^$")", "{}", false},
                    Row{R"(r"^$" == r"a")", "{}", true}));

INSTANTIATE_TEST_SUITE_P(
    Paths, V1,
    testing::Values(
        Row{"true and !(5 == a)", R"({"a":4})", true}, Row{"true and !(5 == a)", R"({"a":5})", false},
        Row{R"((a.b == "hello") and (x.y > 3.14))", R"({"a":{"b":"hello"},"x":{"y":3.15}})", true},
        Row{R"((a.b == "hello") and (x.y > 3.14))", R"({"a":{"b":"hello"},"x":{"y":3.13}})", false},
        Row{R"(brand.name == "Chevrolet")", kCar, true}, Row{R"(brand.name != "Chevrolet")", kCar, false},
        Row{R"(brand.game == "Chevrolet")", kCar, false}, Row{R"(brand.game != "Chevrolet")", kCar, false},
        Row{R"(brand.name == r"Chev.*")", kCar, true}, Row{R"(brand.name == r"hev")", kCar, true},
        Row{R"(brand.name != r"Chev.*")", kCar, false}, Row{R"(r"Bug.*" == brand.name)", kCar, false},
        Row{R"(year == r"^20")", kCar, true}, Row{R"(request.path[1] == "v1")", kRequest, true},
        Row{R"(request.path[3] == "v1")", kRequest, false}, Row{R"(request.headers["a"] == "b")", kRequest, true},
        Row{R"(request.headers["A"] == "b")", kRequest, true}, Row{R"(request.headers['a'] == 'b')", kRequest, true},
        Row{R"(request.headers["e"].x == "y")", kRequest, true},
        Row{R"(request.headers["e"].x != "z")", kRequest, true},
        Row{R"(request.headers["e"].x == "y" and request.path[0] == "api")", kRequest, true},
        Row{"year == salesYear", R"({"year":2021,"salesYear":2021})", true},
        Row{"year > salesYear", R"({"year":2021,"salesYear":2022})", false},
        Row{"year == 2021", R"({"year":2021.0})", true}, Row{"year == 2021.5", R"({"year":2021.5})", true},
        Row{"timestamp == 1634668524000", R"({"timestamp":1634668524000})", false},
        Row{R"(timestamp == "1634668524000")", R"({"timestamp":1634668524000})", true},
        Row{"model == nil", R"({"model":null})", true}, Row{"model != nil", R"({"model":null})", false},
        Row{"model == nil", "{}", false}, Row{"model == nil", kCar, false}, Row{R"(brand == "")", kCar, true},
        Row{"brand", kCar, false}, Row{"-year < 0", kCar, false}, Row{"!year == 2021", kCar, true},
        Row{"a > \"1e2\"", R"({"a":101})", true}, Row{"a > 100", R"({"a":"1e3"})", true},
        Row{"a < 1", R"({"a":"x"})", true}, Row{"a.b..c == 1", R"({"a":{"b":{"d":[{"c":1}]}}})", true},
        Row{R"(model == "\"hello world\";v=\"42\", ")", R"({"model":"\\\"hello world\\\";v=\\\"42\\\", "})", true}));

INSTANTIATE_TEST_SUITE_P(Collapse, V1,
                         testing::Values(Row{"missing == 1 or true", "{}", false},
                                         Row{"(missing == 1) or true", "{}", true}, Row{"!(missing == 1)", "{}", true},
                                         Row{"!missing", "{}", false}, Row{"true or missing == 1", "{}", true},
                                         Row{"false and missing == 1", "{}", false},
                                         Row{"false or missing == 1", "{}", false},
                                         Row{R"(missing.contains("als"))", "{}", true},
                                         Row{R"(missing.startsWith("fal"))", "{}", true},
                                         Row{R"(brand["name"].startsWithx("C") or true)", kCar, false},
                                         Row{R"((brand["name"].startsWithx("C")) or true)", kCar, true},
                                         Row{"nothing(1)", "{}", false}, Row{"limit()", "{}", false}));

INSTANTIATE_TEST_SUITE_P(Grouping, V1,
                         testing::Values(Row{"false and false or true", "{}", false},
                                         Row{"(false and false) or true", "{}", true},
                                         Row{"true or false and false", "{}", true}, Row{"1 == 1 == 1", "{}", false},
                                         Row{"1 == 1 == true", "{}", false}, Row{"3 > 2 > 1", "{}", true},
                                         Row{"1 < 2 == true", "{}", true}));

INSTANTIATE_TEST_SUITE_P(
    Lists, V1,
    testing::Values(Row{R"(request.path.* == "v1")", kRequest, true}, Row{R"(request.path == "v1")", kRequest, true},
                    Row{R"(request.path.* == "v2")", kRequest, false}, Row{R"(request.path.* != "v2")", kRequest, true},
                    Row{R"("v1" == request.path.*)", kRequest, true}, Row{"request.path.* > 2", kNumbers, true},
                    Row{"request.path.* > 4", kNumbers, false}, Row{"2 < request.path.*", kNumbers, true},
                    Row{"request.path.* <= 0", kNumbers, false}, Row{"request.path[*] >= 3", kNumbers, true},
                    Row{R"(request.path["*"] >= 3)", kNumbers, true}, Row{"request.path.*.x > 2", kObjects, true},
                    Row{"request.path.*.x > 4", kObjects, false}, Row{"request.path.*.x and true", kObjects, true},
                    Row{"request.path.*.x and true", R"({"request":{"path":[]}})", false},
                    Row{"request.path", R"({"request":{"path":[]}})", false}, Row{"a.* == 1", R"({"a":[1]})", true},
                    Row{"request.path.* == request.path.*", kNumbers, true},
                    Row{"request.path.* != request.path.*", kNumbers, false},
                    Row{"request.path.* > request.path.*", kNumbers, false},
                    Row{"request.path.* > response.header.*", kNumbers, true},
                    Row{"response.header.* < request.path.*", kNumbers, true},
                    Row{"request.path.* >= request.path.*", kNumbers, false},
                    Row{"a == b", R"({"a":[1],"b":[1.0]})", false}, Row{R"(a == r"x")", R"({"a":["x"]})", false},
                    Row{R"(a == r"x")", R"({"a":["x",""]})", true}, Row{R"(r"^$" == a)", R"({"a":["x"]})", true}));

INSTANTIATE_TEST_SUITE_P(
    Helpers, V1,
    testing::Values(
        Row{R"(brand.name.startsWith("Chev"))", kCar, true}, Row{R"(brand.name.startsWith("hev"))", kCar, false},
        Row{R"(brand.name.endsWith("let"))", kCar, true}, Row{R"(brand.name.contains("ro"))", kCar, true},
        Row{R"(brand["name"].startsWith("Chev"))", kCar, true}, Row{R"(!brand.name.startsWith("Chev"))", kCar, false},
        Row{R"(!brand.name.startsWith("hev"))", kCar, true}, Row{R"(year.startsWith(20))", kCar, true},
        Row{"brand.name.startsWith()", kCar, false}, Row{"brand.name.contains()", kCar, false},
        Row{"datetime()", kCar, false},
        Row{R"(timestamp > datetime("10/19/2021, 6:29:02.000 PM"))", R"({"timestamp":1634668524000})", true},
        Row{R"(timestamp > datetime("10/19/2021, 7:29:02.999 PM"))", R"({"timestamp":1634668524000})", false},
        Row{R"(timestamp >= datetime("10/19/2021, 6:35:24 PM"))", R"({"timestamp":1634668524000})", true},
        Row{R"(datetime("19/10/2021, 6:35:24 PM") == false)", "{}", true},
        Row{R"(brand.name == "Chevrolet" and limit(100))", kCar, true, 100},
        Row{R"(limit(100) and brand.name == "x")", kCar, false, 100}, Row{"limit(0) and limit(7)", "{}", true, 7},
        Row{R"(record("a"))", R"({"record":"a"})", true}, Row{R"(record("a"))", "{}", false},
        Row{"timestamp <= now()", R"({"timestamp":1634668524000})", true},
        Row{"timestamp <= now", R"({"timestamp":1634668524000})", true},
        Row{"timestamp >= years(-1000)", R"({"timestamp":1634668524000})", true},
        Row{"a.now > 1634668524000", "{}", true}, Row{"weeks(1) > days(6.9)", "{}", true},
        Row{"seconds(0.9) == now", "{}", true}, Row{"months(1) == days(30)", "{}", true}));

INSTANTIATE_TEST_SUITE_P(
    Texts, V1,
    testing::Values(Row{R"(response.body.json().brand.name == "Chevrolet")", kBody, true},
                    Row{R"(response.body.json().brand.name == "X")", kBody, false},
                    Row{R"(response.body.json().trend.name == "Chevrolet")", kBody, false},
                    Row{R"(!response.body.json().trend)", kBody, true},
                    Row{R"(response.body.json().a == "b")", R"({"response":{"body":"INVALID JSON"}})", false},
                    Row{R"(response.body.json() == "INVALID JSON")", R"({"response":{"body":"INVALID JSON"}})", false},
                    Row{R"(response.body.json().key[0] == "api")", kBody, true},
                    Row{R"(response.body.json()[0] == "api")", kList, true},
                    Row{R"(response.body.json()["model"] == "Camaro")", kBody, true},
                    Row{R"(response.body.json()..name == "Chevrolet")", kBody, true},
                    Row{R"(response.body.json()..surname == "Chevrolet")", kBody, false},
                    Row{R"(response.body.json().brand.name == "Chevrolet")", kBase64, true},
                    Row{R"(response.body.json().brand.name.startsWith("Chev") and true)", kBody, true},
                    Row{R"(body.xml().shop.book[1].title == "Potter")", kXml, true},
                    Row{R"(body.xml().shop.book[0].title == "Potter")", kXml, false},
                    Row{R"(body.xml().shop.book[1]["-c"] == "y")", kXml, true},
                    Row{R"(body.xml().shop.book.author == "G")", kXml, true},
                    Row{R"(body.xml().shop.none == "G" or true)", kXml, true}));

INSTANTIATE_TEST_SUITE_P(
    Redact, V1,
    testing::Values(
        Row{R"(id == 114905 and redact("model", "brand.name"))", kCar, true, 0,
            R"({"id":114905,"model":"[REDACTED]","brand":{"name":"[REDACTED]"},"year":2021})"},
        Row{R"(id == 114905 and redact("modelx", "brand.name"))", kCar, true, 0,
            R"({"id":114905,"model":"Camaro","brand":{"name":"[REDACTED]"},"year":2021})"},
        Row{R"(id == 114906 and redact("model", "brand.name"))", kCar, false},
        Row{R"(redact("model", "..name") and id == 114906)", kCar, false, 0,
            R"({"id":114905,"model":"[REDACTED]","brand":{"name":"[REDACTED]"},"year":2021})"},
        Row{R"(redact("id") and id == 114905)", kCar, false, 0,
            R"({"id":"[REDACTED]","model":"Camaro","brand":{"name":"Chevrolet"},"year":2021})"},
        Row{R"(redact("..name"))", R"({"brand":{"name":["a"]},"x":[{"name":1}]})", true, 0,
            R"({"brand":{"name":"[REDACTED]"},"x":[{"name":"[REDACTED]"}]})"},
        Row{R"(redact("a.*.b", "c[0]"))", R"({"a":[{"b":1},{"c":2}],"c":[1,2]})", true, 0,
            R"({"a":[{"b":"[REDACTED]"},{"c":2}],"c":["[REDACTED]",2]})"},
        Row{R"(redact("response.body.json().model"))", R"({"response":{"body":"{\"id\":1,\"model\":\"C\"}"}})", true, 0,
            R"({"response":{"body":"{\"id\":1,\"model\":\"[REDACTED]\"}"}})"},
        Row{R"(redact("response.body.json()...name"))", R"({"response":{"body":"{\"a\":{\"name\":\"C\"}}"}})", true, 0,
            R"({"response":{"body":"{\"a\":{\"name\":\"[REDACTED]\"}}"}})"},
        Row{R"(redact("response.body.json().model"))", kBase64, true, 0,
            R"({"response":{"body":"eyJpZCI6MTE0OTA1LCJtb2RlbCI6IltSRURBQ1RFRF0iLCJicmFuZCI6eyJuYW1lIjoiQ2hldnJvbGV0In0sInllYXIiOjIwMjF9"}})"},
        Row{R"(redact("body.xml().shop.book[1].title"))", kXml, true, 0,
            R"({"body":"<?xml version=\"1.0\"?>\n<shop><book c=\"x\"><author>G</author><title lang=\"en\">Everyday</title></book><book c=\"y\"><author>J</author><title>[REDACTED]</title></book></shop>"})"}));

INSTANTIATE_TEST_SUITE_P(
    Macros, V1,
    testing::Values(Row{"http", R"({"protocol":{"abbr":"HTTP"}})", true},
                    Row{"http or dns", R"({"protocol":{"abbr":"DNS"}})", true},
                    Row{"http", R"({"protocol":{"abbr":"HTTP/2"}})", false},
                    Row{"http2", R"({"protocol":{"abbr":"HTTP/2"}})", true},
                    Row{"!amqp and redis", R"({"protocol":{"name":"redis"}})", true},
                    Row{R"(request.http == "x")", R"({"request":{"http":"x"}})", true},
                    Row{R"(request.httpVersion == "HTTP/1.1")", R"({"request":{"httpVersion":"HTTP/1.1"}})", true},
                    Row{R"(x == "http")", R"({"x":"http"})", true},
                    Row{"error", R"({"error":{"type":"timeout","msg":""}})", true},
                    Row{"error", R"({"error":null})", false}, Row{"!error", R"({"error":null})", true},
                    Row{R"(error.type == "timeout")", R"({"error":{"type":"timeout"}})", true},
                    Row{"response.status > 400 or error or icmp or tcp",
                        R"({"response":{"status":200},"error":null,"protocol":{"name":"tcp"}})", true},
                    Row{"tls", R"({"tls":true})", true}));

TEST(V1Macros, UserDefined) {
  const std::pair<std::string, std::string> macros[] = {{"https", "tls and (http or http2)"}};
  Options options;
  options.dialect = Dialect::kV1;
  options.macros = macros;
  const Compiled compiled = compile("https", options);
  ASSERT_TRUE(compiled.filter) << render("https", compiled.diagnostics);
  Arena arena;
  EXPECT_TRUE(compiled.filter->matches_json(*item::parse_json(R"({"tls":true,"protocol":{"abbr":"HTTP/2"}})", arena)));
  EXPECT_FALSE(compiled.filter->matches_json(*item::parse_json(R"({"tls":true,"protocol":{"abbr":"DNS"}})", arena)));
}

}  // namespace
}  // namespace baleen::kfl
