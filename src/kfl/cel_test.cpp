#include <gtest/gtest.h>

#include "item/json.h"
#include "kfl/filter_set.h"
#include "kfl/kfl.h"
#include "kfl/pushdown.h"
#include "kfl/sample_items.h"

namespace baleen::kfl {
namespace {

Options options() {
  Options o;
  o.protocols = sample::kProtocols;
  o.now = timestamp_from_ns(1'700'000'060'000'000'000);
  return o;
}

// Every published example (reference K2-40): it must compile. One a line; what stands before "=>" is the filter.
constexpr const char* kPublished[] = {
#include "kfl/published_v2.inc"
};

TEST(V2, PublishedExamplesCompile) {
  for (const char* text : kPublished) {
    Options o = options();
    o.dialect = Dialect::kV2;
    const Compiled c = compile(text, o);
    EXPECT_TRUE(c.filter) << render(text, c.diagnostics);
    const Compiled automatic = compile(text, options());
    EXPECT_TRUE(automatic.filter) << render(text, automatic.diagnostics);
  }
}

struct Row {
  const char* filter;
  bool http503, http200, dns_failed, dns_good;
};

class V2Rows : public testing::TestWithParam<Row> {};

TEST_P(V2Rows, Selects) {
  const Row& row = GetParam();
  Options o = options();
  o.dialect = Dialect::kV2;
  const Compiled c = compile(row.filter, o);
  ASSERT_TRUE(c.filter) << render(row.filter, c.diagnostics);
  const std::unique_ptr<item::Item> items[] = {sample::http(503), sample::http(200), sample::dns("google.com", 3),
                                               sample::dns("shop.svc", 0)};
  const bool expected[] = {row.http503, row.http200, row.dns_failed, row.dns_good};
  for (size_t i = 0; i < 4; ++i) {
    Arena arena;
    std::string json;
    item::append_json(*items[i], json);
    EXPECT_EQ(c.filter->matches(*items[i]), expected[i]) << row.filter << " over item " << i;
    EXPECT_EQ(c.filter->matches_json(*item::parse_json(json, arena)), expected[i])
        << row.filter << " over the JSON of item " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, V2Rows,
    testing::Values(
        Row{"", true, true, true, true}, Row{"http", true, true, false, false}, Row{"!http", false, false, true, true},
        Row{"http && status_code >= 500", true, false, false, false},
        Row{"dns && status_code != 0", false, false, true, false},
        // K2-07: scoping
        Row{"status_code == 0", false, false, false, false}, Row{"status_code", true, true, false, false},
        Row{"!status_code", false, false, true, true}, Row{"status_code != 200", true, false, false, false},
        Row{"!(status_code == 200)", true, false, true, true}, Row{"mysql_success", false, false, false, false},
        Row{"!mysql_success", true, true, true, true}, Row{"path.contains(\"\")", true, true, false, false},
        Row{"dns_questions.exists(q, q == \"google.com\")", false, false, true, false},
        Row{"grpc_status == -1", false, false, false, false},
        Row{"\"google.com\" in dns_questions", false, false, true, false},
        Row{"dns_answers == [\"10.9.9.9\"]", false, false, true, true},
        // names, times, maps
        Row{"src.namespace == \"shop\"", true, true, false, false}, Row{"src.port == 40000", true, true, false, false},
        Row{"src.pod.name == \"frontend-1\" && \"shop\" in namespaces", true, true, false, false},
        Row{"dst.dns == \"cart\" && src.dns == \"\"", true, true, false, false},
        Row{"map_get(local_labels, \"app\", \"\") == \"frontend\"", true, true, false, false},
        Row{"local_labels[\"none\"] == \"\"", true, true, true, true},         // D-8
        Row{"request.headers[\"none\"] == \"\"", false, false, false, false},  // K2-06: an error is no match
        Row{"\"x-user\" in request.headers", true, true, false, false},
        Row{"request.headers[\"X-USER\"].endsWith(\"b\")", true, true, false, false},
        Row{"request.headers[\"x-user\"].matches(\"a.*b$\")", true, true, false, false},
        Row{"query_string[\"id\"] == \"7\"", true, true, false, false},
        Row{"timestamp > now() - duration(\"5m\")", true, true, true, true},
        Row{"timestamp > now()", false, false, false, false},
        Row{"timestamp == timestamp(\"2023-11-14T22:13:20.123456789Z\")", true, true, false, false},
        Row{"elapsed_time == 1500", true, true, false, false},
        Row{"url.matches(\".*/api/v[0-9]+/.*\")", true, true, false, false},
        Row{"protocol == \"DNS\"", false, false, true, true},
        Row{"capture_source == \"af_packet\" && capture[\"source\"] == capture_source", true, true, false, false},
        Row{"node[\"name\"] == \"node-1\" && node_name == \"node-1\"", true, true, false, false},
        // errors are absorbed
        Row{"request.headers[\"none\"] == \"x\" || http", true, true, false, false},
        Row{"1 / 0 == 1 || dns", false, false, true, true}, Row{"tls", false, false, false, false},
        Row{"status_code > 400 ? dns : http", false, true, false, false}));

TEST(V2, Wrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"status_cod == 1",
       "1:1: error: there is no variable \"status_cod\"\n  status_cod == 1\n  ^~~~~~~~~~\n  did you mean "
       "\"status_code\"?\n"},
      {"response.status == 1 && foo(1)",
       "1:1: error: there is no variable \"response.status\"\n  response.status == 1 && foo(1)\n  ^~~~~~~~~~~~~~~\n  "
       "did you mean \"status_code\"? "
       "\"response.status\" is its name in KFL v1\n"
       "1:25: error: there is no function \"foo\"\n  response.status == 1 && foo(1)\n                          ^~~\n"},
      {"status_code == \"200\"",
       "1:1: error: \"==\" has no meaning between int and string\n  status_code == \"200\"\n  ^~~~~~~~~~~~~~~~~~~~\n  "
       "write the number without quotes: 200\n"},
      {"http and dns",
       "1:6: error: unexpected token \"and\" (expected an operator or the end of the filter)\n  http and dns\n       "
       "^~~\n"
       "  did you mean \"&&\"? \"and\" belongs to KFL v1\n"},
      {"method", ""},
      {"src.name", "1:1: error: the filter needs a bool, \"src.name\" is a string\n  src.name\n  ^~~~~~~~\n"},
      {"path.matches(\"(\")",
       "1:14: error: the regular expression is wrong: missing ): (\n  path.matches(\"(\")\n               ^~~\n"},
      {"limit(5)", "1:1: error: there is no function \"limit\"\n  limit(5)\n  ^~~~~\n  limit() belongs to KFL v1\n"},
      {"method == \"get\"",
       "1:11: warning: \"get\" is no value that method usually has\n  method == \"get\"\n            ^~~~~\n  did you "
       "mean \"GET\"?\n"},
      {"path.startWith(\"/\")",
       "1:6: error: there is no function \"startWith\"\n  path.startWith(\"/\")\n       ^~~~~~~~~\n  did you mean "
       "\"startsWith\"?\n"},
  };
  for (const auto& [text, expected] : rows) {
    Options o = options();
    o.dialect = Dialect::kV2;
    EXPECT_EQ(render(text, compile(text, o).diagnostics), expected) << text;
  }
}

TEST(V1, Wrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"http &&",
       "1:6: error: unexpected token \"&\" (expected \"and\", \"or\", a comparison or the end of the filter)\n  http "
       "&&\n       ^\n"
       "  did you mean \"and\"? \"&&\" belongs to KFL v2\n"},
      {"a === 1", "1:3: error: unexpected token \"=\" (expected \"==\")\n  a === 1\n    ^\n  did you mean \"==\"?\n"},
      {"(a == 1",
       "1:8: error: unexpected token \"<EOF>\" (expected \")\" for the \"(\" at 1)\n  (a == 1\n         ^\n"},
      {"a == r\"(\"", "1:8: error: the regular expression is wrong: missing ): (\n  a == r\"(\"\n         ^\n"},
      {"a and b or c",
       "1:1: warning: \"and\" and \"or\" have the same rank and group to the right\n  a and b or c\n  ^~~~~~~~~~~~\n  "
       "it is read as: a and (b or c)\n"},
      {"a == 1234567",
       "1:1: warning: KFL v1 compares with == as text of six digits: 1234567 is read as 1.23457e+06\n  a == 1234567\n  "
       "^~~~~~~~~~~~\n"
       "  write 1234567 as a string, or use >= and <=\n"},
      {"a\nand *",
       "2:5: error: unexpected token \"*\" (expected a field, a value or \"(\")\n  and *\n      ^\n  a selector begins "
       "with a name\n"},
      {"x.startWith(1)",
       "1:3: warning: there is no helper \"startWith\"; the condition is never true\n  x.startWith(1)\n    ^~~~~~~~~\n "
       " did you mean \"startsWith\"?\n"},
  };
  for (const auto& [text, expected] : rows) {
    Options o = options();
    o.dialect = Dialect::kV1;
    EXPECT_EQ(render(text, compile(text, o).diagnostics), expected) << text;
  }
}

TEST(Dialects, Recognised) {
  const std::pair<const char*, Dialect> rows[] = {{"http", Dialect::kV1},
                                                  {"http or dns", Dialect::kV1},
                                                  {"src.name==r\"cata.*\"", Dialect::kV1},
                                                  {"http && status_code >= 500", Dialect::kV2},
                                                  {"status_code >= 500", Dialect::kV2},
                                                  {"response.status >= 500", Dialect::kV1},
                                                  {"redact(\"a\")", Dialect::kV1},
                                                  {"\"a\" in namespaces", Dialect::kV2},
                                                  {"path.matches(r\"a\\d\")", Dialect::kV2},
                                                  {"request.path.* == \"x\"", Dialect::kV1},
                                                  {"timestamp > now() - duration(\"5m\")", Dialect::kV2},
                                                  {"timestamp > minutes(-5)", Dialect::kV1},
                                                  {"src.namespace == \"and && or\"", Dialect::kV1},
                                                  {"dst.port == 80", Dialect::kV1},
                                                  {"mysql && !mysql_success", Dialect::kV2},
                                                  {"model == nil", Dialect::kV1}};
  for (const auto& [text, expected] : rows) {
    const Compiled c = compile(text, options());
    EXPECT_EQ(c.dialect, expected) << text << ": " << c.why;
    EXPECT_TRUE(c.filter) << text;
    EXPECT_FALSE(c.why.empty());
  }
  Options o = options();
  o.ambiguous = Dialect::kV2;
  EXPECT_EQ(compile("http", o).dialect, Dialect::kV2);
}

// Filters of both dialects over every part of an item.
constexpr const char* kBoth[] = {"http or dns",
                                 "src.ip == \"10.1.2.3\"",
                                 "src.port == 40000",
                                 "src.port > 39999",
                                 "dst.*",
                                 "src.pod.metadata.labels.app == \"frontend\"",
                                 "src..name == \"frontend-1\"",
                                 "src.pod.metadata.labels.* == \"web\"",
                                 "request.headers[\"host\"] == \"cart\"",
                                 "request.headers.Host == \"cart\"",
                                 "request.pathSegments[1] == \"v1\"",
                                 "request.pathSegments.* == r\"x\"",
                                 "request.questions[0].name == \"google.com\"",
                                 "error",
                                 "error == nil",
                                 "response.content.text.json().items[0].id == 1",
                                 "response.content.text.json()..id == 1",
                                 "timestamp > 5",
                                 "startTime.startsWith(\"2023\")",
                                 "id.contains(\"/\")",
                                 "entryFile.endsWith(\".json\")",
                                 "stream == r\"pcap$\"",
                                 "protocol.ports.* == 80",
                                 "capture.source == \"af_packet\"",
                                 "elapsedTime == 1500",
                                 "redact(\"request.path\") and request.path == \"[REDACTED]\"",
                                 "size > 1000",
                                 "node.name == \"node-1\"",
                                 "..x == 1",
                                 "tls",
                                 "!tls",
                                 "missing.contains(\"als\")",
                                 "record(\"\")",
                                 "dst.resolutionMechanism == \"dns\"",
                                 "index == 3",
                                 "worker != \"\"",
                                 "data == nil",
                                 "size(request.headers) > 3",
                                 "request.headers.exists(k, k == \"Host\")",
                                 "dns_questions.all(q, q.endsWith(\".com\"))",
                                 "namespaces == [\"shop\"]",
                                 "redis_total_size == 0",
                                 "dns_total_size >= 0 && dns",
                                 "string(timestamp).startsWith(\"2023\")",
                                 "timestamp.getHours(\"Asia/Kathmandu\") == 3",
                                 "remote_process_name == \"\"",
                                 "id == 3",
                                 "stream.endsWith(\".pcap\")",
                                 "src.pod.namespace != dst.pod.namespace",
                                 "has(request.headers.Accept)",
                                 "http && method in [\"GET\", \"PUT\"]",
                                 "request_body_size + response_body_size == 27",
                                 "src.dns + dst.dns == \"cart\""};

TEST(LiveAndStored, SameAnswer) {
  const std::unique_ptr<item::Item> items[] = {sample::http(503), sample::http(200, "/x"), sample::dns("google.com", 3),
                                               sample::dns("shop.svc", 0)};
  std::vector<Filter> filters;
  for (const char* text : kBoth) {
    const Compiled c = compile(text, options());
    if (std::string_view(text).starts_with("..")) {
      EXPECT_FALSE(c.filter) << text;
      continue;
    }
    ASSERT_TRUE(c.filter) << render(text, c.diagnostics);
    filters.push_back(*c.filter);
  }
  const FilterSet set(filters);
  for (const auto& item : items) {
    Arena arena;
    std::string json;
    item::append_json(*item, json);
    const item::Value root = *item::parse_json(json, arena);
    const auto live = std::make_unique<bool[]>(filters.size()), stored = std::make_unique<bool[]>(filters.size());
    set.match(*item, {live.get(), filters.size()});
    set.match_json(root, {stored.get(), filters.size()});
    for (size_t i = 0; i < filters.size(); ++i) {
      const bool alone = filters[i].matches(*item);
      EXPECT_EQ(alone, filters[i].matches_json(root)) << filters[i].text();
      EXPECT_EQ(alone, live[i]) << filters[i].text();
      EXPECT_EQ(alone, stored[i]) << filters[i].text();
    }
  }
}

TEST(LiveAndStored, Bytes) {
  static constexpr item::Protocol kTcpCard = {.name = "tcp", .abbreviation = "TCP", .macro = "tcp", .layer4 = "tcp"};
  static constexpr uint8_t kBinary[] = {0, 1, 0xFF, 0xFE, 9};
  const auto item = std::make_unique<item::Item>(nullptr);
  const auto members = item->arena.array<item::Member>(1);
  members[0] = {"payload", item::Value::bytes(kBinary)};
  item->protocol = &kTcpCard;
  item->data.present = true;
  item->data.payload = item::Value::map(members);
  Arena arena;
  std::string json;
  item::append_json(*item, json);
  const item::Value root = *item::parse_json(json, arena);
  for (const char* text : {"tcp && tcp_payload == b'\\x00\\x01\\xff\\xfe\\x09'", "size(tcp_payload) == 5 && tcp",
                           "data.payload == \"AAH//gk=\" and tcp", "data.payload.startsWith(\"AAH\") and tcp"}) {
    const Compiled c = compile(text, options());
    ASSERT_TRUE(c.filter) << render(text, c.diagnostics);
    EXPECT_TRUE(c.filter->matches(*item)) << text;
    EXPECT_TRUE(c.filter->matches_json(root)) << text;
  }
}

std::string pushed(const char* text) {
  const Compiled c = compile(text, options());
  EXPECT_TRUE(c.filter) << text;
  std::string out;
  for (const Conjunct& conjunct : pushdown(*c.filter)) out += to_string(conjunct) + "; ";
  return out;
}

TEST(Pushdown, OnlyWhatLosesNothing) {
  EXPECT_EQ(pushed("http && status_code >= 500"),
            "protocol.abbr is one of \"HTTP\", \"HTTP/2\", \"gRPC\", \"GQL\"; response.status >= 500; ");
  EXPECT_EQ(pushed("status_code == 0"), "");  // an absent status is 0 as well
  EXPECT_EQ(pushed("dns && status_code != 0"), "protocol.abbr == \"DNS\"; ");
  EXPECT_EQ(pushed("http and response.status >= 500 or dns"), "protocol.abbr == \"HTTP\"; ");
  EXPECT_EQ(pushed("http or dns"), "");
  EXPECT_EQ(pushed("!(src.namespace == \"a\")"), "");
  EXPECT_EQ(pushed("src.namespace == \"a\" and request.path.startsWith(\"/x\") and dst.name == r\"a\""),
            "src.namespace == \"a\"; request.path starts with \"/x\"; ");
  EXPECT_EQ(pushed("request.path.startsWith(\"fal\") and true"), "");  // K1-33
  EXPECT_EQ(pushed("elapsedTime == 1234567 and true"), "elapsedTime >= 1234554.65433; elapsedTime <= 1234579.34567; ");
  EXPECT_EQ(pushed("redact(\"src\") and src.namespace == \"a\""), "");
  EXPECT_EQ(pushed("500 <= status_code && http"),
            "response.status >= 500; protocol.abbr is one of \"HTTP\", \"HTTP/2\", \"gRPC\", \"GQL\"; ");
}

TEST(Limits, AreSaid) {
  const auto message = [](const std::string& text, Dialect dialect) {
    Options o = options();
    o.dialect = dialect;
    const Compiled c = compile(text, o);
    return c.diagnostics.empty() ? "" : c.diagnostics[0].message;
  };
  for (const Dialect d : {Dialect::kV1, Dialect::kV2}) {
    EXPECT_EQ(message(std::string(500, '(') + "true" + std::string(500, ')'), d),
              "the filter is nested more than 128 deep");
    EXPECT_EQ(message(std::string(70'000, ' '), d), "the filter is longer than 65536 bytes");
    EXPECT_EQ(message(std::string(5000, '!') + "true", d), "the filter is nested more than 128 deep");
  }
  std::string list = "[0";
  for (int i = 1; i < 200; ++i) list += ", " + std::to_string(i);
  list += "]";
  Options o = options();
  o.dialect = Dialect::kV2;
  const std::string text = list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c >= 0)))";
  const Compiled c = compile(text, o);
  ASSERT_TRUE(c.filter) << render(text, c.diagnostics);
  Arena arena;
  EXPECT_EQ(c.filter->apply(*sample::http(200), arena).error,
            "the filter looks at more than 1000000 values of one item");
}

}  // namespace
}  // namespace baleen::kfl
