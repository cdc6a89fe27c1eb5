// Whole error texts and whole trees, in each dialect, as a person sees them: testdata/*.golden. A line that begins with
// "> " is (a line of) a filter; what follows up to the next one is what is said about it. With BALEEN_UPDATE_GOLDEN=1
// in its environment the test rewrites the files; the diff is for a reviewer.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "kfl/ast.h"
#include "kfl/program.h"
#include "kfl/pushdown.h"
#include "kfl/sample_items.h"

namespace baleen::kfl {
namespace {

struct Case {
  std::string filter, expected;
};

std::string path_of(const std::string& name) {
  return std::string(BALEEN_SOURCE_DIR "/src/kfl/testdata/") + name + ".golden";
}

std::vector<Case> read_cases(const std::string& name) {
  std::ifstream in(path_of(name));
  std::vector<Case> cases;
  bool in_filter = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("> ")) {
      if (in_filter)
        cases.back().filter += "\n" + line.substr(2);
      else
        cases.push_back({line.substr(2), ""});
      in_filter = true;
    } else if (!cases.empty()) {
      in_filter = false;
      cases.back().expected += line + "\n";
    }
  }
  return cases;
}

template <class Say>
void expect_golden(const std::string& name, size_t least, Say say) {
  const std::vector<Case> cases = read_cases(name);
  ASSERT_GE(cases.size(), least) << path_of(name);
  const bool update = std::getenv("BALEEN_UPDATE_GOLDEN") != nullptr;
  std::string all;
  for (const Case& c : cases) {
    const std::string said = say(c.filter) + "\n";
    std::istringstream lines(c.filter);
    for (std::string line; std::getline(lines, line);) all += "> " + line + "\n";
    all += said;
    if (!update) {
      EXPECT_EQ(said, c.expected) << c.filter;
    }
  }
  if (update) std::ofstream(path_of(name)) << all;
}

Options options(Dialect dialect) {
  Options o;
  o.dialect = dialect;
  o.protocols = sample::kProtocols;
  o.now = timestamp_from_ns(1'700'000'060'000'000'000);
  return o;
}

std::string errors(const std::string& filter, Dialect dialect) {
  const Compiled c = compile(filter, options(dialect));
  std::string out = render(filter, c.diagnostics);
  if (out.empty()) out = "nothing to say\n";
  if (dialect == Dialect::kAuto)
    out += (c.dialect == Dialect::kV1 ? "v1, " : "v2, ") + c.why + (c.filter ? ": good\n" : ": wrong\n");
  return out;
}

std::string tree(const std::string& filter, Dialect dialect) {
  const Compiled c = compile(filter, options(dialect));
  if (!c.filter) return "wrong\n" + render(filter, c.diagnostics);
  const Node* root = c.filter->program()->tree.root;
  std::string out =
      (dialect == Dialect::kV1 ? print_v1(root) : print_cel(root)) + "\n" + describe(root, dialect == Dialect::kV1);
  for (const Conjunct& conjunct : pushdown(*c.filter)) out += "pushed down: " + to_string(conjunct) + "\n";
  return out;
}

TEST(Golden, ErrorsOfV1) {
  expect_golden("errors_v1", 40, [](const std::string& f) { return errors(f, Dialect::kV1); });
}
TEST(Golden, ErrorsOfV2) {
  expect_golden("errors_v2", 50, [](const std::string& f) { return errors(f, Dialect::kV2); });
}
TEST(Golden, ErrorsOfEither) {
  expect_golden("errors_auto", 10, [](const std::string& f) { return errors(f, Dialect::kAuto); });
}
TEST(Golden, TreesOfV1) {
  expect_golden("trees_v1", 30, [](const std::string& f) { return tree(f, Dialect::kV1); });
}
TEST(Golden, TreesOfV2) {
  expect_golden("trees_v2", 40, [](const std::string& f) { return tree(f, Dialect::kV2); });
}

}  // namespace
}  // namespace baleen::kfl
