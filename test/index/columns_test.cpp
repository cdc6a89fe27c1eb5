// A filter that is answered from columns gives the answer that the item's JSON gives, held over the items of real
// captures with every protocol registered.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "index/column_filter.h"
#include "index/item_row.h"
#include "item/json.h"
#include "kfl/pushdown.h"

namespace baleen::index {
namespace {

std::filesystem::path captures() {
  const char* shared = std::getenv("BALEEN_SHARED");
  const std::filesystem::path root = shared != nullptr ? shared : BALEEN_SOURCE_DIR "/../shared";
  return root / "captures";
}

constexpr const char* kFirstDialect[] = {
    "http",
    "redis or kafka or dns",
    "!http",
    "tls",
    "protocol.version == \"1.1\"",
    "protocol.macro == \"\"",
    "node.name == \"node-1\"",
    "response.status == 200",
    "response.status != 200",
    "!(response.status == 404)",
    "http and response.status >= 400",
    "http and response.status < 200",
    "http and response.status <= 404",
    "response.status == \"OK\"",
    "response.status > 0 or src.name == \"\"",
    "elapsedTime > 1000",
    "elapsedTime == 0 or responseSize < 100",
    "src.port == \"53\" or dst.port == 53",
    "dst.port > 1024 and dst.port < 40000",
    "src.ip.startsWith(\"10.\")",
    "dst.ip == r\"192\\.168\\..*\"",
    "src.name == \"\" and dst.name != \"\"",
    "src.namespace == \"\" or dst.namespace != \"x\"",
    "src.pod.metadata.name == \"\"",
    "src.pod.metadata.name != \"x\"",
    "!(dst.pod.metadata.name == \"x\")",
    "src.processName == \"\"",
};

constexpr const char* kSecondDialect[] = {
    "http",
    "http && status_code == 200",
    "http && !(status_code in [200, 404])",
    "status_code == 0 && http",
    "http && status_code < 300",
    "dns || redis || mysql",
    "gql || ws || grpc",
    "src.port > 1024 && dst.port < 1024",
    "src.ip.startsWith(\"10.\") || dst.ip.contains(\":\")",
    "src.name == \"\" ? true : dst.name.size() > 3",
    "elapsed_time > 1000",
    "src.namespace == \"internal\"",
    "dst.namespace != \"public\" && protocol == \"HTTP\"",
    "node_name == \"node-1\" && protocol.matches(\"^[A-Z]+$\")",
};

struct Asked {
  kfl::Filter filter;
  ColumnFilter columns;
  uint64_t yes = 0, no = 0, unknown = 0;
  std::map<std::string, ColumnFilter> narrow{};  // by protocol: with the columns that rows of it and of DNS need
  uint64_t fewer = 0;                            // of those: with fewer columns
  const ColumnFilter& narrow_for(const std::string& protocol) {
    const auto [at, fresh] = narrow.try_emplace(protocol, columns.for_protocols({protocol, "dns"}));
    if (fresh && at->second.columns().size() < columns.columns().size()) ++fewer;
    return at->second;
  }
};

std::vector<Asked> all_filters() {
  std::vector<Asked> out;
  const auto add = [&out](const char* text, kfl::Dialect dialect) {
    kfl::Options options;
    options.dialect = dialect;
    options.protocols = dissect::cards();
    const kfl::Compiled compiled = kfl::compile(text, options);
    ASSERT_TRUE(compiled.filter) << text;
    auto columns = ColumnFilter::of(*compiled.filter, dissect::cards());
    ASSERT_TRUE(columns) << text << " is not answered from columns";
    out.push_back({*compiled.filter, *std::move(columns)});
  };
  for (const char* text : kFirstDialect) add(text, kfl::Dialect::kV1);
  for (const char* text : kSecondDialect) add(text, kfl::Dialect::kV2);
  return out;
}

/// The cell that an items file has in a column, as a text.
std::optional<std::string> cell(const ItemRow& row, const std::string& column) {
  const std::map<std::string, std::string> texts = {
      {"protocol", row.protocol},
      {"protocol_abbr", row.abbreviation},
      {"protocol_version", row.version},
      {"node", row.node},
      {"src_ip", row.src_ip},
      {"src_port", std::to_string(row.src_port)},
      {"src_name", row.src_name},
      {"src_namespace", row.src_namespace},
      {"src_pod", row.src_pod},
      {"src_process", row.src_process},
      {"dst_ip", row.dst_ip},
      {"dst_port", std::to_string(row.dst_port)},
      {"dst_name", row.dst_name},
      {"dst_namespace", row.dst_namespace},
      {"dst_pod", row.dst_pod},
      {"dst_process", row.dst_process},
      {"elapsed_us", std::to_string(row.elapsed_us)},
      {"response_size", std::to_string(row.response_size)},
      {"tls", row.tls ? "true" : "false"},
      {"status_text", row.status_text},
  };
  if (column == "status") return row.status < 0 ? std::nullopt : std::optional(std::to_string(row.status));
  const auto found = texts.find(column);
  EXPECT_NE(found, texts.end()) << column;
  return found->second;
}

/// What pruning asks of the status column: an item that matches has it, when the filter wants HTTP.
void expect_status(const kfl::Filter& filter, const ItemRow& row, const std::string& json) {
  using Op = kfl::Conjunct::Op;
  const auto conjuncts = kfl::pushdown(filter);
  const bool http = std::any_of(conjuncts.begin(), conjuncts.end(), [](const kfl::Conjunct& c) {
    return c.column == "protocol.abbr" && c.op == Op::kEqual && c.text == "HTTP";
  });
  for (const kfl::Conjunct& c : conjuncts) {
    if (!http || c.column != "response.status" || c.type != item::Value::Type::kDouble) continue;
    const auto status = static_cast<double>(row.status);
    EXPECT_GE(row.status, 0) << filter.text() << "\n" << json;
    EXPECT_TRUE(c.op == Op::kEqual          ? status == c.number
                : c.op == Op::kLess         ? status < c.number
                : c.op == Op::kLessEqual    ? status <= c.number
                : c.op == Op::kGreater      ? status > c.number
                : c.op == Op::kGreaterEqual ? status >= c.number
                                            : status != c.number)
        << filter.text() << "\n"
        << json;
  }
}

class Judge final : public dissect::EngineObserver {
 public:
  std::vector<Asked> filters = all_filters();
  uint64_t items = 0;

  void on_item(item::ItemRef item) override {
    Arena arena;
    std::string json;
    item::append_json(*item, json);
    const auto root = item::parse_json(json, arena);
    ASSERT_TRUE(root);
    const ItemRow row = row_from(*item, "");
    ++items;
    for (Asked& asked : filters) {
      const auto answer_of = [&](const ColumnFilter& columns) {
        std::vector<std::optional<std::string>> cells;
        for (const std::string& column : columns.columns()) cells.push_back(cell(row, column));
        return columns.matches(cells);
      };
      const auto answer = answer_of(asked.columns);
      EXPECT_EQ(answer_of(asked.narrow_for(row.protocol)), answer) << asked.filter.text() << "\n" << json;
      const bool truth = asked.filter.matches_json(*root);
      if (truth) expect_status(asked.filter, row, json);
      if (answer == ColumnFilter::Answer::kUnknown) {
        ++asked.unknown;
        continue;
      }
      ++(truth ? asked.yes : asked.no);
      EXPECT_EQ(answer == ColumnFilter::Answer::kYes, truth) << asked.filter.text() << "\n" << json;
      const auto of_protocol = asked.columns.matches_all_of(row.protocol);
      if (of_protocol == ColumnFilter::Answer::kUnknown) continue;
      EXPECT_EQ(of_protocol == ColumnFilter::Answer::kYes, truth) << asked.filter.text() << "\n" << json;
    }
  }
};

TEST(Columns, AnswerAsTheItemsDo) {
  if (!std::filesystem::exists(captures())) GTEST_SKIP() << "no captures at " << captures() << " (BALEEN_SHARED)";
  static constexpr item::Origin kOrigin{"10.0.0.1:30001", "node-1", "10.0.0.1"};
  Judge judge;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(captures())) {
    const std::string extension = entry.path().extension();
    if (!entry.is_regular_file() || (extension != ".pcap" && extension != ".pcapng") || entry.file_size() > 20'000'000)
      continue;
    auto source = capture::PcapFileSource::open({.path = entry.path(), .follow = false, .events = {}});
    if (!source) continue;
    dissect::EngineOptions options;
    options.protocols = dissect::registry();
    options.origin = &kOrigin;
    dissect::Engine engine(options, judge);
    for (;;) {
      auto batch = (*source)->next_batch(std::chrono::seconds(1));
      if (!batch || batch->state() == capture::PacketBatch::State::kEnd) break;
      for (const net::Packet& packet : *batch) engine.on_packet(packet);
    }
    engine.finish();
    ASSERT_FALSE(HasFailure()) << "in " << entry.path();
  }
  EXPECT_GT(judge.items, 2000u);
  size_t with_fewer = 0;
  for (const Asked& asked : judge.filters) {
    EXPECT_LT(asked.unknown, judge.items / 10) << asked.filter.text() << ": the columns should say more";
    with_fewer += asked.fewer != 0 ? 1 : 0;
    if (asked.unknown != 0)
      std::printf("%s: %lu of %lu unknown\n", std::string(asked.filter.text()).c_str(), asked.unknown, judge.items);
  }
  EXPECT_GT(with_fewer, judge.filters.size() / 2) << "all that do not ask for abbreviation or version";
}

TEST(Columns, SomeFiltersTheyCannotAnswer) {
  for (const char* text :
       {"request.path == \"/\"", "stream == \"x\"", "timestamp > now", "redact(\"src.ip\")", "src.pod"}) {
    kfl::Options options;
    options.dialect = kfl::Dialect::kV1;
    const kfl::Compiled compiled = kfl::compile(text, options);
    ASSERT_TRUE(compiled.filter) << text;
    EXPECT_FALSE(ColumnFilter::of(*compiled.filter, dissect::cards())) << text;
  }
}

}  // namespace
}  // namespace baleen::index
