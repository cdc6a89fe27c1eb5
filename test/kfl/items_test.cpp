// Three properties of filters, held over the items of real captures with every protocol registered, and over filters
// made from what those items hold:
//   - a live item and the JSON that is stored of it give the same answer, alone and within a FilterSet;
//   - what is pushed down to storage never loses a match;
//   - a record that has only the fields which the filter is said to read gives the same answer.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "item/json.h"
#include "kfl/complete.h"
#include "kfl/fields.h"
#include "kfl/filter_set.h"
#include "kfl/kfl.h"
#include "kfl/path.h"
#include "kfl/pushdown.h"
#include "kfl/variables.h"

namespace baleen::kfl {
namespace {

using item::Value;

std::filesystem::path captures() {
  const char* shared = std::getenv("BALEEN_SHARED");
  const std::filesystem::path root = shared != nullptr ? shared : BALEEN_SOURCE_DIR "/../shared";
  return root / "captures";
}

Options options(Dialect dialect) {
  Options o;
  o.dialect = dialect;
  o.protocols = dissect::cards();
  o.now = timestamp_from_ns(1'600'000'000'000'000'000);
  return o;
}

/// Whether a store that knows the conjunct's column would keep the record.
bool keeps(const Conjunct& c, const Value& record, Arena& arena) {
  const Datum d = select_one(Path::names(c.column), {nullptr, &record}, arena);
  if (c.type == Value::Type::kDouble) {
    if (d.is(Kind::kString)) return true;  // of a text such a comparison says nothing
    if (!d.is(Kind::kInt) && !d.is(Kind::kDouble)) return false;
    const double n = d.is(Kind::kInt) ? static_cast<double>(d.integer) : d.real;
    switch (c.op) {
      case Conjunct::Op::kEqual: return n == c.number;
      case Conjunct::Op::kNotEqual: return n != c.number;
      case Conjunct::Op::kLess: return n < c.number;
      case Conjunct::Op::kLessEqual: return n <= c.number;
      case Conjunct::Op::kGreater: return n > c.number;
      default: return n >= c.number;
    }
  }
  if (!d.is(Kind::kString)) return false;
  switch (c.op) {
    case Conjunct::Op::kEqual: return d.text() == c.text;
    case Conjunct::Op::kNotEqual: return d.text() != c.text;
    case Conjunct::Op::kPrefix: return d.text().starts_with(c.text);
    case Conjunct::Op::kContains: return d.text().find(c.text) != std::string_view::npos;
    case Conjunct::Op::kIn: return std::find(c.any_of.begin(), c.any_of.end(), d.text()) != c.any_of.end();
    default: return false;
  }
}

/// Makes filters of what items hold.
class Maker {
 public:
  Maker() : environment_(environment_for(dissect::cards())) {
    for (const auto& [name, v] : environment_->variables())
      if (v.type->kind == Type::Kind::kString || v.type->kind == Type::Kind::kInt) variables_.push_back(&v);
    for (const NamedThing& t : named_things(Dialect::kV2, options(Dialect::kV2)))
      if (t.type == "bool") flags_.push_back(t.name);
  }

  /// A filter of one to four conditions; `record` gives the paths and values.
  std::string make(const Value& record, Dialect dialect) {
    std::string out;
    const size_t n = 1 + pick(4);
    for (size_t i = 0; i < n; ++i) {
      if (i != 0) out += dialect == Dialect::kV1 ? (pick(4) != 0 ? " and " : " or ") : (pick(4) != 0 ? " && " : " || ");
      std::string c = dialect == Dialect::kV1 ? condition_v1(record) : condition_v2(record);
      if (pick(6) == 0) c = "!(" + c + ")";
      if (pick(6) == 0) c = "(" + c + ")";
      out += c;
    }
    return out;
  }

 private:
  size_t pick(size_t n) { return random_() % n; }

  struct Leaf {
    std::string path;
    Value value;
  };
  Leaf leaf(const Value& record) {
    Leaf out{"", record};
    for (size_t depth = 0; depth < 12; ++depth) {
      if (out.value.is_map() && !out.value.members().empty()) {
        const auto m = out.value.members()[pick(out.value.members().size())];
        if (m.name.empty() || m.name.find_first_of("\"\\\n") != std::string_view::npos) break;
        const bool plain =
            std::all_of(m.name.begin(), m.name.end(), [](char c) { return std::isalnum(c) || c == '_'; }) &&
            !std::isdigit(m.name[0]) && m.name != "now" && !out.path.empty();
        if (out.path.empty())
          out.path = m.name;
        else
          out.path += plain ? "." + std::string(m.name) : "[\"" + std::string(m.name) + "\"]";
        out.value = m.value;
      } else if (out.value.is_list() && !out.value.elements().empty()) {
        const size_t i = pick(out.value.elements().size());
        out.path += pick(3) == 0 ? ".*" : fmt::format("[{}]", i);
        out.value = out.value.elements()[i];
      } else {
        break;
      }
    }
    return out;
  }

  static bool simple(std::string_view s) {
    return s.size() < 60 &&
           std::all_of(s.begin(), s.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
  }
  std::string number(double n) {
    const double change[] = {0, 1, -1, 0.5, n, -2 * n};
    return fmt::format("{}", n + change[pick(6)]);
  }

  std::string condition_v1(const Value& record) {
    static constexpr const char* kOps[] = {"==", "!=", ">", ">=", "<", "<="};
    static constexpr const char* kFixed[] = {"http",         "dns",
                                             "redis",        "tls",
                                             "error",        "src.port > 1024",
                                             "missing == 1", "timestamp > days(-2000)",
                                             "dst.*",        "request..name == \"a\"",
                                             "http2"};
    if (pick(5) == 0) return kFixed[pick(std::size(kFixed))];
    Leaf l = leaf(record);
    if (pick(3) == 0) {  // what storage has columns for
      static constexpr const char* kColumns[] = {"protocol.abbr",   "src.ip",      "dst.ip",        "request.method",
                                                 "response.status", "elapsedTime", "request.path",  "requestSize",
                                                 "timestamp",       "node.name",   "protocol.name", "responseSize"};
      l.path = kColumns[pick(std::size(kColumns))];
      Arena arena;
      const Datum d = select_one(Path::names(l.path), {nullptr, &record}, arena);
      l.value = d.is(Kind::kString) ? Value(d.text()) : d.is(Kind::kInt) ? Value(d.integer) : Value();
    }
    if (l.path.empty()) return "true";
    std::string text = l.value.is_string() && simple(l.value.text()) ? std::string(l.value.text()) : "x";
    if (pick(3) == 0) text = text.substr(0, pick(text.size() + 1));
    switch (pick(5)) {
      case 0: return l.path;
      case 1:
        return fmt::format("{}.{}(\"{}\")", l.path, std::array{"startsWith", "endsWith", "contains"}[pick(3)], text);
      case 2: return fmt::format("{} {} r\"{}\"", l.path, kOps[pick(2)], pick(2) == 0 ? "^[0-9]+$" : "a.*b|^.$");
      default:
        if (l.value.is_number()) return fmt::format("{} {} {}", l.path, kOps[pick(6)], number(l.value.as_double()));
        return fmt::format("{} {} \"{}\"", l.path, kOps[pick(6)], text);
    }
  }

  std::string condition_v2(const Value& record) {
    static constexpr const char* kOps[] = {"==", "!=", ">", ">=", "<", "<="};
    static constexpr const char* kFixed[] = {"\"default\" in namespaces",
                                             "timestamp > now() - duration(\"87600h\")",
                                             "\"host\" in request.headers",
                                             "dns_questions.exists(q, q.contains(\"com\"))",
                                             "size(request.headers) > 3",
                                             "src.port > dst.port",
                                             "map_get(request.headers, \"host\", \"\") != \"\"",
                                             "status_code in [200, 404, 0]",
                                             "timestamp < timestamp(\"2020-01-01T00:00:00Z\")",
                                             "string(src.port).endsWith(\"1\")",
                                             "request.headers.?host.orValue(\"\").size() > 4",
                                             "request.headers[\"user-agent\"].matches(\"curl|Moz\")"};
    if (pick(4) == 0) return kFixed[pick(std::size(kFixed))];
    if (pick(4) == 0) return flags_[pick(flags_.size())];
    const Variable& v = *variables_[pick(variables_.size())];
    Arena arena;
    Context context{{nullptr, &record}, arena, 100000};
    const Datum d = value_of(v, context);
    if (v.type->kind == Type::Kind::kInt) {
      const int64_t n = d.is(Kind::kInt) ? d.integer : 0;
      return fmt::format("{} {} {}", v.name, kOps[pick(6)],
                         std::clamp<int64_t>(n, -1'000'000'000, 1'000'000'000) + static_cast<int64_t>(pick(3)) - 1);
    }
    std::string text = d.is(Kind::kString) && simple(d.text()) ? std::string(d.text()) : "";
    if (pick(3) == 0) text = text.substr(0, pick(text.size() + 1));
    if (pick(3) == 0)
      return fmt::format("{}.{}(\"{}\")", v.name, std::array{"startsWith", "endsWith", "contains"}[pick(3)], text);
    return fmt::format("{} {} \"{}\"", v.name, kOps[pick(6)], text);
  }

  std::mt19937_64 random_{20261123};
  std::shared_ptr<const Environment> environment_;
  std::vector<const Variable*> variables_;
  std::vector<std::string> flags_;
};

class Judge final : public dissect::EngineObserver {
 public:
  void on_item(item::ItemRef ref) override {
    if (++in_file > 60) return;
    const item::Item& item = *ref;
    Arena arena;
    std::string json;
    item::append_json(item, json);
    if (json.find("\xEF\xBF\xBD") != std::string::npos) {  // text that is not UTF-8 is mended in JSON
      ++mended;
      return;
    }
    const auto root = item::parse_json(json, arena);
    ASSERT_TRUE(root) << json;
    ++items;
    for (int i = 0; i < 40; ++i) {
      const Dialect dialect = i % 2 == 0 ? Dialect::kV1 : Dialect::kV2;
      const std::string text = maker_.make(*root, dialect);
      const Compiled c = compile(text, options(dialect));
      ASSERT_TRUE(c.filter) << render(text, c.diagnostics);
      if (recent_.size() < 200)
        recent_.push_back(*c.filter);
      else
        recent_[next_++ % 200] = *c.filter;
      judge(*c.filter, item, *root, json);
    }
    if (items % 10 != 0) return;
    const FilterSet set(recent_);
    const auto live = std::make_unique<bool[]>(recent_.size()), stored = std::make_unique<bool[]>(recent_.size());
    set.match(item, {live.get(), recent_.size()});
    set.match_json(*root, {stored.get(), recent_.size()});
    for (size_t i = 0; i < recent_.size(); ++i) {
      const bool alone = judge(recent_[i], item, *root, json);
      EXPECT_EQ(alone, live[i]) << recent_[i].text() << "\n" << json;
      EXPECT_EQ(alone, stored[i]) << recent_[i].text() << "\n" << json;
    }
  }

  bool judge(const Filter& filter, const item::Item& item, const Value& root, const std::string& json) {
    const bool live = filter.matches(item);
    if (const auto fields = fields_read(filter)) {
      Arena arena;
      const auto part = item::parse_json(json, arena, item::JsonFields(*fields));
      EXPECT_TRUE(part && filter.matches_json(*part) == live) << filter.text() << "\n" << json;
      ++by_fields;
    }
    EXPECT_EQ(live, filter.matches_json(root)) << filter.text() << "\n" << item.stream;
    ++answers;
    matched += live;
    if (!live) return false;
    Arena arena;
    for (const Conjunct& c : pushdown(filter)) {
      ++pushed;
      EXPECT_TRUE(keeps(c, root, arena)) << filter.text() << " is pushed down as " << to_string(c);
    }
    return true;
  }

  size_t in_file = 0, items = 0, mended = 0, answers = 0, matched = 0, pushed = 0, by_fields = 0;

 private:
  Maker maker_;
  std::vector<Filter> recent_;
  size_t next_ = 0;
};

TEST(Protocols, each_is_a_macro_of_v1_and_a_flag_of_v2) {
  for (const item::Protocol* card : dissect::cards()) {
    for (const Dialect dialect : {Dialect::kV1, Dialect::kV2}) {
      const Compiled compiled = compile(card->macro, options(dialect));
      ASSERT_TRUE(compiled.filter) << card->macro;
      item::ItemPool pool;
      item::Item* taken = pool.take();
      taken->protocol = card;
      const item::ItemRef item(taken);
      EXPECT_TRUE(compiled.filter->matches(*item)) << card->macro;
    }
  }
}

/// What a call says is asked for by the same paths in both dialects, one of its messages by its index.
TEST(Grpc, messages_are_asked_for_by_index) {
  constexpr std::string_view kCall =
      R"({"protocol":{"name":"http","version":"2.0","abbr":"gRPC","macro":"grpc"},"request":{"grpc":{)"
      R"("service":"shop.Orders","method":"Get","messageCount":2,"messages":[)"
      R"({"size":5,"compressed":false,"type":"shop.Item","message":{"sku":"a-1","amount":3}},)"
      R"({"size":9,"compressed":true,"fields":[{"number":1,"type":"string","value":"Jason"}]}]}},)"
      R"("response":{"status":200,"grpc":{"status":5,"statusName":"NOT_FOUND"}}})";
  Arena arena;
  const auto call = item::parse_json(kCall, arena);
  ASSERT_TRUE(call);
  const auto matches = [&](Dialect dialect, const std::string& text) {
    const Compiled c = compile(text, options(dialect));
    EXPECT_TRUE(c.filter) << render(text, c.diagnostics);
    return c.filter && c.filter->matches_json(*call);
  };
  for (const auto& [term, expected] : {std::pair{R"(request.grpc.messages[0].message.sku == "a-1")", true},
                                       {R"(request.grpc.messages[0].message.amount > 2)", true},
                                       {R"(request.grpc.messages[1].fields[0].value == "Jason")", true},
                                       {R"(request.grpc.messages[1].message.sku == "a-1")", false},
                                       {R"(request.grpc.messages[7].size > 0)", false},
                                       {R"(request.grpc.messageCount == 2)", true},
                                       {R"(response.grpc.statusName == "NOT_FOUND")", true},
                                       {R"(response.grpc.status == 0)", false}}) {
    EXPECT_EQ(matches(Dialect::kV1, std::string("grpc and ") + term), expected) << term;
    EXPECT_EQ(matches(Dialect::kV2, std::string("grpc && ") + term), expected) << term;
    EXPECT_EQ(matches(Dialect::kAuto, term), expected) << term;
  }
  EXPECT_TRUE(matches(Dialect::kV2, "request.grpc.messages.exists(m, m.size > 8 && m.compressed)"));
  EXPECT_TRUE(matches(Dialect::kV2, "has(request.grpc.messages[0].message.sku) && size(response.grpc.messages) == 0"));
  EXPECT_TRUE(matches(Dialect::kV2, R"(request.grpc.service.startsWith("shop.") && grpc_status == 0)"));
  EXPECT_FALSE(matches(Dialect::kV2, R"(request.grpc.messages[0].?message.?none.orValue("") == "x")"));
}

TEST(RealItems, LiveStoredAndPushedDownAgree) {
  if (!std::filesystem::exists(captures())) GTEST_SKIP() << "no captures at " << captures() << " (BALEEN_SHARED)";
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(captures())) {
    const std::string extension = entry.path().extension();
    if (entry.is_regular_file() && (extension == ".pcap" || extension == ".pcapng") && entry.file_size() < 500'000)
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  static constexpr item::Origin kOrigin{"10.0.0.1:30001", "node-1", "10.0.0.1"};
  Judge judge;
  for (const auto& path : files) {
    auto source = capture::PcapFileSource::open({.path = path, .follow = false, .events = {}});
    if (!source) continue;
    judge.in_file = 0;
    dissect::EngineOptions engine_options;
    engine_options.protocols = dissect::registry();
    engine_options.origin = &kOrigin;
    dissect::Engine engine(engine_options, judge);
    for (;;) {
      auto batch = (*source)->next_batch(std::chrono::seconds(1));
      if (!batch || batch->state() == capture::PacketBatch::State::kEnd) break;
      for (const net::Packet& packet : *batch) engine.on_packet(packet);
    }
    engine.finish();
    if (testing::Test::HasFailure()) {
      ADD_FAILURE() << "in " << path;
      break;
    }
  }
  EXPECT_GT(judge.items, 500u);
  EXPECT_GT(judge.matched, judge.answers / 20);
  EXPECT_GT(judge.pushed, 1000u);
  EXPECT_GT(judge.by_fields, judge.answers / 4);
  std::printf("%zu items of %zu captures (%zu more are not UTF-8), %zu answers, %zu matched, %zu conjuncts held\n",
              judge.items, files.size(), judge.mended, judge.answers, judge.matched, judge.pushed);
}

}  // namespace
}  // namespace baleen::kfl
