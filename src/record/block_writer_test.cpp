#include "record/block_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/crc32c.h"
#include "codec/pcap/reader.h"
#include "index/parquet.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kStreams = 3, kPackets = 12, kItems = 6;

BlockOwner owner() { return {"shop", "http", "file:///nowhere", "node-1", "cluster-1", "0a1b2c3d", 7}; }

/// A packet of one of the streams; the streams take turns.
PacketName packet_at(uint64_t n) { return {n % kStreams + 1, n}; }

Result<> add_packet(BlockWriter& block, uint64_t n, size_t size = 20) {
  const PacketName name = packet_at(n);
  const net::OwnedPacket packet = named_packet(name, size + n % 5);
  return block.add_packet(stream_file(name.stream), recorded(packet, n % 2));
}

Result<> add_item(BlockWriter& block, item::ItemPool& pool, uint64_t n) {
  return block.add_item(*http_item(pool, n % kStreams + 1, n));
}

/// What finish() has left in a folder, against the first packets and items of the numbering above.
void expect_block(const std::string& folder, const index::BlockRecord& record, uint64_t packets, uint64_t items) {
  EXPECT_EQ(record.packets, packets);
  EXPECT_EQ(record.items, items);
  const auto written = index::BlockRecord::from_json(read_whole(folder + "/block.json"));
  ASSERT_TRUE(written);
  EXPECT_EQ(written->to_json(), record.to_json());
  EXPECT_EQ(files_below(folder, ".journal").size(), fs::exists(folder + "/packets.order") ? 1u : 0u);
  EXPECT_TRUE(files_below(folder, ".part").empty());

  const std::string pcapng = packets_of(folder);
  EXPECT_EQ(record.packets_object.size, pcapng.size());
  EXPECT_EQ(record.packets_object.crc32c, crc32c(as_bytes(pcapng)));
  std::vector<PacketName> expected, found;
  for (uint64_t n = 0; n < packets; ++n) expected.push_back(packet_at(n));
  std::stable_sort(expected.begin(), expected.end());
  for (const PacketRead& packet : read_pcapng(pcapng)) {
    found.push_back(name_of(packet.bytes));
    EXPECT_EQ(packet.bytes, named_packet(found.back(), 20 + found.back().number % 5).bytes);
    EXPECT_EQ(packet.time, named_packet(found.back()).time);
  }
  std::stable_sort(found.begin(), found.end());
  EXPECT_EQ(found, expected);
  uint64_t at = record.header_length;
  for (const index::StreamPlace& place : record.streams) {
    EXPECT_EQ(place.offset, at);
    at += place.length;
    const auto alone = read_pcapng(pcapng.substr(0, record.header_length) + pcapng.substr(place.offset, place.length));
    EXPECT_EQ(alone.size(), place.packets);
    for (const PacketRead& packet : alone) EXPECT_EQ(stream_file(name_of(packet.bytes).stream), place.stream);
  }
  // Behind the packets: names (4) and statistics (5), whose blocks begin with type and length.
  while (at + 8 <= pcapng.size()) {
    EXPECT_TRUE(load_le32(as_bytes(pcapng).data() + at) == 4 || load_le32(as_bytes(pcapng).data() + at) == 5);
    at += load_le32(as_bytes(pcapng).data() + at + 4);
  }
  EXPECT_EQ(at, pcapng.size());

  const std::string parquet = read_whole(folder + "/items.parquet");
  EXPECT_EQ(record.items_object.size, parquet.size());
  EXPECT_EQ(record.items_object.crc32c, crc32c(as_bytes(parquet)));
  std::vector<std::string> paths;
  index::ParquetQuery query;
  query.files = {folder + "/items.parquet"};
  const auto read = index::read_parquet(query, [&](const index::StoredItem& item) {
    paths.push_back(path_of(item.json));
    return true;
  });
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(paths.size(), items);
  for (uint64_t n = 0; n < items; ++n)
    EXPECT_EQ(paths[n], "/s/" + std::to_string(n % kStreams + 1) + "/" + std::to_string(n));
}

/// The ends of a journal's records, the beginning included.
struct RecordEnd {
  size_t at;
  bool counts;  // as a packet, or as an item
};

std::vector<RecordEnd> packet_record_ends(const std::string& journal) {
  std::vector<RecordEnd> ends = {{0, false}, {kPacketsMagic.size(), false}};
  JournalRecord record;
  for (uint64_t at = kPacketsMagic.size(); next_record(as_bytes(journal), at, record);)
    ends.push_back({at, record.number < kStreamName});
  EXPECT_EQ(ends.back().at, journal.size());
  return ends;
}

std::vector<RecordEnd> item_record_ends(const std::string& journal) {
  std::vector<RecordEnd> ends = {{0, false}};
  while (ends.back().at < journal.size())
    ends.push_back({ends.back().at + 4 + load_le32(as_bytes(journal).data() + ends.back().at), true});
  return ends;
}

/// How many of those that count lie whole before `cut`, and where the last whole record ends.
std::pair<uint64_t, size_t> whole_before(const std::vector<RecordEnd>& ends, size_t cut) {
  std::pair<uint64_t, size_t> out;
  for (const RecordEnd& end : ends)
    if (end.at <= cut) out = {out.first + end.counts, end.at};
  return out;
}

/// Where the n-th that counts ends; of none, the begin.
size_t end_of(const std::vector<RecordEnd>& ends, uint64_t n) {
  for (const RecordEnd& end : ends)
    if (n == 0 || (end.counts && --n == 0)) return end.at;
  return ends.back().at;
}

class BlockWriterTest : public testing::TestWithParam<PacketsAs> {
 protected:
  /// An open block's folder as a killed process leaves it.
  void write_block() {
    auto block = BlockWriter::create(folder_ / "whole", owner());
    ASSERT_TRUE(block) << block.error().message;
    for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
    for (uint64_t n = 0; n < kItems; ++n) ASSERT_TRUE(add_item(**block, pool_, n));
    ASSERT_TRUE((*block)->sync());
    owner_json_ = read_whole(folder_ / "whole/owner.json");
    packets_ = read_whole(folder_ / "whole/packets.journal");
    items_ = read_whole(folder_ / "whole/items.journal");
  }

  /// The same with other journals.
  std::string folder_with(std::string_view packets, std::string_view items) {
    const std::string folder = folder_ / "cut";
    fs::remove_all(folder);  // not written over: file systems wait for the disk then
    fs::create_directories(folder);
    write_whole(folder + "/owner.json", owner_json_);
    write_whole(folder + "/packets.journal", packets);
    write_whole(folder + "/items.journal", items);
    return folder;
  }

  ScratchFolder folder_;
  item::ItemPool pool_;
  std::string owner_json_, packets_, items_;
};

/// What a packets file says beside its packets.
struct Labels {
  std::map<std::string, std::string> names;     // by address
  std::map<std::string, std::string> comments;  // by what the packet's bytes say of its stream
  std::vector<codec::pcap::InterfaceStatistics> statistics;
};

Labels labels_of(const std::string& pcapng) {
  Labels out;
  codec::pcap::Reader reader;
  std::vector<codec::pcap::PacketRecord> records(64);
  Bytes window = as_bytes(pcapng);
  for (bool more = true; more;) {
    const auto step = reader.read(window, records);
    for (size_t i = 0; i < step.packets; ++i)
      if (!records[i].comment.empty()) {
        EXPECT_TRUE(out.comments
                        .emplace(stream_file(name_of(std::string(as_text(records[i].bytes))).stream),
                                 std::string(records[i].comment))
                        .second)
            << "one comment for a stream";
      }
    if (step.kind == codec::pcap::Reader::Kind::kNames)
      reader.read_names(step.body, [&](const codec::pcap::Name& name) {
        out.names.emplace(std::string(as_text(name.address)), std::string(name.name));
      });
    window = window.subspan(step.consumed);
    EXPECT_NE(step.kind, codec::pcap::Reader::Kind::kFailed);
    more = step.kind != codec::pcap::Reader::Kind::kNeed && step.kind != codec::pcap::Reader::Kind::kFailed;
  }
  for (const codec::pcap::Interface& interface : reader.interfaces()) out.statistics.push_back(interface.statistics);
  return out;
}

/// A row as a cluster's item has it.
index::ItemRow cluster_row(item::ItemPool& pool, uint64_t stream, uint64_t n) {
  index::ItemRow row = index::row_from(*http_item(pool, stream, n));
  row.src_ip = "10.0.0.1";
  row.src_name = row.src_pod = "cart-7f9";
  row.src_namespace = "shop";
  row.dst_ip = "fd00::2";
  row.dst_name = row.dst_service = "redis";
  row.dst_namespace = "data";
  return row;
}

TEST_P(BlockWriterTest, APacketsFileNamesTheEndsOfItsStreams) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
  ASSERT_TRUE((*block)->add_row(cluster_row(pool_, 2, 0)));
  index::ItemRow early = cluster_row(pool_, 3, 2);  // before anybody knew who that is
  early.src_name = early.src_pod = early.src_namespace = early.dst_name = early.dst_service = early.dst_namespace = "";
  ASSERT_TRUE((*block)->add_row(early));
  ASSERT_TRUE((*block)->add_row(cluster_row(pool_, 3, 3)));
  index::ItemRow nameless = index::row_from(*http_item(pool_, 1, 1));
  nameless.src_name = "a\nb";
  nameless.dst_name = nameless.dst_ip;
  ASSERT_TRUE((*block)->add_row(nameless));
  // A crash in between: what it says comes from the journal then.
  ASSERT_TRUE((*block)->sync());
  *block = nullptr;
  block = BlockWriter::recover(folder_ / "b");
  ASSERT_TRUE(block);
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  const Labels labels = labels_of(packets_of(folder_ / "b"));
  EXPECT_EQ(labels.names,
            (std::map<std::string, std::string>{{std::string("\x0A\0\0\x01", 4), "cart-7f9"},
                                                {std::string("\xFD\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16), "redis"}}));
  EXPECT_EQ(labels.comments,
            (std::map<std::string, std::string>{{stream_file(1), "shop/frontend-1 -> " + nameless.dst_ip},
                                                {stream_file(2), "shop/cart-7f9 -> data/redis"},
                                                {stream_file(3), "shop/cart-7f9 -> data/redis"}}));
}

/// What a program prints, or nothing when it is not there.
std::string said_by(const std::string& command) {
  std::string out;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>/dev/null").c_str(), "r"), &::pclose);
  char buffer[4096];
  for (size_t n = 0; pipe && (n = std::fread(buffer, 1, sizeof buffer, pipe.get())) > 0;) out.append(buffer, n);
  return out;
}

TEST_P(BlockWriterTest, OtherToolsShowTheNamesAndComments) {
  if (said_by("tshark --version").empty()) GTEST_SKIP() << "tshark is not installed";
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
  ASSERT_TRUE((*block)->add_row(cluster_row(pool_, 2, 0)));
  (*block)->set_capture(1000, 7);
  ASSERT_TRUE((*block)->finish({{"eth0"}, {"eth1"}}, {}, GetParam()));
  write_whole(folder_ / "b.pcapng", packets_of(folder_ / "b"));
  const std::string file = folder_ / "b.pcapng";
  EXPECT_EQ(said_by("tshark -r " + file + " -Y frame.comment -T fields -e frame.comment"),
            "shop/cart-7f9 -> data/redis\n");
  const std::string hosts = said_by("tshark -r " + file + " -q -z hosts");
  EXPECT_NE(hosts.find("10.0.0.1\tcart-7f9"), std::string::npos) << hosts;
  const std::string packets = said_by("tshark -r " + file + " -T fields -e frame.interface_name");
  EXPECT_EQ(static_cast<uint64_t>(std::count(packets.begin(), packets.end(), '\n')), kPackets);
  EXPECT_NE(packets.find("eth1"), std::string::npos);
}

TEST_P(BlockWriterTest, APacketsFileSaysWhatTheCaptureLost) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));  // of two interfaces by turns
  (*block)->set_capture(1000, 7);
  ASSERT_TRUE((*block)->finish({}, {}, GetParam()));
  const auto statistics = labels_of(packets_of(folder_ / "b")).statistics;
  ASSERT_EQ(statistics.size(), 2u);
  EXPECT_EQ(statistics[0].received, 1007u);
  EXPECT_EQ(statistics[0].os_dropped, 7u);
  EXPECT_EQ(statistics[1].os_dropped, codec::pcap::kNotCounted) << "all of them are counted together";
  EXPECT_EQ(statistics[0].delivered + statistics[1].delivered, kPackets);
}

TEST_P(BlockWriterTest, NamesBeyondTheirLimitAreLeftOut) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  index::ItemRow row = cluster_row(pool_, 1, 0);
  for (uint64_t n = 0; (*block)->label_bytes() < PacketLabels::kMostBytes - 400 && n < 20'000; ++n) {
    row.stream = stream_file(n + 1);
    row.src_pod = std::string(200, 'p') + std::to_string(n);
    ASSERT_TRUE((*block)->add_row(row));
  }
  const size_t full = (*block)->label_bytes();
  EXPECT_GT(full, PacketLabels::kMostBytes / 2);
  row.stream = "another";
  row.src_pod = std::string(500, 'p');
  ASSERT_TRUE((*block)->add_row(row));
  EXPECT_EQ((*block)->label_bytes(), full);
}

TEST_P(BlockWriterTest, WhatIsFinishedReadsBack) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  EXPECT_TRUE((*block)->empty());
  for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
  for (uint64_t n = kItems; n-- > 0;) ASSERT_TRUE(add_item(**block, pool_, n)) << "the order of arrival is any";
  EXPECT_FALSE(BlockWriter::is_finished(folder_ / "b"));
  index::LossLedger ledger;
  ledger.items_seen = ledger.items_stored = kItems;
  const auto record = (*block)->finish({{"eth0"}, {"eth1"}}, ledger);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_TRUE(BlockWriter::is_finished(folder_ / "b"));
  expect_block(folder_ / "b", *record, kPackets, kItems);
  EXPECT_EQ(record->ledger, ledger);
  EXPECT_EQ(record->recording, "shop");
  EXPECT_EQ(record->filter, "http");
  EXPECT_EQ(record->node, "node-1");
  EXPECT_EQ(record->cluster, "cluster-1");
  EXPECT_EQ(record->first, named_packet(packet_at(0)).time);
  EXPECT_EQ(record->last, named_packet(packet_at(kPackets - 1)).time);
  EXPECT_EQ(record->items_by_protocol, (std::map<std::string, uint64_t>{{"http", kItems}}));
  EXPECT_EQ(record->namespaces, std::set<std::string>{"shop"});
  EXPECT_EQ(record->pods, std::set<std::string>{"frontend-1"});
  EXPECT_EQ(record->status_classes, std::set<std::string>{"2xx"});
  EXPECT_EQ(record->streams.size(), kStreams);
  EXPECT_TRUE(record->zone_map_complete);
  for (const PacketRead& packet : read_pcapng(packets_of(folder_ / "b")))
    EXPECT_EQ(packet.interface, name_of(packet.bytes).number % 2 == 0 ? "eth0" : "eth1");
}

TEST_P(BlockWriterTest, PacketsWithoutItemsAndItemsWithoutPackets) {
  for (const bool packets : {true, false}) {
    const std::string folder = folder_ / (packets ? "p" : "i");
    auto block = BlockWriter::create(folder, owner());
    ASSERT_TRUE(block);
    ASSERT_TRUE(packets ? add_packet(**block, 0) : add_item(**block, pool_, 0));
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record) << record.error().message;
    expect_block(folder, *record, packets ? 1 : 0, packets ? 0 : 1);
  }
}

TEST_P(BlockWriterTest, APacketIsKeptAsItWasCaptured) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  net::OwnedPacket cut = named_packet({1, 0}), raw = named_packet({1, 1}), empty = named_packet({1, 2});
  cut.wire_length = 9000;
  raw.link = net::LinkType::kRaw;
  empty.bytes.clear();
  for (const net::OwnedPacket* packet : {&cut, &raw, &empty})
    ASSERT_TRUE((*block)->add_packet(stream_file(1), recorded(*packet, 3)));
  const auto record = (*block)->finish({{"eth0"}}, {});
  ASSERT_TRUE(record) << record.error().message;
  const auto read = read_pcapng(packets_of(folder_ / "b"));
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].wire_length, 9000u);
  EXPECT_EQ(read[0].bytes, cut.bytes);
  EXPECT_EQ(read[0].interface, "if3") << "an interface that nobody named";
  EXPECT_EQ(read[1].link, 101);
  EXPECT_EQ(read[1].bytes, raw.bytes);
  EXPECT_EQ(read[2].bytes, "");
}

TEST_P(BlockWriterTest, JournalsCutAtEveryByte) {
  write_block();
  const auto packet_ends = packet_record_ends(packets_), item_ends = item_record_ends(items_);
  ASSERT_EQ(whole_before(packet_ends, packets_.size()).first, kPackets);
  ASSERT_EQ(whole_before(item_ends, items_.size()).first, kItems);
  for (size_t cut = 0; cut <= packets_.size(); ++cut) {
    const auto block = BlockWriter::recover(folder_with(packets_.substr(0, cut), items_));
    ASSERT_TRUE(block) << cut;
    const auto [packets, end] = whole_before(packet_ends, cut);
    ASSERT_EQ((*block)->packets(), packets) << cut;
    ASSERT_EQ((*block)->items(), kItems);
    ASSERT_EQ(fs::file_size(folder_ / "cut/packets.journal"), end) << cut;
  }
  for (size_t cut = 0; cut <= items_.size(); ++cut) {
    const auto block = BlockWriter::recover(folder_with(packets_, items_.substr(0, cut)));
    ASSERT_TRUE(block) << cut;
    const auto [items, end] = whole_before(item_ends, cut);
    ASSERT_EQ((*block)->items(), items) << cut;
    ASSERT_EQ((*block)->packets(), kPackets);
    ASSERT_EQ(fs::file_size(folder_ / "cut/items.journal"), end);
  }
}

TEST_P(BlockWriterTest, WhatIsRecoveredIsFinishedWithTheRightCounts) {
  write_block();
  const auto packet_ends = packet_record_ends(packets_), item_ends = item_record_ends(items_);
  for (uint64_t n = 0; n <= kPackets; n += 3) {
    for (const size_t cut : {end_of(packet_ends, n), end_of(packet_ends, n) + 1, end_of(packet_ends, n) + 27}) {
      const uint64_t items = n % (kItems + 1);
      const std::string folder = folder_with(packets_.substr(0, cut), items_.substr(0, end_of(item_ends, items) + 5));
      auto block = BlockWriter::recover(folder);
      ASSERT_TRUE(block);
      if ((*block)->empty()) continue;
      const auto record = (*block)->finish({}, {}, GetParam());
      ASSERT_TRUE(record) << record.error().message;
      expect_block(folder, *record, n, items);
      EXPECT_EQ(record->run, owner().run);
      EXPECT_EQ(record->block.substr(record->block.size() - 6), "000007") << "the name was decided before the crash";
    }
  }
}

TEST_P(BlockWriterTest, TailsThatAPowerCutLeavesAreCutOff) {
  write_block();
  for (const std::string& tail : {std::string(1, '\0'), std::string(4096, '\0'), std::string(100, '\xff'),
                                  std::string("\x1c\0\0\0", 4), std::string("\x08\0\0\0xxxxxxxx", 12)}) {
    const std::string folder = folder_with(packets_ + tail, items_ + tail);
    auto block = BlockWriter::recover(folder);
    ASSERT_TRUE(block);
    EXPECT_EQ((*block)->packets(), kPackets);
    EXPECT_EQ((*block)->items(), kItems);
    EXPECT_EQ(fs::file_size(folder + "/packets.journal"), packets_.size());
    EXPECT_EQ(fs::file_size(folder + "/items.journal"), items_.size());
  }
}

/// A disk, or a loss of power, that has left a piece empty: its packet is none, and those behind it are still there.
TEST_P(BlockWriterTest, ADamagedPacketIsLeftOutOfTheJournalAndCounted) {
  write_block();
  const auto ends = packet_record_ends(packets_);
  std::string torn = packets_;
  torn.replace(end_of(ends, 3) + kRecordHead + 40, 8, 8, '\0');
  auto block = BlockWriter::recover(folder_with(torn, items_));
  ASSERT_TRUE(block);
  EXPECT_EQ((*block)->packets(), kPackets - 1) << "a packet that is not what was written is none";
  EXPECT_EQ((*block)->damaged_packets(), 1u);
  const index::LossLedger ledger = (*block)->ledger_of_recovered();
  EXPECT_TRUE(ledger.balances());
  EXPECT_EQ(ledger.packets_failed, 1u);
  const auto record = (*block)->finish({}, ledger, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->packets, kPackets - 1);
  // The last one: nothing whole follows, as after any crash.
  std::string last = packets_;
  last.replace(end_of(ends, kPackets - 1) + kRecordHead + 40, 8, 8, '\0');
  block = BlockWriter::recover(folder_with(last, items_));
  ASSERT_TRUE(block);
  EXPECT_EQ((*block)->packets(), kPackets - 1);
  EXPECT_EQ((*block)->damaged_packets(), 0u);
}

/// A journal of the first version, whose records had no sums.
std::string old_record(const std::string& stream, const RecordedPacket& packet, bool secrets = false) {
  std::string out;
  put(out, static_cast<uint32_t>(24 + stream.size() + packet.bytes.size()));
  put(out, to_ns(packet.time));
  put(out, packet.wire_length);
  put(out, packet.interface);
  put(out, static_cast<uint16_t>(secrets ? 0xFFFF : static_cast<uint16_t>(packet.link)));
  put(out, static_cast<uint16_t>(stream.size()));
  return out + stream + std::string(as_text(packet.bytes));
}

TEST_P(BlockWriterTest, AJournalOfTheFirstVersionIsTakenUp) {
  write_block();
  const std::string lines = "CLIENT_RANDOM 72 01\n";
  RecordedPacket secrets;
  secrets.bytes = as_bytes(lines);
  std::string old = old_record({}, secrets, true);
  for (uint64_t n = 0; n < kPackets; ++n) {
    const PacketName name = packet_at(n);
    const net::OwnedPacket packet = named_packet(name, 20 + name.number % 5);
    old += old_record(stream_file(name.stream), recorded(packet));
  }
  const std::string folder = folder_with(old + old.substr(0, 30), items_);
  for (const bool again : {false, true}) {
    auto block = BlockWriter::recover(folder);
    ASSERT_TRUE(block) << block.error().message;
    EXPECT_EQ((*block)->packets(), kPackets);
    EXPECT_TRUE(read_whole(folder + "/packets.journal").starts_with(kPacketsMagic));
    if (!again) continue;  // the process dies once more
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record) << record.error().message;
    expect_block(folder, *record, kPackets, kItems);
    EXPECT_LT(packets_of(folder).find(lines), record->header_length);
  }
}

/// While it lives, this process's descriptors of a file are those of a pipe, which cannot be synced.
class Unsyncable {
 public:
  explicit Unsyncable(const std::string& file) {
    int pipe[2];
    EXPECT_EQ(::pipe(pipe), 0);
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry, gone) != file) continue;
      const int fd = std::stoi(entry.path().filename());
      saved_.emplace_back(fd, ::dup(fd));
      EXPECT_EQ(::dup2(pipe[1], fd), fd);
    }
    ::close(pipe[0]);
    ::close(pipe[1]);
    EXPECT_FALSE(saved_.empty());
  }
  ~Unsyncable() {
    for (const auto& [fd, saved] : saved_) {
      ::dup2(saved, fd);
      ::close(saved);
    }
  }

 private:
  std::vector<std::pair<int, int>> saved_;
};

TEST_P(BlockWriterTest, AJournalThatCouldNotBeSyncedOnceIsNotTrusted) {
  for (const bool by_another_thread : {false, true}) {
    const std::string folder = folder_ / (by_another_thread ? "a" : "b");
    auto block = BlockWriter::create(folder, owner());
    ASSERT_TRUE(block);
    for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
    ASSERT_TRUE((*block)->flush());
    {
      const Unsyncable journal(folder + "/packets.journal");
      EXPECT_FALSE(by_another_thread ? (*block)->syncer()->sync() : (*block)->sync());
    }
    ASSERT_TRUE((*block)->sync()) << "which says nothing of what failed before";
    write_whole(folder + "/packets.order", "of an earlier try");
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record) << record.error().message;
    expect_block(folder, *record, kPackets, 0);
    EXPECT_TRUE(fs::exists(folder + "/packets.pcapng"));
    EXPECT_FALSE(fs::exists(folder + "/packets.order"));
  }
}

TEST_P(BlockWriterTest, ARecoveredBlockIsWrittenOn) {
  write_block();
  const auto packet_ends = packet_record_ends(packets_), item_ends = item_record_ends(items_);
  const std::string folder =
      folder_with(packets_.substr(0, end_of(packet_ends, 5) + 9), items_.substr(0, end_of(item_ends, 2) + 1));
  auto block = BlockWriter::recover(folder);
  ASSERT_TRUE(block);
  for (uint64_t n = 5; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
  for (uint64_t n = 2; n < kItems; ++n) ASSERT_TRUE(add_item(**block, pool_, n));
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  expect_block(folder, *record, kPackets, kItems);
}

TEST_P(BlockWriterTest, RecoveringTwiceMakesTheSameBlock) {
  write_block();
  std::string names[2], objects[2];
  for (int turn = 0; turn < 2; ++turn) {
    const std::string folder = folder_with(packets_, items_);
    auto block = BlockWriter::recover(folder);
    ASSERT_TRUE(block);
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record);
    names[turn] = record->block;
    objects[turn] = packets_of(folder) + read_whole(folder + "/items.parquet");
  }
  EXPECT_EQ(names[0], names[1]);
  EXPECT_EQ(objects[0], objects[1]) << "what is uploaded twice must be the same bytes";
}

TEST_P(BlockWriterTest, DamagedOwnersAreErrors) {
  write_block();
  const auto recover_with = [&](std::string_view text) {
    const std::string folder = folder_with(packets_, items_);
    write_whole(folder + "/owner.json", text);
    return BlockWriter::recover(folder);
  };
  for (size_t cut = 0; cut < owner_json_.size(); ++cut) {
    const auto block = recover_with(owner_json_.substr(0, cut));
    ASSERT_FALSE(block) << cut;
    EXPECT_EQ(block.error().code, Code::kInvalid);
    EXPECT_NE(block.error().message.find("owner.json"), std::string::npos) << block.error().message;
  }
  for (size_t at = 0; at < owner_json_.size(); ++at)
    for (const char c : {'\0', '"', '{', '9', '\xff'}) {
      std::string text = owner_json_;
      text[at] = c;
      (void)recover_with(text);  // an answer, whichever
    }
  for (const char* text :
       {"[]", "null", "7", R"({"recording":1})", R"({"recording":"a","filter":{},"destination":"x"})"})
    EXPECT_FALSE(recover_with(text)) << text;
  const std::string folder = folder_with(packets_, items_);
  fs::remove(folder + "/owner.json");
  const auto block = BlockWriter::recover(folder);
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, Code::kNotFound);
  EXPECT_EQ(fs::file_size(folder + "/packets.journal"), packets_.size()) << "nobody's journals are left alone";
}

TEST_P(BlockWriterTest, AFullDiskTearsNothingAndIsTriedAgain) {
  write_block();
  for (size_t limit = 0; limit < packets_.size(); limit += 61) {
    const std::string folder = folder_ / ("full" + std::to_string(limit));
    auto block = BlockWriter::create(folder, owner());
    ASSERT_TRUE(block);
    for (uint64_t n = 0; n < 4; ++n) ASSERT_TRUE(add_packet(**block, n));
    for (uint64_t n = 0; n < 2; ++n) ASSERT_TRUE(add_item(**block, pool_, n));
    {
      const FileSizeLimit full(limit);
      for (int turn = 0; turn < 3; ++turn) {
        const auto synced = (*block)->sync();
        EXPECT_FALSE(synced);
        for (uint64_t n = 4; turn == 0 && n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
      }
    }
    // A process that dies now loses nothing that lies whole in the journals.
    const std::string copy = folder_ / "copy";
    fs::remove_all(copy);
    fs::copy(folder, copy);
    const auto survivor = BlockWriter::recover(copy);
    ASSERT_TRUE(survivor);
    EXPECT_TRUE((*survivor)->packets() == 0 || (*survivor)->packets() == 4 || (*survivor)->packets() == kPackets);
    EXPECT_EQ(fs::file_size(copy + "/packets.journal"), fs::file_size(folder + "/packets.journal")) << "a torn tail";

    for (uint64_t n = 2; n < kItems; ++n) ASSERT_TRUE(add_item(**block, pool_, n));
    ASSERT_TRUE((*block)->sync());
    if (limit % 4 == 0) {
      const auto record = (*block)->finish({}, {}, GetParam());
      ASSERT_TRUE(record) << record.error().message;
      expect_block(folder, *record, kPackets, kItems);
    } else {
      EXPECT_EQ(read_whole(folder + "/packets.journal"), packets_);
      EXPECT_EQ(read_whole(folder + "/items.journal"), items_);
    }
  }
}

TEST_P(BlockWriterTest, FinishingOnAFullDiskIsTriedAgain) {
  const std::string folder = folder_ / "b";
  auto block = BlockWriter::create(folder, owner());
  ASSERT_TRUE(block);
  for (uint64_t n = 0; n < kPackets; ++n) ASSERT_TRUE(add_packet(**block, n));
  for (uint64_t n = 0; n < kItems; ++n) ASSERT_TRUE(add_item(**block, pool_, n));
  ASSERT_TRUE((*block)->sync());
  for (const uint64_t limit : {0, 100, 1000, 2000, 5000}) {
    const FileSizeLimit full(limit);
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_FALSE(record) << limit;
    EXPECT_FALSE(BlockWriter::is_finished(folder));
    EXPECT_EQ(files_below(folder, ".journal").size(), 2u);
    if (fs::exists(folder + "/packets.pcapng")) {
      EXPECT_EQ(read_pcapng(read_whole(folder + "/packets.pcapng")).size(), kPackets) << "whole, or not at all";
    }
  }
  // A process that takes up what the failed one has left, and the failed one itself, both finish it.
  fs::copy(folder, folder_ / "taken-up");
  for (const bool again : {false, true}) {
    const std::string at = again ? folder_ / "taken-up" : folder;
    if (again) {
      auto recovered = BlockWriter::recover(at);
      ASSERT_TRUE(recovered);
      block = std::move(recovered);
    }
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record) << record.error().message;
    expect_block(at, *record, kPackets, kItems);
  }
}

TEST_P(BlockWriterTest, BuffersThatFillUpAreWrittenAsTheyCome) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  constexpr uint64_t kMany = 3000;
  for (uint64_t n = 0; n < kMany; ++n) ASSERT_TRUE(add_packet(**block, n, 1000));
  EXPECT_GT(fs::file_size(folder_ / "b/packets.journal"), uint64_t{2} << 20) << "before anybody asks for it";
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->packets, kMany);
  EXPECT_EQ(read_pcapng(packets_of(folder_ / "b")).size(), kMany);
}

TEST_P(BlockWriterTest, MemoryHasALimitWhileTheDiskTakesNothing) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  uint64_t added = 0, refused = 0, items = 0, refused_items = 0;
  {
    const FileSizeLimit full(0);
    for (uint64_t n = 0; n < 12'000; ++n) {
      if (add_packet(**block, added, 1000)) {
        EXPECT_EQ(refused, 0u) << "what is refused stays refused until there is room";
        ++added;
      } else {
        ++refused;
      }
      if (n % 2 == 0) ++(add_item(**block, pool_, items) ? items : refused_items);
      if (n % 1000 == 0) {
        EXPECT_FALSE((*block)->flush());
      }
    }
    EXPECT_GT(refused, 0u);
    EXPECT_LT(added * 1000, uint64_t{16} << 20);
    EXPECT_EQ((*block)->packets(), added) << "what is refused is not counted";
    EXPECT_EQ((*block)->items(), items);
  }
  ASSERT_TRUE((*block)->flush());
  ASSERT_TRUE(add_packet(**block, added++, 1000)) << "there is room again";
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->packets, added);
  EXPECT_EQ(record->items, items);
  EXPECT_EQ(read_pcapng(packets_of(folder_ / "b")).size(), added);
}

TEST_P(BlockWriterTest, OneJournalWithoutTheOtherIsTakenUp) {
  write_block();
  for (const char* missing : {"packets.journal", "items.journal"}) {
    const std::string folder = folder_with(packets_, items_);
    fs::remove(folder + "/" + missing);
    auto block = BlockWriter::recover(folder);
    ASSERT_TRUE(block) << block.error().message;
    const bool packets = std::string_view(missing) != "packets.journal";
    const auto record = (*block)->finish({}, {}, GetParam());
    ASSERT_TRUE(record) << record.error().message;
    expect_block(folder, *record, packets ? kPackets : 0, packets ? 0 : kItems);
  }
}

TEST_P(BlockWriterTest, SecretsStandBeforeThePacketsAlsoAfterACrash) {
  const std::string random(32, 'r'), other(32, 'o');
  const std::string lines = "CLIENT_RANDOM 72 01\nSERVER_TRAFFIC_SECRET_0 72 02\n", more = "CLIENT_RANDOM 6f 03\n";
  {
    auto block = BlockWriter::create(folder_ / "b", owner());
    ASSERT_TRUE(block);
    ASSERT_TRUE(add_packet(**block, 0));
    ASSERT_TRUE((*block)->add_secrets(as_bytes(random), lines));
    EXPECT_TRUE((*block)->has_secrets(as_bytes(random)));
    EXPECT_FALSE((*block)->has_secrets(as_bytes(other)));
    ASSERT_TRUE(add_packet(**block, 1));
    ASSERT_TRUE((*block)->add_secrets(as_bytes(other), more));
    EXPECT_EQ((*block)->packets(), 2u) << "secrets are no packets";
    ASSERT_TRUE((*block)->flush());
  }  // and the process dies
  auto block = BlockWriter::recover(folder_ / "b");
  ASSERT_TRUE(block) << block.error().message;
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record) << record.error().message;
  expect_block(folder_ / "b", *record, 2, 0);
  const std::string file = packets_of(folder_ / "b");
  const size_t at = file.find(lines + more);
  ASSERT_NE(at, std::string::npos);
  EXPECT_LT(at, record->header_length);
}

TEST_P(BlockWriterTest, NamesOfABlockAreDecidedByItsContent) {
  auto block = BlockWriter::create(folder_ / "b", owner());
  ASSERT_TRUE(block);
  ASSERT_TRUE(add_packet(**block, 0));
  const auto record = (*block)->finish({}, {}, GetParam());
  ASSERT_TRUE(record);
  const index::BlockKeys keys = index::block_keys("shop", record->first, record->block);
  EXPECT_EQ(record->packets_object.key, keys.packets);
  EXPECT_EQ(record->items_object.key, keys.items);
  EXPECT_EQ(record->block, index::block_id(record->first, "node-1", "0a1b2c3d", 7));
}

INSTANTIATE_TEST_SUITE_P(, BlockWriterTest, testing::Values(PacketsAs::kOrder, PacketsAs::kFile),
                         [](const auto& info) { return info.param == PacketsAs::kOrder ? "Order" : "File"; });

}  // namespace
}  // namespace baleen::record
