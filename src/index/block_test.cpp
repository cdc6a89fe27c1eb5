#include "index/block.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "index/item_row.h"

namespace baleen::index {
namespace {

BlockRecord sample() {
  BlockRecord r;
  r.recording = "shop";
  r.node = "node-1";
  r.cluster = "cluster \"1\"";
  r.run = "0a1b2c3d";
  r.filter = "http && path == \"/a\\b\"";
  r.first = timestamp_from_ns(1'795'461'296'123'456'789);
  r.last = r.first + std::chrono::seconds(299);
  r.items = 5;
  r.packets = 70;
  r.items_by_protocol = {{"dns", 2}, {"http", 3}};
  r.namespaces = {"shop", "päyment"};
  r.pods = {"cart-1"};
  r.status_classes = {"2xx", "5xx"};
  r.block = block_id(r.first, r.node, r.run, 42);
  const BlockKeys keys = block_keys(r.recording, r.first, r.block);
  r.packets_object = {keys.packets, 123'456'789'012, 0xffffffff};
  r.items_object = {keys.items, 7, 0};
  r.header_length = 188;
  r.streams = {{"000000000001.pcap", 188, 1000, 30}, {"000000000002_udp.pcap", 1188, 500, 40}};
  r.ledger = {100, 5, 90, 3, 2, 1000, 10, 70, 4, 1};
  r.ledger.packets_matched = 74;
  r.dropped = {{"20261123T110000.000000000Z-node-1-r-000001", "spool limit", 2, 3, 4, 500, timestamp_from_ns(7),
                timestamp_from_ns(9)}};
  return r;
}

void expect_equal(const BlockRecord& a, const BlockRecord& b) {
  EXPECT_EQ(a.to_json(), b.to_json());
  EXPECT_EQ(a.block, b.block);
  EXPECT_EQ(a.recording, b.recording);
  EXPECT_EQ(a.node, b.node);
  EXPECT_EQ(a.cluster, b.cluster);
  EXPECT_EQ(a.run, b.run);
  EXPECT_EQ(a.filter, b.filter);
  EXPECT_EQ(a.first, b.first);
  EXPECT_EQ(a.last, b.last);
  EXPECT_EQ(a.items, b.items);
  EXPECT_EQ(a.packets, b.packets);
  EXPECT_EQ(a.items_by_protocol, b.items_by_protocol);
  EXPECT_EQ(a.namespaces, b.namespaces);
  EXPECT_EQ(a.pods, b.pods);
  EXPECT_EQ(a.status_classes, b.status_classes);
  EXPECT_EQ(a.zone_map_complete, b.zone_map_complete);
  EXPECT_EQ(a.packets_object, b.packets_object);
  EXPECT_EQ(a.items_object, b.items_object);
  EXPECT_EQ(a.header_length, b.header_length);
  EXPECT_EQ(a.streams, b.streams);
  EXPECT_EQ(a.ledger, b.ledger);
  EXPECT_EQ(a.dropped, b.dropped);
}

TEST(BlockRecord, ComesBackAsItWasWritten) {
  BlockRecord large = sample(), bare;
  large.items = large.packets = large.header_length = UINT64_MAX;
  large.first = timestamp_from_ns(INT64_MIN);
  large.last = timestamp_from_ns(INT64_MAX);
  large.zone_map_complete = false;
  bare.packets_object.key = "p";
  bare.items_object.key = "i";
  for (const BlockRecord& record : {sample(), large, bare}) {
    const auto read = BlockRecord::from_json(record.to_json());
    ASSERT_TRUE(read) << read.error().message;
    expect_equal(*read, record);
  }
}

TEST(BlockRecord, BytesThatAreNoTextDoNotSpoilIt) {
  BlockRecord r = sample();
  r.cluster = "\xff\xfe";
  const auto read = BlockRecord::from_json(r.to_json());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->cluster, "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(BlockRecord, WhatIsNotThereIsNotNeeded) {
  auto j = nlohmann::json::parse(sample().to_json());
  for (const char* key : {"node", "cluster", "run", "filter", "zone_map", "items_by_protocol", "header_length",
                          "streams", "ledger", "first_time", "last_time"})
    j.erase(key);
  j["of a later version"] = {1, 2, 3};
  const auto read = BlockRecord::from_json(j.dump());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->items, 5u);
  EXPECT_FALSE(read->zone_map_complete) << "nothing may be pruned by it";
  for (const char* key :
       {"schema_version", "block", "recording", "first_time_ns", "last_time_ns", "items", "packets", "objects"}) {
    auto without = nlohmann::json::parse(sample().to_json());
    without.erase(key);
    const auto error = BlockRecord::from_json(without.dump());
    ASSERT_FALSE(error) << key;
    EXPECT_NE(error.error().message.find(key), std::string::npos) << error.error().message;
  }
}

TEST(BlockRecord, EveryTruncationIsAnError) {
  const std::string text = sample().to_json();
  for (size_t cut = 0; cut + 1 < text.size(); ++cut) {
    const auto read = BlockRecord::from_json(std::string_view(text).substr(0, cut));
    ASSERT_FALSE(read) << cut;
    ASSERT_EQ(read.error().code, Code::kInvalid);
  }
}

TEST(BlockRecord, WrongTypesAndNumbersAreErrors) {
  const auto valid = nlohmann::json::parse(sample().to_json());
  const auto refused = [&](const char* pointer, const nlohmann::json& value) {
    auto j = valid;
    j[nlohmann::json::json_pointer(pointer)] = value;
    const auto read = BlockRecord::from_json(j.dump());
    EXPECT_FALSE(read) << pointer << " " << value;
    EXPECT_TRUE(read || read.error().code == Code::kInvalid);
  };
  for (const char* pointer : {"/items", "/packets", "/header_length", "/objects/packets/size", "/objects/items/crc32c",
                              "/ledger/items_seen", "/streams/0/1", "/items_by_protocol/http", "/schema_version"})
    for (const nlohmann::json& value : {nlohmann::json(-1), nlohmann::json(1.5), nlohmann::json(1e300),
                                        nlohmann::json("1"), nlohmann::json(nullptr), nlohmann::json::array()})
      refused(pointer, value);
  refused("/objects/items/crc32c", uint64_t{1} << 32);
  refused("/first_time_ns", uint64_t{1} << 63);
  refused("/first_time_ns", 0.5);
  refused("/streams/1", nlohmann::json::array({"a", 1, 2}));
  refused("/streams", 3);
  refused("/zone_map", 3);
  refused("/block", 3);
  refused("/node", 3);
}

TEST(BlockRecord, VersionsThatWeDoNotKnowAreNamed) {
  auto j = nlohmann::json::parse(sample().to_json());
  j["schema_version"] = 3;
  const auto read = BlockRecord::from_json(j.dump());
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("schema version 3"), std::string::npos) << read.error().message;
  EXPECT_NE(read.error().message.find("newer"), std::string::npos) << read.error().message;
  j["schema_version"] = 0;
  EXPECT_FALSE(BlockRecord::from_json(j.dump()));
}

TEST(BlockRecord, ObjectsOutsideTheRecordingAreRefused) {
  for (const char* key : {"", "/etc/passwd", "../x", "a/../../x", "a/..", "a//b", "./a", "a/."}) {
    BlockRecord r = sample();
    r.items_object.key = key;
    EXPECT_FALSE(BlockRecord::from_json(r.to_json())) << key;
  }
  BlockRecord r = sample();
  r.items_object.key = std::string("a\0b", 3);
  EXPECT_FALSE(BlockRecord::from_json(r.to_json()));
  // Two dots in a name are a name.
  r.items_object.key = "recording=a..b/items/x..y.parquet";
  EXPECT_TRUE(BlockRecord::from_json(r.to_json()));
}

TEST(BlockRecord, AnyMutationGivesAnAnswer) {
  std::mt19937 random(7);
  const std::string text = sample().to_json();
  for (int i = 0; i < 20'000; ++i) {
    std::string mutated = text;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      const size_t at = random() % mutated.size();
      switch (random() % 4) {
        case 0: mutated[at] = static_cast<char>(random()); break;
        case 1: mutated.erase(at, 1 + random() % 20); break;
        case 2: mutated.insert(at, mutated.substr(random() % mutated.size(), random() % 30)); break;
        default: mutated[at] = "0123456789-.eE\"[]{},:"[random() % 21];
      }
      if (mutated.empty()) break;
    }
    const auto read = BlockRecord::from_json(mutated);
    if (!read) {
      ASSERT_EQ(read.error().code, Code::kInvalid);
      continue;
    }
    const auto again = BlockRecord::from_json(read->to_json());
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_EQ(again->to_json(), read->to_json());
  }
}

TEST(BlockId, SortsByTimeAndIsUnique) {
  const Timestamp t = timestamp_from_ns(1'795'461'296'000'000'001);
  EXPECT_EQ(block_id(t, "node-1", "0a1b2c3d", 42), "20261123T191456.000000001Z-node-1-0a1b2c3d-000042");
  EXPECT_EQ(block_id(t, "a/b c", "r", 1), "20261123T191456.000000001Z-a_b_c-r-000001");
  const BlockKeys keys = block_keys("shop", t, "x");
  EXPECT_EQ(keys.packets, "recording=shop/packets/date=2026-11-23/hour=19/x.pcapng");
  EXPECT_EQ(keys.items, "recording=shop/items/date=2026-11-23/hour=19/x.parquet");
  EXPECT_EQ(keys.record, "recording=shop/blocks/date=2026-11-23/hour=19/x.json");
  EXPECT_EQ(records_prefix("shop"), "recording=shop/blocks/");
  EXPECT_EQ(records_prefix("shop", "2026-11-23"), "recording=shop/blocks/date=2026-11-23/");
  std::string last;
  for (int64_t ns = 1; ns < 4'000'000'000'000'000'000; ns = ns * 3 + 1) {
    const std::string id = block_id(timestamp_from_ns(ns), "n", "r", 9);
    EXPECT_LT(last, id);
    last = id;
  }
}

TEST(LossLedger, Balances) {
  EXPECT_TRUE(LossLedger().balances());
  EXPECT_TRUE(sample().ledger.balances());
  LossLedger l = sample().ledger;
  ++l.items_seen;
  EXPECT_FALSE(l.balances());
  l = sample().ledger;
  ++l.packets_matched;
  EXPECT_FALSE(l.balances());
  l += sample().ledger;
  EXPECT_EQ(l.packets_matched, 2 * sample().ledger.packets_matched + 1);
}

ItemRow sample_row() {
  ItemRow row;
  row.time_ns = 1'795'461'296'123'456'789;
  row.elapsed_us = 1500;
  row.status = -1;
  row.src_port = 65535;
  row.tls = true;
  row.id = "id";
  row.stream = "000000000001.pcap";
  row.method = std::string("bytes \0\xff", 8);
  row.json = std::string(5000, 'x');
  return row;
}

TEST(ItemRow, AsBytesAndBackAndNothingWhenItIsNotWhole) {
  std::string bytes;
  append_row(sample_row(), bytes);
  append_row(ItemRow(), bytes);
  const uint32_t size = load_le32(as_bytes(bytes).data());
  ItemRow row;
  ASSERT_TRUE(read_row(std::string_view(bytes).substr(4, size), row));
  EXPECT_EQ(row.time_ns, sample_row().time_ns);
  EXPECT_EQ(row.method, sample_row().method);
  EXPECT_EQ(row.json, sample_row().json);
  EXPECT_TRUE(row.tls);
  std::string again;
  append_row(row, again);
  EXPECT_EQ(again, bytes.substr(0, size + 4));
  // A row that is used again keeps nothing of the one before.
  ASSERT_TRUE(read_row(std::string_view(bytes).substr(size + 8), row));
  std::string empty, expected;
  append_row(row, empty);
  append_row(ItemRow(), expected);
  EXPECT_EQ(empty, expected);
  for (size_t cut = 0; cut < size; ++cut) ASSERT_FALSE(read_row(std::string_view(bytes).substr(4, cut), row)) << cut;
  ASSERT_FALSE(read_row(std::string_view(bytes).substr(4, size + 1), row)) << "nor when there is more";
}

}  // namespace
}  // namespace baleen::index
