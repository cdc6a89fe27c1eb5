#include "index/recording_reader.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/crc32c.h"
#include "codec/pcap/reader.h"
#include "codec/pcap/writer.h"
#include "index/item_csv.h"
#include "index/record_index.h"
#include "item/json.h"
#include "kfl/sample_items.h"

namespace baleen::index {
namespace {

namespace fs = std::filesystem;

/// In memory where that is possible: nothing here tests a disk.
fs::path scratch() { return ::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path(); }

using std::chrono::seconds;

const Timestamp kBegin = timestamp_from_ns(1'795'461'296'000'000'000);

struct Call {
  uint64_t stream, index;
  Duration at;
  int status = 200;
};

std::string stream_file(uint64_t stream) {
  char buffer[32];
  return std::string(buffer, item::write_stream_name(stream, item::StreamKind::kTcp, buffer));
}

std::string packet_bytes(uint64_t stream, uint64_t n) {
  return "packet " + std::to_string(n) + " of " + std::to_string(stream);
}

/// A folder of recordings, written as the format's document says.
/// A store as far away as a bucket: its objects are no files here.
class Remote final : public store::ObjectStore {
 public:
  explicit Remote(std::unique_ptr<store::ObjectStore>& inner) : inner_(inner) {}
  Result<store::ObjectFacts> put(std::string_view key, Bytes content, const store::PutOptions& o) override {
    return inner_->put(key, content, o);
  }
  Result<store::ObjectFacts> put_source(std::string_view key, const io::ByteSource& source,
                                        const store::PutOptions& o) override {
    return inner_->put_source(key, source, o);
  }
  Result<std::string> get(std::string_view key) override {
    if (gets_until_failure-- == 0) return Error{Code::kUnavailable, "not now"};
    return inner_->get(key);
  }
  Result<std::string> get_range(std::string_view key, uint64_t offset, uint64_t length) override {
    return inner_->get_range(key, offset, length);
  }
  Result<store::ObjectFacts> head(std::string_view key) override { return inner_->head(key); }
  Result<store::ListPage> list(const store::ListOptions& options) override { return inner_->list(options); }
  Result<> remove(std::string_view key) override { return inner_->remove(key); }
  std::string name() const override { return inner_->name(); }

  std::atomic<int64_t> gets_until_failure{-1};  // one of get(), then it works again

 private:
  std::unique_ptr<store::ObjectStore>& inner_;
};

class Bucket {
 public:
  Bucket() {
    std::string pattern = (scratch() / "baleen-reader-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    store_ = *store::open(*store::Location::parse(folder_ + "/bucket"));
  }
  ~Bucket() { fs::remove_all(folder_); }

  /// A block with these calls, and `packets` packets of each of these streams.
  BlockRecord add(const std::string& recording, const std::string& run, uint64_t sequence,
                  const std::vector<Call>& calls, const std::map<uint64_t, uint64_t>& packets,
                  const std::string& node = "node-1") {
    BlockRecord r;
    r.recording = recording;
    r.node = node;
    r.run = run;
    r.filter = "http";
    r.first = r.last = kBegin + calls.front().at;
    for (const Call& call : calls) r.last = std::max<Timestamp>(r.last, kBegin + call.at);
    r.items = calls.size();
    r.items_by_protocol["http"] = calls.size();
    r.block = block_id(r.first, node, run, sequence);
    const BlockKeys keys = block_keys(recording, r.first, r.block);
    std::string pcapng;
    codec::pcap::PcapngWriter writer(pcapng);
    writer.section({.application = "test"});
    writer.interface({.link = 1, .name = "eth0"});
    r.header_length = writer.offset();
    for (const auto& [stream, n] : packets) {
      const uint64_t begin = writer.offset();
      for (uint64_t i = 0; i < n; ++i) {
        const std::string bytes = packet_bytes(stream, i);
        writer.packet({.time = r.first, .bytes = as_bytes(bytes), .wire_length = static_cast<uint32_t>(bytes.size())});
      }
      r.streams.push_back({stream_file(stream), begin, writer.offset() - begin, n});
      r.packets += n;
    }
    r.packets_object = put(keys.packets, pcapng);
    std::vector<ItemRow> rows;
    for (const Call& call : calls) {
      const auto item =
          kfl::sample::http(call.status, "/" + std::to_string(call.stream) + "/" + std::to_string(call.index));
      item->stream = call.stream;
      item->index = call.index;
      item->request.time = kBegin + call.at;
      item->response.time = item->request.time + std::chrono::milliseconds(1);
      rows.push_back(row_from(*item));
    }
    auto next = rows.begin();
    const std::string file = folder_ + "/rows";
    EXPECT_TRUE(write_parquet(
        file, [&](ItemRow& row) { return next != rows.end() && (row = *next++, true); }, r.streams, keys.packets));
    std::ifstream in(file, std::ios::binary);
    r.items_object = put(keys.items, {std::istreambuf_iterator<char>(in), {}});
    r.ledger.items_seen = r.ledger.items_stored = sequence * 10;
    put(keys.record, r.to_json());
    return r;
  }

  ObjectRecord put(const std::string& key, const std::string& content) {
    EXPECT_TRUE(store_->put(key, as_bytes(content), {}));
    return {key, content.size(), crc32c(as_bytes(content))};
  }
  std::string path(const std::string& key) const { return folder_ + "/bucket/" + key; }
  static std::string record_key(const BlockRecord& r) { return block_keys(r.recording, r.first, r.block).record; }
  std::string cache() const { return folder_ + "/cache"; }
  Remote& store() { return remote_; }

 private:
  std::string folder_;
  std::unique_ptr<store::ObjectStore> store_;
  Remote remote_{store_};
};

ReadQuery query(std::string_view filter = "", std::string recording = {}) {
  ReadQuery q;
  kfl::Options options;
  options.protocols = kfl::sample::kProtocols;
  if (!filter.empty()) q.filter = *kfl::compile(filter, options).filter;
  q.recording = std::move(recording);
  return q;
}

std::vector<std::string> paths(RecordingReader& reader, const ReadQuery& q) {
  std::vector<std::string> out;
  const auto read = reader.items(q, [&](const StoredItem& item) {
    Arena arena;
    const auto root = item::parse_json(item.json, arena);
    out.emplace_back(root ? (*root)["request"]["path"].text() : "?");
    return true;
  });
  EXPECT_TRUE(read) << read.error().message;
  return out;
}

std::vector<std::string> packets(RecordingReader& reader, const ReadQuery& q) {
  std::string content;
  const auto n = reader.packets(q, [&](std::string_view bytes) { content += bytes; });
  EXPECT_TRUE(n) << n.error().message;
  std::vector<std::string> out;
  codec::pcap::Reader pcap;
  std::vector<codec::pcap::PacketRecord> records(16);
  Bytes window = as_bytes(content);
  while (!window.empty()) {
    const auto step = pcap.read(window, records);
    for (size_t i = 0; i < step.packets; ++i) out.emplace_back(as_text(records[i].bytes));
    window = window.subspan(step.consumed);
    EXPECT_NE(step.kind, codec::pcap::Reader::Kind::kFailed);
    if (step.kind != codec::pcap::Reader::Kind::kFull) break;
  }
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(out.size(), n.value_or(RecordingReader::Packets{}).written);
  return out;
}

using Paths = std::vector<std::string>;
using namespace std::chrono_literals;

TEST(RecordingReader, ReadsItemsInTimeOrderOverBlocksNodesAndRecordings) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(20)}}, {{1, 2}, {2, 1}});
  bucket.add("a", "r2", 1, {{1, 1, seconds(10)}, {1, 2, seconds(30)}}, {{1, 1}}, "node-2");
  bucket.add("b", "r1", 1, {{7, 0, seconds(15), 500}}, {{7, 1}});
  RecordingReader reader(bucket.store(), "");
  EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/1/1", "/7/0", "/2/0", "/1/2"}));
  EXPECT_EQ(paths(reader, query("", "a")), (Paths{"/1/0", "/1/1", "/2/0", "/1/2"}));
  EXPECT_EQ(paths(reader, query("status_code == 500")), (Paths{"/7/0"}));
  ReadQuery q = query();
  q.since = kBegin + seconds(10);
  q.until = kBegin + seconds(20);
  EXPECT_EQ(paths(reader, q), (Paths{"/1/1", "/7/0", "/2/0"})) << "both ends belong to it";
  q = query();
  q.limit = 2;
  EXPECT_EQ(paths(reader, q), (Paths{"/1/0", "/1/1"}));
  EXPECT_EQ(paths(reader, query("", "none")), Paths{});
  EXPECT_TRUE(reader.problems().empty());
}

TEST(RecordingReader, PagesGoOnWhereTheyEnded) {
  Bucket bucket;
  // Items that nothing but their block tells apart: two recordings have taken the same streams.
  for (const char* name : {"a", "b", "c"})
    bucket.add(name, "r1", 1, {{1, 0, seconds(0)}, {1, 1, seconds(0)}, {2, 0, seconds(0)}, {3, 0, seconds(5)}},
               {{1, 1}});
  RecordingReader reader(bucket.store(), "");
  const Paths all = paths(reader, query());
  ASSERT_EQ(all.size(), 12u);
  for (const uint64_t limit : {1, 2, 5}) {
    Paths pages;
    ReadQuery q = query();
    q.limit = limit;
    for (bool more = true; more;) {
      more = false;
      std::optional<Position> last;
      ASSERT_TRUE(reader.items(q, [&](const StoredItem& item) {
        last = Position{item.time_ns, std::string(item.node), item.stream, item.index, std::string(item.block)};
        Arena arena;
        pages.emplace_back((*item::parse_json(item.json, arena))["request"]["path"].text());
        return more = true;
      }));
      if (!last) break;
      // By way of the word that a command line carries.
      q.after = Position::from_token(last->to_token());
      ASSERT_EQ(q.after, last);
    }
    EXPECT_EQ(pages, all) << limit;
  }
  for (const char* wrong : {"", "x", "MQ", "MQoxCjIKbgpzCmI", "not base64!"})
    EXPECT_EQ(wrong == std::string_view("MQoxCjIKbgpzCmI"), Position::from_token(wrong).has_value()) << wrong;
}

TEST(RecordingReader, WhatIsFollowedComesOnceWhateverFails) {
  for (int64_t failure = 0; failure < 12; ++failure) {
    Bucket bucket;
    RecordingReader reader(bucket.store(), "");
    Followed followed;
    Paths seen;
    int looks = 0;
    const auto look = [&] {
      for (bool done = false; !done;) {
        ASSERT_LT(++looks, 20);
        const auto outcome = reader.new_items(query(), followed, [&](const StoredItem& item) {
          Arena arena;
          seen.emplace_back((*item::parse_json(item.json, arena))["request"]["path"].text());
          return true;
        });
        done = outcome.has_value();
        EXPECT_TRUE(done || outcome.error().retryable());
      }
    };
    look();
    EXPECT_TRUE(seen.empty());
    bucket.add("a", "r1", 1, {{1, 0, seconds(100)}, {2, 0, seconds(120)}}, {{1, 1}});
    bucket.add("a", "r2", 1, {{3, 0, seconds(110)}}, {{3, 1}}, "node-2");
    bucket.store().gets_until_failure = failure;
    look();
    EXPECT_EQ(seen, (Paths{"/1/0", "/3/0", "/2/0"})) << failure;
    look();
    // One that comes late, with older items, and one of a new recording.
    bucket.add("a", "r2", 0, {{3, 1, seconds(10)}}, {{3, 1}}, "node-2");
    bucket.add("b", "r1", 1, {{9, 0, seconds(200)}}, {{9, 1}});
    look();
    look();
    EXPECT_EQ(seen, (Paths{"/1/0", "/3/0", "/2/0", "/3/1", "/9/0"})) << failure;
  }
}

TEST(RecordingReader, OneItemAndOneStream) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(1)}}, {{1, 2}, {2, 1}});
  bucket.add("a", "r1", 2, {{1, 1, seconds(400)}}, {{1, 1}});
  bucket.add("a", "r1", 3, {{5, 0, seconds(800)}}, {{5, 1}, {6, 4}});  // 6: without an item
  RecordingReader reader(bucket.store(), "");
  ReadQuery q = query();
  q.stream = stream_file(1);
  EXPECT_EQ(paths(reader, q), (Paths{"/1/0", "/1/1"}));
  EXPECT_EQ(reader.statistics().skipped_stream, 1u);
  EXPECT_EQ(packets(reader, q).size(), 3u);
  q.stream = stream_file(6);
  EXPECT_EQ(packets(reader, q).size(), 4u);
  std::string id;
  q.stream = stream_file(1);
  ASSERT_TRUE(reader.items(q, [&](const StoredItem& item) {
    Arena arena;
    id = (*item::parse_json(item.json, arena))["id"].text();
    return false;
  }));
  q = query();
  q.item = id;
  EXPECT_EQ(paths(reader, q), (Paths{"/1/0"}));
  EXPECT_EQ(packets(reader, q).size(), 3u) << "its whole stream, and no other";
  q.item += "'";
  EXPECT_EQ(paths(reader, q), Paths{});
}

TEST(RecordingReader, PacketsOfALimitedNumberOfItemsSayWhetherThereAreMore) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(1)}, {3, 0, seconds(2)}}, {{1, 2}, {2, 1}, {3, 4}});
  RecordingReader reader(bucket.store(), "");
  const uint64_t packets_of_first[] = {7, 2, 3, 7, 7};
  for (uint64_t limit = 0; limit < 5; ++limit) {
    ReadQuery q = query();
    q.limit = limit;
    const auto read = reader.packets(q, [](std::string_view) {});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->written, packets_of_first[limit]) << limit;
    EXPECT_EQ(read->more, limit == 1 || limit == 2) << limit;
  }
}

TEST(RecordingReader, WholeRowsAreWhatWasWritten) {
  Bucket bucket;
  const BlockRecord block = bucket.add("a", "r1", 1, {{1, 0, seconds(0), 404}, {2, 0, seconds(1)}}, {{1, 2}});
  RecordingReader reader(bucket.store(), "");
  ReadQuery q = query();
  q.whole_rows = true;
  std::string lines;
  append_csv_header(lines);
  std::vector<WholeRow> rows;
  ASSERT_TRUE(reader.items(q, [&](const StoredItem& item) {
    append_csv(*item.row, lines);
    rows.push_back(*item.row);
    return true;
  }));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].status, 404);
  EXPECT_EQ(rows[0].packets_object, block.packets_object.key);
  EXPECT_EQ(rows[0].packets_offset, static_cast<int64_t>(block.header_length));
  EXPECT_EQ(rows[1].packets_object, "") << "no packets, no place";
  EXPECT_EQ(rows[1].packets_offset, -1);
  EXPECT_EQ(rows[0].stream, stream_file(1));
  EXPECT_TRUE(lines.starts_with("time,elapsed_us,protocol,"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\r'), 3);
}

TEST(RecordingReader, CsvQuotesWhatNeedsIt) {
  WholeRow row;
  row.path = "a,\"b\"\r\nc";
  row.method = "GET";
  row.time_ns = 1'700'000'000'123'456'789;
  std::string line;
  append_csv(row, line);
  EXPECT_TRUE(line.starts_with("2023-11-14T22:13:20.123456789Z,0,,"));
  EXPECT_NE(line.find(",GET,\"a,\"\"b\"\"\r\nc\",,,,0,0,"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with(",false,,,,\r\n")) << line;
}

TEST(RecordingReader, SqlSeesTheItemsAndNothingElse) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0), 500}, {2, 0, seconds(1)}}, {{1, 2}, {2, 1}});
  bucket.add("b", "r1", 1, {{3, 0, seconds(2)}}, {{3, 1}});
  RecordingReader reader(bucket.store(), "", bucket.cache());
  const std::string temporary = bucket.path("");
  const auto ask = [&](const std::string& text, ReadQuery q = query()) {
    std::string out;
    auto sql = reader.sql(q, text, temporary);
    if (!sql) return "! " + sql.error().message;
    if (const auto prepared = (*sql)->prepare(text); !prepared) return "! " + prepared.error().message;
    const auto read = (*sql)->rows([](const auto&) {},
                                   [&](ItemSql::Cells cells) {
                                     for (const auto& cell : cells) out += cell.value_or("NULL") + "|";
                                     return true;
                                   });
    return read ? out : read.error().message;
  };
  EXPECT_EQ(ask("SELECT recording, count(*) FROM items GROUP BY 1 ORDER BY 1; -- done"), "a|2|b|1|");
  EXPECT_EQ(ask("FROM items SELECT stream WHERE status >= 500"), stream_file(1) + "|");
  EXPECT_EQ(ask("SELECT sum(packets), count(*) FROM streams"), "4|3|");
  EXPECT_EQ(
      ask("SELECT recording, items, first_time = (SELECT min(time) FROM items i WHERE i.recording = blocks.recording) "
          "FROM blocks ORDER BY ALL"),
      "a|2|true|b|1|true|");
  EXPECT_EQ(ask("SELECT NULL"), "NULL|");
  EXPECT_EQ(ask("SELECT DISTINCT recording FROM items WHERE recording = 'b'"), "b|");
  EXPECT_EQ(ask("WITH x AS (FROM items) SELECT count(*) FROM x WHERE host LIKE '%' AND tls"), "0|");
  ReadQuery q = query("", "a");
  q.since = kBegin + seconds(1);
  EXPECT_EQ(ask("SELECT stream FROM items", q), stream_file(2) + "|");
  EXPECT_EQ(ask("SELECT count(*) FROM items", query("", "none")), "0|");
  EXPECT_EQ(ask("SELECT 1; SELECT 2"), "! one statement is taken, and there are several");
  EXPECT_TRUE(ask("SELECT nothing FROM items").find("LINE 1") != std::string::npos);
  for (const char* text : {"COPY items TO '/dev/null'", "SET threads = 1", "CREATE TABLE x(i INT)", "ATTACH 'x'", "",
                           "SELECT ?", "SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM '/etc/hostname'"})
    EXPECT_TRUE(ask(text).starts_with("! ")) << text << ": " << ask(text);
}

TEST(RecordingReader, LooksOnlyAtWhatItNeeds) {
  Bucket bucket;
  for (uint64_t hour = 0; hour < 10; ++hour)
    bucket.add("a", "r1", hour + 1, {{hour, 0, seconds(3600 * hour)}}, {{hour, 1}});
  {
    RecordingReader reader(bucket.store(), "", bucket.cache());
    ReadQuery q = query();
    q.since = kBegin + seconds(3600 * 4);
    q.until = kBegin + seconds(3600 * 5);
    EXPECT_EQ(paths(reader, q), (Paths{"/4/0", "/5/0"}));
    EXPECT_EQ(reader.statistics().blocks, 6u) << "those after the range are not looked at";
    EXPECT_EQ(reader.statistics().blocks_skipped, 4u);
    EXPECT_EQ(reader.statistics().rows, 2u);
    q = query();
    q.limit = 1;
    EXPECT_EQ(paths(reader, q), (Paths{"/0/0"}));
    EXPECT_EQ(reader.statistics().cached, 0u);
  }
  RecordingReader again(bucket.store(), "", bucket.cache());
  EXPECT_EQ(paths(again, query()).size(), 10u);
  EXPECT_EQ(again.statistics().cached, 3u) << "what was fetched before, by another process";
}

TEST(RecordingReader, AnIndexSparesRequestsAndIsOnlyBelievedWhereTheListingAgrees) {
  Bucket bucket;
  BlockRecord changed;
  for (uint64_t hour = 0; hour < 30; ++hour)
    changed = bucket.add("a", "r1", hour + 1, {{hour, 0, seconds(3600 * hour)}}, {{hour, 1}});
  const auto made = compact(bucket.store(), "", "a");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->records, 30u);
  EXPECT_EQ(made->written, made->days);
  const auto again = compact(bucket.store(), "", "a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->written + again->removed, 0u) << "it is up to date";
  changed.cluster = "another";
  bucket.put(Bucket::record_key(changed), changed.to_json());
  bucket.add("a", "r1", 31, {{30, 0, seconds(3600 * 30)}}, {{30, 1}});
  RecordingReader reader(bucket.store(), "");
  ReadQuery q = query("", "a");
  EXPECT_EQ(paths(reader, q).size(), 31u);
  EXPECT_EQ(reader.statistics().blocks, 31u);
  EXPECT_EQ(reader.statistics().blocks_indexed, 29u) << "one record is new, one has another size";
  EXPECT_EQ(packets(reader, query("http and request.path == '/7/0'", "a")).size(), 1u);
  ASSERT_TRUE(compact(bucket.store(), "", "a"));
  RecordingReader fresh(bucket.store(), "");
  EXPECT_EQ(paths(fresh, q).size(), 31u);
  EXPECT_EQ(fresh.statistics().blocks_indexed, 31u);
}

/// A block of which a query needs a small part: three row groups, and texts that zstd cannot make small.
class LargeBlock : public testing::Test {
 protected:
  LargeBlock() {
    uint64_t random = 7;
    std::vector<ItemRow> rows;
    const auto item = kfl::sample::http(200, "/");
    for (uint64_t i = 0; i < 70'000; ++i) {
      item->stream = i;
      item->request.time = kBegin + std::chrono::milliseconds(i);
      item->response.time = item->request.time + std::chrono::milliseconds(1);
      ItemRow row = row_from(*item);
      if (i < 40'000) row.src_pod = row.src_name = "another";
      row.json.resize(row.json.size() - 1);
      row.json += ",\"noise\":\"";
      for (int k = 0; k < 12; ++k)
        row.json += fmt::format("{:x}", random = random * 6364136223846793005u + 1442695040888963407u);
      row.json += "\"}";
      rows.push_back(std::move(row));
    }
    record_ = bucket_.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(70)}}, {{1, 1}});
    record_.items = rows.size();
    record_.pods = {"another", "frontend-1"};
    auto next = rows.begin();
    const std::string file = bucket_.path("large");
    EXPECT_TRUE(write_parquet(file, [&](ItemRow& row) { return next != rows.end() && (row = *next++, true); }, {}, ""));
    std::ifstream in(file, std::ios::binary);
    record_.items_object = bucket_.put(record_.items_object.key, {std::istreambuf_iterator<char>(in), {}});
    bucket_.put(Bucket::record_key(record_), record_.to_json());
  }
  Bucket bucket_;
  BlockRecord record_;
};

TEST_F(LargeBlock, OnlyRowGroupsAndColumnsThatAreNeededAreRead) {
  ReadQuery q = query("src.pod.metadata.name == 'frontend-1'");
  q.since = kBegin + std::chrono::milliseconds(62'000);
  q.until = kBegin + std::chrono::milliseconds(62'099);
  {
    RecordingReader reader(bucket_.store(), "", bucket_.cache());
    EXPECT_EQ(paths(reader, q).size(), 100u);
    EXPECT_EQ(reader.statistics().row_groups, 5u);
    EXPECT_EQ(reader.statistics().row_groups_skipped, 4u);
    EXPECT_LT(reader.statistics().bytes, record_.items_object.size / 3);
    EXPECT_LE(reader.statistics().requests, 7u);
  }
  RecordingReader again(bucket_.store(), "", bucket_.cache());
  EXPECT_EQ(paths(again, q).size(), 100u);
  EXPECT_GE(again.statistics().cached, 2u);
  EXPECT_LT(again.statistics().bytes, 10'000u) << "ranges come from the cache";
  RecordingReader all(bucket_.store(), "");
  EXPECT_EQ(paths(all, query("src.pod.metadata.name == 'frontend-1'")).size(), 70'000u - 40'000u)
      << "pruning by columns loses nothing that they name";
}

TEST_F(LargeBlock, ADamagedRangeIsNamedAndLeftOut) {
  fs::resize_file(bucket_.path(record_.items_object.key), record_.items_object.size / 2);
  RecordingReader reader(bucket_.store(), "");
  ReadQuery q = query();
  q.until = kBegin + std::chrono::milliseconds(10);
  EXPECT_EQ(paths(reader, q).size(), 0u);
  ASSERT_EQ(reader.problems().size(), 1u);
  EXPECT_NE(reader.problems()[0].message.find(record_.items_object.key), std::string::npos);
}

TEST(RecordingReader, PacketsAreWholeStreamsOverAllBlocksOfTheirRun) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(1)}}, {{1, 2}, {2, 1}, {3, 5}});
  bucket.add("a", "r1", 2, {{3, 0, seconds(400), 500}}, {{1, 3}, {3, 1}});
  bucket.add("a", "r2", 1, {{1, 0, seconds(800)}}, {{1, 4}, {3, 9}});  // numbers begin anew in each run
  RecordingReader reader(bucket.store(), "");
  EXPECT_EQ(packets(reader, query("status_code == 500")).size(), 5u + 1) << "stream 3 of the first run";
  ReadQuery q = query();
  q.until = kBegin;
  EXPECT_EQ(packets(reader, q), (Paths{packet_bytes(1, 0), packet_bytes(1, 1), packet_bytes(1, 0), packet_bytes(1, 1),
                                       packet_bytes(1, 2)}));
}

TEST(RecordingReader, AnItemWhosePacketsLieInAnotherBlockHasItsPackets) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}, {2, 0, seconds(1), 500}}, {{1, 2}});  // closed before 2's were copied
  bucket.add("a", "r1", 2, {{1, 1, seconds(2)}}, {{2, 3}});
  RecordingReader reader(bucket.store(), "");
  EXPECT_EQ(packets(reader, query("status_code == 500")),
            (Paths{packet_bytes(2, 0), packet_bytes(2, 1), packet_bytes(2, 2)}));
}

/// What a reader says that has read the rest.
void expect_problem(const RecordingReader& reader, const std::string& key, std::string_view what) {
  ASSERT_EQ(reader.problems().size(), 1u);
  const std::string& message = reader.problems()[0].message;
  EXPECT_NE(message.find(key), std::string::npos) << message;
  EXPECT_NE(message.find(what), std::string::npos) << message;
}

class DamagedBucket : public testing::Test {
 protected:
  DamagedBucket() {
    for (uint64_t n = 1; n <= 3; ++n)
      blocks_.push_back(bucket_.add("a", "r1", n, {{n, 0, seconds(400 * n)}}, {{n, 2}}));
  }
  void overwrite(const std::string& key, const std::string& content) {
    std::ofstream(bucket_.path(key), std::ios::binary | std::ios::trunc) << content;
  }
  std::string content(const std::string& key) { return *bucket_.store().get(key); }
  Bucket bucket_;
  std::vector<BlockRecord> blocks_;
};

TEST_F(DamagedBucket, AMissingItemsObjectSpoilsNoOther) {
  fs::remove(bucket_.path(blocks_[1].items_object.key));
  RecordingReader reader(bucket_.store(), "");
  EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/3/0"}));
  EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/3/0"}));
  expect_problem(reader, blocks_[1].items_object.key, "No such file");
}

TEST_F(DamagedBucket, ItemsThatAreNotWhatTheRecordSaysAreNotRead) {
  const std::string& key = blocks_[1].items_object.key;
  const std::string whole = content(key);
  std::string flipped = whole;
  flipped[whole.size() / 2] ^= 1;
  for (const std::string& damage : {flipped, whole.substr(0, whole.size() - 1), whole + "x", std::string()}) {
    overwrite(key, damage);
    RecordingReader reader(bucket_.store(), "");
    EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/3/0"}));
    expect_problem(reader, key, "CRC32C");
  }
  overwrite(key, whole);
  RecordingReader reader(bucket_.store(), "");
  EXPECT_EQ(paths(reader, query()).size(), 3u);
  EXPECT_TRUE(reader.problems().empty());
}

TEST_F(DamagedBucket, ADamagedRecordSpoilsNoOther) {
  const std::string key = Bucket::record_key(blocks_[1]);
  const std::string whole = content(key);
  for (const std::string& damage : {std::string(), whole.substr(0, whole.size() / 2), std::string("[]"),
                                    std::string(R"({"schema_version": 99})")}) {
    overwrite(key, damage);
    RecordingReader reader(bucket_.store(), "");
    EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/3/0"}));
    expect_problem(reader, key, "record");
    EXPECT_EQ(packets(reader, query()).size(), 4u);
    const auto recordings = reader.recordings();
    ASSERT_TRUE(recordings);
    ASSERT_EQ(recordings->size(), 1u);
    EXPECT_EQ((*recordings)[0].blocks, 2u);
    EXPECT_EQ(reader.problems().size(), 1u) << "said once";
  }
}

TEST_F(DamagedBucket, MissingAndShortPacketsSpoilNoOther) {
  const std::string& key = blocks_[1].packets_object.key;
  const std::string whole = content(key);
  for (const bool missing : {false, true}) {
    missing ? (void)fs::remove(bucket_.path(key)) : overwrite(key, whole.substr(0, whole.size() - 1));
    RecordingReader reader(bucket_.store(), "");
    EXPECT_EQ(paths(reader, query()).size(), 3u) << "items need no packets";
    EXPECT_TRUE(reader.problems().empty());
    EXPECT_EQ(packets(reader, query()),
              (Paths{packet_bytes(1, 0), packet_bytes(1, 1), packet_bytes(3, 0), packet_bytes(3, 1)}));
    expect_problem(reader, key, missing ? "No such file" : "expected");
  }
}

TEST_F(DamagedBucket, ABlockWithoutARecordIsNotThere) {
  fs::remove(bucket_.path(Bucket::record_key(blocks_[1])));  // a crash between the objects
  RecordingReader reader(bucket_.store(), "");
  EXPECT_EQ(paths(reader, query()), (Paths{"/1/0", "/3/0"}));
  EXPECT_TRUE(reader.problems().empty());
}

TEST_F(DamagedBucket, ADamagedCopyInTheCacheIsFetchedAgain) {
  {
    RecordingReader reader(bucket_.store(), "", bucket_.cache());
    EXPECT_EQ(paths(reader, query()).size(), 3u);
  }
  for (const auto& entry : fs::directory_iterator(bucket_.cache())) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file << "xxxxxxxx";
  }
  RecordingReader reader(bucket_.store(), "", bucket_.cache());
  EXPECT_EQ(paths(reader, query()).size(), 3u);
  EXPECT_EQ(reader.statistics().cached, 0u);
  RecordingReader again(bucket_.store(), "", bucket_.cache());
  EXPECT_EQ(paths(again, query()).size(), 3u);
  EXPECT_EQ(again.statistics().cached, 3u);
}

/// What one reader has in hand no other one takes from it, though the folder is always over its limit.
TEST(RecordingReader, ReadersShareACacheThatIsFull) {
  Bucket bucket;
  Paths all;
  for (uint64_t i = 0; i < 4; ++i) {
    bucket.add("a", "r1", i, {{i, 0, seconds(i)}}, {{i, 1}});
    all.push_back(fmt::format("/{}/0", i));
  }
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> readers;
    for (int n = 0; n < 6; ++n)
      readers.emplace_back([&] {
        for (int i = 0; i < 10; ++i) {
          RecordingReader reader(bucket.store(), "", bucket.cache(), 1);
          if (paths(reader, query()) != all || !reader.problems().empty()) ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(fs::is_empty(bucket.cache()));
}

TEST(RecordingReader, FactsOfRecordings) {
  Bucket bucket;
  bucket.add("a", "r1", 2, {{1, 0, seconds(0)}}, {{1, 2}});
  bucket.add("a", "r1", 1, {{2, 0, seconds(400)}}, {{2, 1}});  // closed first, though its packets are later
  bucket.add("a", "r2", 1, {{1, 0, seconds(800)}}, {{1, 1}});
  // One that was taken up after a crash knows nothing of the run.
  BlockRecord recovered = bucket.add("a", "r2", 3, {{1, 1, seconds(900)}}, {{1, 1}});
  recovered.ledger = {};
  bucket.put(Bucket::record_key(recovered), recovered.to_json());
  bucket.add("b", "r1", 5, {{1, 0, seconds(0)}}, {});
  RecordingReader reader(bucket.store(), "");
  const auto recordings = reader.recordings();
  ASSERT_TRUE(recordings) << recordings.error().message;
  ASSERT_EQ(recordings->size(), 2u);
  const RecordingFacts& a = (*recordings)[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.blocks, 4u);
  EXPECT_EQ(a.items, 4u);
  EXPECT_EQ(a.packets, 5u);
  EXPECT_EQ(a.first, kBegin);
  EXPECT_EQ(a.last, kBegin + seconds(900));
  EXPECT_EQ(a.items_by_protocol, (std::map<std::string, uint64_t>{{"http", 4}}));
  EXPECT_EQ(a.ledger.items_seen, 20u + 10) << "the last of each run";
  EXPECT_TRUE(a.ledger.balances());
  EXPECT_EQ((*recordings)[1].ledger.items_seen, 50u);
}

/// By protocol, counted by looking at each item.
std::map<std::string, uint64_t> counted_by_items(RecordingReader& reader, const ReadQuery& query) {
  std::map<std::string, uint64_t> out;
  EXPECT_TRUE(reader.items(query, [&](const StoredItem&) { return ++out["http"], true; }));
  return out;
}

TEST(RecordingReader, CountsAreThoseOfTheItems) {
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, 0ms}, {1, 1, 10ms, 404}, {2, 0, 20ms, 500}}, {});
  bucket.add("a", "r1", 2, {{3, 0, 1000ms}, {3, 1, 1010ms, 404}}, {}, "node-2");
  bucket.add("b", "r2", 1, {{1, 0, 5ms, 404}}, {});
  for (const bool cards : {true, false}) {
    for (const char* text : {"", "http", "!http", "response.status == 404", "node.name == \"node-2\" or http",
                             "elapsedTime > 999", "request.path == \"/3/1\"", "limit(2)", "http and limit(4)"}) {
      for (const auto& [since, until] : {std::pair{0ms, 10000ms}, std::pair{5ms, 1000ms}, std::pair{30ms, 40ms}}) {
        RecordingReader reader(bucket.store(), "");
        if (cards) reader.set_protocols(kfl::sample::kProtocols);
        ReadQuery q = query(text);
        q.since = kBegin + since;
        q.until = kBegin + until;
        const auto count = reader.count(q);
        ASSERT_TRUE(count) << count.error().message;
        EXPECT_EQ(*count, counted_by_items(reader, q)) << text << " " << cards;
      }
    }
  }
}

TEST(RecordingReader, ACountReadsNoMoreThanItMust) {
  Bucket bucket;
  for (uint64_t i = 1; i < 9; ++i) bucket.add("a", "r1", i, {{1, 0, i * 10ms}, {1, 1, i * 10ms + 1ms, 404}}, {});
  RecordingReader records(bucket.store(), "");
  records.set_protocols(kfl::sample::kProtocols);
  EXPECT_EQ(records.count(query("http"))->at("http"), 16u);
  EXPECT_EQ(records.statistics().rows, 0u) << "block records know it";
  RecordingReader columns(bucket.store(), "");
  columns.set_protocols(kfl::sample::kProtocols);
  EXPECT_EQ(columns.count(query("response.status == 404"))->at("http"), 8u);
  EXPECT_LE(columns.statistics().rows, 8u);
}

TEST_F(DamagedBucket, ACountLeavesOutWhatCannotBeRead) {
  overwrite(blocks_[1].items_object.key, "PAR1, but no more than that");
  RecordingReader reader(bucket_.store(), "");
  reader.set_protocols(kfl::sample::kProtocols);
  const auto count = reader.count(query("response.status == 200"));
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(count->at("http"), 2u);
  EXPECT_EQ(reader.problems().size(), 1u);
}

TEST(RecordingReader, ABucketThatDoesNotAnswerIsAnError) {
  class Away : public store::ObjectStore {
   public:
    explicit Away(store::ObjectStore& inner, Code code) : inner_(inner), error_{code, "away"} {}
    Result<store::ObjectFacts> put(std::string_view, Bytes, const store::PutOptions&) override { return error_; }
    Result<store::ObjectFacts> put_source(std::string_view, const io::ByteSource&, const store::PutOptions&) override {
      return error_;
    }
    Result<std::string> get(std::string_view) override { return error_; }
    Result<std::string> get_range(std::string_view, uint64_t, uint64_t) override { return error_; }
    Result<store::ObjectFacts> head(std::string_view) override { return error_; }
    Result<store::ListPage> list(const store::ListOptions& options) override { return inner_.list(options); }
    Result<> remove(std::string_view) override { return error_; }
    std::string name() const override { return "away"; }

   private:
    store::ObjectStore& inner_;
    Error error_;
  };
  Bucket bucket;
  bucket.add("a", "r1", 1, {{1, 0, seconds(0)}}, {{1, 2}});
  for (const Code code : {Code::kDenied, Code::kUnavailable, Code::kTimeout}) {
    Away away(bucket.store(), code);
    RecordingReader reader(away, "");
    const auto read = reader.items(query(), [](const StoredItem&) { return true; });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, code);
  }
}

TEST(RecordingReader, AnEmptyBucketHasNothing) {
  Bucket bucket;
  RecordingReader reader(bucket.store(), "");
  EXPECT_EQ(paths(reader, query()), Paths{});
  EXPECT_EQ(packets(reader, query()), Paths{});
  EXPECT_TRUE(reader.recordings()->empty());
}

}  // namespace
}  // namespace baleen::index
