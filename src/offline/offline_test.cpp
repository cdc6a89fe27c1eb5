#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "capture/pcap_file/pcap_file.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "index/recording_reader.h"
#include "item/json.h"
#include "offline/import.h"
#include "offline/loose_blocks.h"
#include "offline/redissect.h"
#include "record/harness.h"

// Captures as recordings, and recordings dissected anew, are held against what an engine says of the captures' packets
// in one go.

namespace baleen::offline {
namespace {

namespace fs = std::filesystem;

const std::string kHttp = BALEEN_SOURCE_DIR "/examples/captures/http.pcap";

struct Kept {
  net::OwnedPacket packet;
  std::string stream;
};

constexpr item::Origin kOrigin{"10.1.1.1:30001", "node-1", "10.1.1.1"};

/// Everything that an engine says of a capture: packets with their streams' names, items as rows.
class Truth final : public dissect::EngineObserver {
 public:
  explicit Truth(const std::string& path) {
    const dissect::Selection all = dissect::select_dissectors({});
    dissect::EngineOptions options;
    options.protocols = all.protocols;
    options.l4 = all.l4;
    options.origin = &kOrigin;
    options.tell_packets = true;
    dissect::Engine engine(options, *this);
    auto source = capture::PcapFileSource::open({.path = path});
    EXPECT_TRUE(source);
    for (;;) {
      auto batch = (*source)->next_batch(std::chrono::seconds(1));
      if (!batch || batch->state() == capture::PacketBatch::State::kEnd) break;
      for (const net::Packet& packet : *batch) engine.on_packet(packet);
    }
    engine.finish();
  }
  void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override {
    char name[32];
    const size_t n = item::write_stream_name(stream.number, stream.kind, name);
    packets.push_back(
        {{packet.time, std::string(as_text(packet.bytes)), packet.wire_length, packet.link}, std::string(name, n)});
  }
  void on_item(item::ItemRef item) override { rows.push_back(index::row_from(*item)); }

  std::vector<Kept> packets;
  std::vector<index::ItemRow> rows;
};

struct Read {
  std::multiset<std::string> items;  // as JSON
  std::map<std::string, uint64_t> packets;
  std::vector<std::string> problems;
};

std::unique_ptr<store::ObjectStore> store_at(const std::string& folder) {
  fs::create_directories(folder);
  return *store::open(*store::Location::parse(folder));
}

kfl::Filter filter_of(const std::string& text) {
  kfl::Options options;
  options.protocols = dissect::cards();
  return *kfl::compile(text, options).filter;
}

Read read_back(const std::string& folder, const std::string& recording,
               std::shared_ptr<const index::KeyRing> keys = {}) {
  Read out;
  const auto store = store_at(folder);
  index::RecordingReader reader(*store, "");
  reader.set_keys(std::move(keys));
  index::ReadQuery query;
  query.filter = filter_of("");
  query.recording = recording;
  int64_t last = INT64_MIN;
  EXPECT_TRUE(reader.items(query, [&](const index::StoredItem& item) {
    EXPECT_GE(item.time_ns, last);
    last = item.time_ns;
    out.items.insert(item.json);
    return true;
  }));
  const auto records = reader.records(query);
  EXPECT_TRUE(records);
  for (const index::BlockRecord& block : *records)
    for (const index::StreamPlace& place : block.streams) out.packets[place.stream] += place.packets;
  std::string bytes;
  const auto written = reader.packets(query, [&](std::string_view piece) { bytes += piece; });
  EXPECT_TRUE(written);
  uint64_t all = 0;
  for (const auto& [stream, n] : out.packets) all += n;
  EXPECT_EQ(written->written, all) << "every stream has an item here";
  for (const Error& problem : reader.problems()) out.problems.push_back(problem.message);
  return out;
}

std::multiset<std::string> texts(const std::vector<index::ItemRow>& rows) {
  std::multiset<std::string> out;
  for (const index::ItemRow& row : rows) out.insert(row.json);
  return out;
}

/// Without what the name of the recording changes.
std::multiset<std::string> without_record(const std::multiset<std::string>& items) {
  std::multiset<std::string> out;
  for (std::string text : items) {
    const size_t at = text.find("\"record\":\"");
    EXPECT_NE(at, std::string::npos);
    text.erase(at, text.find('"', at + 10) - at + 1);
    out.insert(text);
  }
  return out;
}

TEST(Import, CapturesBecomeARecordingWithTheSameItemsAndStreams) {
  const record::ScratchFolder folder;
  const Truth truth(kHttp);
  ImportOptions options;
  options.path = kHttp;
  options.folder = folder.path();
  options.filter = filter_of("http and request.path == \"/\"");
  options.packets = true;
  options.dissectors = dissect::select_dissectors({});
  const auto imported = import_captures(options);
  ASSERT_TRUE(imported) << imported.error().message;
  const Read got = read_back(folder.path(), std::string(kImported));
  EXPECT_EQ(got.problems, std::vector<std::string>());
  std::map<std::string, uint64_t> wanted;
  std::set<std::string> streams;
  size_t items = 0;
  for (const index::ItemRow& row : truth.rows)
    if (row.protocol == "http" && row.path == "/") streams.insert(row.stream), ++items;
  for (const Kept& kept : truth.packets)
    if (streams.contains(kept.stream)) ++wanted[kept.stream];
  ASSERT_GT(items, 0u);
  EXPECT_EQ(got.items.size(), items);
  EXPECT_EQ(imported->items, items);
  EXPECT_EQ(got.packets, wanted) << "whole streams, from their first packet";
}

TEST(Import, WhatIsNoCaptureIsSaid) {
  const record::ScratchFolder folder;
  ImportOptions options;
  options.path = BALEEN_SOURCE_DIR "/README.md";
  options.folder = folder.path();
  options.filter = filter_of("");
  options.dissectors = dissect::select_dissectors({});
  const auto imported = import_captures(options);
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->packets, 0u);
  ASSERT_EQ(imported->problems.size(), 1u);
}

/// The packets of a capture as the blocks of a recording, some packets each, with hardly any items.
class Recorded : public testing::Test {
 protected:
  void record(size_t packets_of_block, const record::Encryption& encryption = {}) {
    const std::string root = folder_ / "bucket";
    record::BlockOwner owner;
    owner.recording = "old";
    owner.filter = "http";
    owner.node = "node-1";
    owner.run = "0a0b0c0d";
    std::unique_ptr<record::BlockWriter> writer;
    std::set<std::string> with_item;
    const auto close = [&] {
      if (!writer) return;
      const auto record = writer->finish({{"eth0"}}, {});
      ASSERT_TRUE(record) << record.error().message;
      ASSERT_TRUE(move_into_folder(root, writer->folder(), *record));
      writer.reset();
    };
    for (const Kept& kept : truth_.packets) {
      if (writer && writer->packets() == packets_of_block) close();
      if (!writer) {
        auto made =
            record::BlockWriter::create(folder_ / fmt::format("making-{}", owner.sequence++), owner, encryption);
        ASSERT_TRUE(made);
        writer = *std::move(made);
      }
      const net::Packet packet = kept.packet.view();
      ASSERT_TRUE(writer->add_packet(kept.stream, {packet.time, packet.bytes, packet.wire_length, 0, packet.link}));
      // The first item of each stream is what the old dissectors knew.
      for (const index::ItemRow& row : truth_.rows)
        if (row.stream == kept.stream && with_item.insert(row.stream).second) {
          ASSERT_TRUE(writer->add_row(row));
        }
    }
    close();
  }

  RedissectOptions options() {
    RedissectOptions out;
    out.recording = "old";
    out.name = "new";
    out.work = folder_ / "work";
    fs::create_directories(out.work);
    out.dissectors = dissect::select_dissectors({});
    out.filter = filter_of("");
    return out;
  }

  /// Objects below the bucket: name and content.
  std::map<std::string, std::string> objects(const std::string& recording) {
    std::map<std::string, std::string> out;
    for (const std::string& path : record::files_below(folder_ / "bucket"))
      if (path.find("recording=" + recording + "/") != std::string::npos) out[path] = record::read_whole(path);
    return out;
  }

  record::ScratchFolder folder_;
  Truth truth_{kHttp};
};

TEST_F(Recorded, StreamsAreFollowedOverBlocks) {
  for (const size_t packets_of_block : {1000, 20, 7, 1}) {
    fs::remove_all(folder_ / "bucket");
    record(packets_of_block);
    const auto before = objects("old");
    const auto store = store_at(folder_ / "bucket");
    const auto done = redissect(*store, *store, options());
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->problems.size(), 0u);
    EXPECT_EQ(done->packets, truth_.packets.size());
    EXPECT_EQ(done->blocks, (truth_.packets.size() + packets_of_block - 1) / packets_of_block);
    EXPECT_EQ(done->items, truth_.rows.size());
    const Read got = read_back(folder_ / "bucket", "new");
    EXPECT_EQ(without_record(got.items), without_record(texts(truth_.rows))) << packets_of_block;
    EXPECT_EQ(objects("old"), before) << "the old one is only read";
    for (const auto& [path, content] : objects("new")) EXPECT_EQ(path.find("/packets/"), std::string::npos) << path;
  }
}

TEST_F(Recorded, ThePatternOfTheRecordingSelects) {
  record(20);
  const auto store = store_at(folder_ / "bucket");
  RedissectOptions o = options();
  o.filter.reset();
  o.compile = [](const std::string& pattern) {
    EXPECT_EQ(pattern, "http");
    return std::optional(filter_of(pattern));
  };
  ASSERT_TRUE(redissect(*store, *store, o));
  const auto http =
      std::count_if(truth_.rows.begin(), truth_.rows.end(), [](const auto& r) { return r.protocol == "http"; });
  index::RecordingReader reader(*store, "");
  index::ReadQuery query;
  query.filter = filter_of("");
  query.recording = "new";
  const auto counts = reader.count(query);
  ASSERT_TRUE(counts);
  EXPECT_EQ(*counts, (std::map<std::string, uint64_t>{{"http", static_cast<uint64_t>(http)}}));
}

TEST_F(Recorded, ANameIsTakenOnce) {
  record(1000);
  const auto store = store_at(folder_ / "bucket");
  ASSERT_TRUE(redissect(*store, *store, options()));
  const auto again = redissect(*store, *store, options());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  RedissectOptions absent = options();
  absent.recording = "none";
  absent.name = "other";
  EXPECT_EQ(redissect(*store, *store, absent).error().code, Code::kNotFound);
}

TEST_F(Recorded, AnotherPlaceGetsThePacketsToo) {
  record(20);
  const auto store = store_at(folder_ / "bucket"), other = store_at(folder_ / "other");
  RedissectOptions o = options();
  o.copy_packets = true;
  o.to_prefix = "deep/";
  ASSERT_TRUE(redissect(*store, *other, o));
  fs::remove_all(folder_ / "bucket");
  const Read got = read_back(folder_ / "other/deep", "new");
  EXPECT_EQ(without_record(got.items), without_record(texts(truth_.rows)));
  EXPECT_EQ(got.problems, std::vector<std::string>());
}

TEST_F(Recorded, WhatIsEncryptedStaysSo) {
  auto keys = std::make_shared<index::KeyRing>();
  ASSERT_TRUE(keys->add_text("mine:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "test"));
  for (const bool items : {true, false}) {
    fs::remove_all(folder_ / "bucket");
    fs::remove_all(folder_ / "work");
    record(20, {keys, items});
    const auto store = store_at(folder_ / "bucket");
    EXPECT_EQ(redissect(*store, *store, options()).error().code, Code::kDenied);
    fs::remove_all(folder_ / "work");
    RedissectOptions o = options();
    o.keys = keys;
    const auto done = redissect(*store, *store, o);
    ASSERT_TRUE(done) << done.error().message;
    const Read got = read_back(folder_ / "bucket", "new", keys);
    EXPECT_EQ(without_record(got.items), without_record(texts(truth_.rows)));
    bool seen = false;
    for (const auto& [path, content] : objects("new"))
      if (path.ends_with(".parquet")) seen = seen || content.starts_with("PAR1");
    EXPECT_EQ(seen, !items) << "items are encrypted when they were";
  }
}

TEST_F(Recorded, ADamagedBlockSpoilsNoOther) {
  record(20);
  const auto packets = record::files_below(folder_ / "bucket", ".pcapng");
  ASSERT_GT(packets.size(), 2u);
  fs::remove(packets[1]);
  const auto store = store_at(folder_ / "bucket");
  const auto done = redissect(*store, *store, options());
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->problems.size(), 1u);
  EXPECT_EQ(done->blocks, packets.size());
  EXPECT_GT(done->items, 0u);
}

}  // namespace
}  // namespace baleen::offline
