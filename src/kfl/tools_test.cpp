#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "item/json.h"
#include "kfl/ast.h"
#include "kfl/batch.h"
#include "kfl/complete.h"
#include "kfl/convert.h"
#include "kfl/program.h"
#include "kfl/reference_page.h"
#include "kfl/sample_items.h"

namespace baleen::kfl {
namespace {

Options options() {
  Options o;
  o.protocols = sample::kProtocols;
  o.now = timestamp_from_ns(1'700'000'060'000'000'000);
  return o;
}

TEST(Reference, PageIsNotStale) {
  std::ifstream in(BALEEN_SOURCE_DIR "/docs/reference/kfl.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(page, reference_page()) << "run build/dev/bin/kfl_reference > docs/reference/kfl.md";
}

TEST(Batch, EveryLineHasAnAnswer) {
  const std::pair<const char*, const char*> rows[] = {
      {R"~({"filter":"a == 1 and limit(3)","item":{"a":1}})~", R"~({"match":true,"limit":3,"item":{"a":1}})~"},
      {R"~({"filter":"redact(\"a\")","item":{"a":1},"dialect":"v1"})~",
       R"~({"match":true,"limit":0,"item":{"a":"[REDACTED]"}})~"},
      {R"~({"filter":"size([1]) == 1","item":[1],"dialect":"v2"})~", R"~({"match":true,"limit":0,"item":[1]})~"},
      {R"~({"filter":"","item":null})~", R"~({"match":true,"limit":0,"item":null})~"},
      {R"~({"filter":"a ==","item":{}})~",
       R"~({"error":{"message":"unexpected token \"<EOF>\" (expected a field, a value or \"(\")","begin":4,"end":4}})~"},
      {R"~({"filter":"http && stat_code > 1","item":{}})~",
       R"~({"error":{"message":"there is no variable \"stat_code\"; did you mean \"status_code\"?","begin":8,"end":17}})~"},
      {R"~({"filter":"a)~", R"~({"error":{"message":"the line is no JSON object","begin":0,"end":0}})~"},
      {R"~({"item":{}})~", R"~({"error":{"message":"\"filter\" must be a text","begin":0,"end":0}})~"},
      {R"~({"filter":""})~", R"~({"error":{"message":"\"item\" is missing","begin":0,"end":0}})~"},
      {R"~({"filter":"","item":1,"dialect":"v3"})~",
       R"~({"error":{"message":"\"dialect\" must be auto, v1 or v2","begin":0,"end":0}})~"},
  };
  for (const auto& [line, answer] : rows) EXPECT_EQ(answer_line(line, options()), answer);
}

TEST(Format, OneWayOfWriting) {
  const std::pair<const char*, const char*> v1[] = {
      {"http   and(a==1 )or !b", "http and (a == 1) or !b"},   {"a . b [ 'c' ] . d", "a.b[\"c\"].d"},
      {"x.json( ) .a[0]==r \"z\"", "x.json().a[0] == r\"z\""}, {"timestamp>minutes( - 5 )", "timestamp > minutes(-5)"},
      {"redact( 'a' ,\"b\")", "redact('a', \"b\")"},           {"a..b>=-1", "a..b >= -1"}};
  for (const auto& [text, expected] : v1) EXPECT_EQ(format(text, Dialect::kV1).value_or("wrong"), expected);
  const std::pair<const char*, const char*> v2[] = {{"((a))&&(b||c)", "a && (b || c)"},
                                                    {"a-(b-c)*2", "a - (b - c) * 2"},
                                                    {"!(a==b)", "!(a == b)"},
                                                    {"-(-1)", "-(-1)"},
                                                    {"'a\\n'+r'\\d'", "\"a\\n\" + \"\\\\d\""},
                                                    {"l.exists(x,x>1)?1:2", "l.exists(x, x > 1) ? 1 : 2"},
                                                    {"{?'a':b,1:[?c,d]}", "{?\"a\": b, 1: [?c, d]}"},
                                                    {"a.?b[?0].`c-d`", "a.?b[?0].`c-d`"},
                                                    {"1u+0x10u", "1u + 16u"},
                                                    {"1e3", "1000.0"},
                                                    {"a ? b : c ? d : e", "a ? b : c ? d : e"},
                                                    {"(a ? b : c) ? d : e", "(a ? b : c) ? d : e"}};
  for (const auto& [text, expected] : v2) EXPECT_EQ(format(text, Dialect::kV2).value_or("wrong"), expected);
  EXPECT_FALSE(format("a ==", Dialect::kV1));
}

TEST(Explain, Trees) {
  const auto tree = [](const char* text) {
    const Compiled c = compile(text, options());
    EXPECT_TRUE(c.filter) << render(text, c.diagnostics);
    return describe(c.filter->program()->tree.root, c.dialect == Dialect::kV1);
  };
  EXPECT_EQ(tree("http and a.*.b != nil"),
            "and\n  group\n    equal\n      select protocol.abbr  [direct]\n      literal \"HTTP\"\n  not-equal\n    "
            "select a.*.b  [searched]\n    literal nil\n");
  EXPECT_EQ(tree("status_code >= 500 || !method"),
            "or : bool\n  in-protocol http : bool\n    greater-equal : bool\n      variable status_code  "
            "[response.status: direct, then by name]  "
            "[response.code: direct, then by name] : int\n"
            "      literal 500 : int\n  not : bool\n    flag http : bool\n");
}

TEST(Explain, TreesOfBothDialects) {
  const auto tree = [](const char* text, Dialect dialect) {
    Options o = options();
    o.dialect = dialect;
    const Compiled c = compile(text, o);
    EXPECT_TRUE(c.filter) << render(text, c.diagnostics);
    return c.filter ? describe(c.filter->program()->tree.root, dialect == Dialect::kV1) : "";
  };
  EXPECT_EQ(tree("!a.x == -1", Dialect::kV1), "equal\n  not\n    select a.x  [by name]\n  negate\n    literal 1\n");
  EXPECT_EQ(tree("a.json()..b.startsWith(\"x\")", Dialect::kV1),
            "call startsWith\n  call json then ..b\n    select a  [by name]\n  literal \"x\"\n");
  EXPECT_EQ(tree("a or b and c", Dialect::kV1),
            "or\n  select a  [by name]\n  and\n    select b  [by name]\n    select c  [by name]\n");
  EXPECT_EQ(tree("1 + 2 * 3 == 7", Dialect::kV2),
            "equal : bool\n  add : int\n    literal 1 : int\n    multiply : int\n      literal 2 : int\n      literal "
            "3 : int\n  literal 7 : int\n");
  EXPECT_EQ(tree("namespaces.exists(n, n == \"a\")", Dialect::kV2),
            "exists n : bool\n  variable namespaces  [computed] : list(string)\n  equal : bool\n    local n : string\n "
            "   literal \"a\" : string\n");
}

TEST(Convert, WhereTheMeaningIsTheSame) {
  const std::pair<const char*, const char*> rows[] = {
      {"dns and src.namespace == \"a\"", "dns && src.namespace == \"a\""},
      {"http", "protocol == \"HTTP\""},
      {"response.status >= 500", "status_code >= 500"},
      {"request.path == r\"^/api\"", "path.matches(\"^/api\")"},
      {"request.headers[\"x\"] == \"1\"", "map_get(request.headers, \"x\", \"\") == \"1\""},
      {"timestamp > minutes(-5)", "timestamp > now() - duration(\"300s\")"},
      {"dns and redis or kafka", "dns && (redis || kafka)"},
      {"timestamp > datetime(\"10/19/2021, 6:29:02.000 PM\")", "timestamp > timestamp(\"2021-10-19T18:29:02Z\")"},
      {"!(response.status == 200)", "!(status_code == 200)"},
      {"src.name.startsWith(\"a\")", "src.name.startsWith(\"a\")"}};
  for (const auto& [v1, v2] : rows) {
    const Conversion c = convert(v1, options());
    EXPECT_EQ(c.text.value_or(render(v1, c.diagnostics)), v2);
    Options o = options();
    o.dialect = Dialect::kV2;
    const Compiled compiled = compile(v2, o);
    EXPECT_TRUE(compiled.filter) << render(v2, compiled.diagnostics);
  }
  EXPECT_FALSE(convert("redact(\"a\")", options()).text);
  EXPECT_FALSE(convert("request.path.* == 1", options()).text);
  EXPECT_EQ(convert("src.name != \"a\"", options()).diagnostics.size(), 1u);
}

std::vector<std::string> offered(std::string_view text, Dialect dialect) {
  Options o = options();
  o.dialect = dialect;
  std::vector<std::string> out;
  for (const Completion& c : complete(text, text.size(), o).items) out.push_back(c.text);
  return out;
}

bool has(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

TEST(Completion, NamesValuesAndFunctions) {
  EXPECT_TRUE(has(offered("http && stat", Dialect::kV2), "status_code"));
  EXPECT_TRUE(has(offered("src.na", Dialect::kV2), "src.namespace"));
  EXPECT_TRUE(has(offered("path.star", Dialect::kV2), "path.startsWith("));
  EXPECT_EQ(offered("method == \"P", Dialect::kV2), (std::vector<std::string>{"POST", "PUT", "PATCH"}));
  EXPECT_TRUE(has(offered("response.st", Dialect::kV1), "response.status"));
  EXPECT_TRUE(has(offered("request.path.con", Dialect::kV1), "request.path.contains("));
  EXPECT_TRUE(has(offered("red", Dialect::kV1), "redis"));
  const Completions c = complete("http && stat == 1", 12, options());
  EXPECT_EQ(c.begin, 8u);
  EXPECT_EQ(c.end, 12u);
}

TEST(Completion, Hover) {
  const auto h = hover("http && status_code > 1", 10, options());
  ASSERT_TRUE(h);
  EXPECT_EQ(h->name + " " + h->type, "status_code int");
  EXPECT_EQ(h->begin, 8u);
  EXPECT_EQ(h->end, 19u);
  EXPECT_EQ(hover("a and x.startsWith(1)", 10, options())->name, "startsWith");
  EXPECT_FALSE(hover("a  == 1", 2, options()));
}

}  // namespace
}  // namespace baleen::kfl
