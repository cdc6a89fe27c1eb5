#include "record/harness.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/crc32c.h"
#include "codec/pcap/reader.h"
#include "index/parquet.h"
#include "item/json.h"
#include "kfl/sample_items.h"
#include "record/packets_order.h"

namespace baleen::record {

namespace fs = std::filesystem;

namespace {

constexpr item::Protocol kHttp = {.name = "http",
                                  .version = "1.1",
                                  .abbreviation = "HTTP",
                                  .long_name = "Hypertext Transfer Protocol",
                                  .macro = "http",
                                  .layer4 = "tcp",
                                  .ports = kfl::sample::kHttpPorts,
                                  .fields = kfl::sample::kHttpFields,
                                  .method_path = "request.method",
                                  .summary_path = "request.path",
                                  .status_path = "response.status"};
constexpr const item::Protocol* kProtocols[] = {&kHttp, &kfl::sample::kDns};

constexpr int64_t kBegin = 1'763'900'000'000'000'000;  // 2025-11-23

uint64_t number_at(std::string_view bytes, size_t from_end) {
  return load_be64(as_bytes(bytes).data() + bytes.size() - from_end);
}

std::string be64_text(uint64_t v) {
  return net::be32_text(static_cast<uint32_t>(v >> 32)) + net::be32_text(static_cast<uint32_t>(v));
}

void verify_streams(const index::BlockRecord& block, std::string_view pcapng) {
  uint64_t packets = 0, at = block.header_length;
  for (const index::StreamPlace& place : block.streams) {
    EXPECT_EQ(place.offset, at) << "streams lie one behind the other";
    at += place.length;
    packets += place.packets;
    if (at > pcapng.size()) break;
    const auto alone = read_pcapng(std::string(pcapng.substr(0, block.header_length)) +
                                   std::string(pcapng.substr(place.offset, place.length)));
    EXPECT_EQ(alone.size(), place.packets) << place.stream;
    std::set<uint64_t> streams;
    for (const PacketRead& packet : alone) streams.insert(name_of(packet.bytes).stream);
    EXPECT_EQ(streams.size(), 1u) << place.stream;
    for (const uint64_t stream : streams) EXPECT_EQ(place.stream, stream_file(stream));
  }
  EXPECT_LE(at, pcapng.size()) << "behind the packets stand names and counts";
  EXPECT_EQ(packets, block.packets);
}

}  // namespace

ScratchFolder::ScratchFolder() {
  // In memory where that is possible: thousands of files are made, and nothing here tests a disk.
  const bool memory = ::access("/dev/shm", W_OK) == 0;
  std::string pattern = ((memory ? fs::path("/dev/shm") : fs::temp_directory_path()) / "baleen-record-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string packets_of(const std::string& folder) {
  const auto record = index::BlockRecord::from_json(read_whole(folder + "/block.json"));
  EXPECT_TRUE(record) << record.error().message;
  const auto packets = open_packets(folder, record->packets_object.size);
  EXPECT_TRUE(packets) << packets.error().message;
  std::string out((*packets)->size(), '\0');
  EXPECT_TRUE(io::read_all(**packets, 0, {reinterpret_cast<uint8_t*>(out.data()), out.size()}));
  return out;
}

void write_whole(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

std::vector<std::string> files_below(const std::string& folder, std::string_view ending) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored))
    if (entry.is_regular_file() && entry.path().string().ends_with(ending)) out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

net::OwnedPacket named_packet(PacketName name, size_t size) {
  const std::string payload =
      std::string(size > 16 ? size - 16 : 0, 'x') + be64_text(name.stream) + be64_text(name.number);
  const net::Endpoint client{*net::IpAddress::parse("10.1.2.3"), static_cast<uint16_t>(1024 + name.stream % 60000)};
  const net::Endpoint server{*net::IpAddress::parse("10.1.2.4"), 80};
  net::OwnedPacket packet;
  packet.time = timestamp_from_ns(kBegin + static_cast<int64_t>(name.number * 1'000'000 + name.stream));
  packet.bytes = net::tcp_frame(client, server, {.seq = static_cast<uint32_t>(name.number), .flags = 0x18}, payload);
  return packet;
}

PacketName name_of(std::string_view bytes) {
  if (bytes.size() < 16) return {};
  return {number_at(bytes, 16), number_at(bytes, 8)};
}

std::string stream_file(uint64_t stream) {
  char buffer[32];
  return std::string(buffer, item::write_stream_name(stream, item::StreamKind::kTcp, buffer));
}

RecordedPacket recorded(const net::OwnedPacket& packet, uint32_t interface) {
  const net::Packet view = packet.view();
  return {packet.time, view.bytes, view.wire_length, interface, packet.link};
}

item::ItemRef http_item(item::ItemPool& pool, uint64_t stream, uint64_t index, int status) {
  item::Item* const i = pool.take();
  Arena& arena = i->arena;
  const auto map = [&](std::initializer_list<item::Member> members) {
    const auto m = arena.array<item::Member>(members.size());
    std::copy(members.begin(), members.end(), m.begin());
    return item::Value::map(m);
  };
  i->protocol = &kHttp;
  i->origin = &kfl::sample::kOrigin;
  i->stream = stream;
  i->index = index;
  i->client.address = {*net::IpAddress::parse("10.1.2.3"), static_cast<uint16_t>(1024 + stream % 60000)};
  i->server.address = {*net::IpAddress::parse("10.1.2.4"), 80};
  i->client.name_space = "shop";
  i->client.pod = "frontend-1";
  i->request.present = i->response.present = true;
  i->request.time = timestamp_from_ns(kBegin + static_cast<int64_t>(index * 1'000'000 + stream));
  i->response.time = i->request.time + std::chrono::microseconds(250);
  const std::string path = "/s/" + std::to_string(stream) + "/" + std::to_string(index);
  i->request.payload = map({{"method", "GET"}, {"path", arena.copy(path)}, {"headers", map({{"host", "cart"}})}});
  i->response.payload = map({{"status", status}});
  return item::ItemRef(i);
}

std::string path_of(std::string_view json) {
  Arena arena;
  const auto root = item::parse_json(json, arena);
  EXPECT_TRUE(root) << json;
  return root ? std::string((*root)["request"]["path"].text()) : std::string();
}

kfl::Filter filter(std::string_view text) {
  kfl::Options options;
  options.protocols = kProtocols;
  auto compiled = kfl::compile(text, options);
  EXPECT_TRUE(compiled.filter) << kfl::render(text, compiled.diagnostics);
  return compiled.filter.value_or(kfl::Filter());
}

std::vector<PacketRead> read_pcapng(std::string_view content) {
  std::vector<PacketRead> out;
  codec::pcap::Reader reader;
  std::vector<codec::pcap::PacketRecord> records(64);
  Bytes window = as_bytes(content);
  while (true) {
    const auto step = reader.read(window, records);
    for (size_t i = 0; i < step.packets; ++i) {
      const codec::pcap::PacketRecord& r = records[i];
      out.push_back(
          {r.time, std::string(as_text(r.bytes)), reader.interfaces()[r.interface].name, r.wire_length, r.link});
    }
    window = window.subspan(step.consumed);
    if (step.kind == codec::pcap::Reader::Kind::kFailed) {
      ADD_FAILURE() << reader.error().message;
      return out;
    }
    if (step.kind != codec::pcap::Reader::Kind::kNeed) continue;
    EXPECT_TRUE(window.empty()) << window.size() << " bytes are left over";
    EXPECT_TRUE(reader.finish(window));
    return out;
  }
}

Kept read_kept(const std::string& folder) {
  Kept kept;
  for (const std::string& file : files_below(folder, ".json")) {
    const auto block = index::BlockRecord::from_json(read_whole(file));
    EXPECT_TRUE(block) << file;
    if (!block) continue;
    SCOPED_TRACE(block->block);
    EXPECT_TRUE(block->ledger.balances());
    for (const index::ObjectRecord* object : {&block->packets_object, &block->items_object}) {
      const std::string content = read_whole(folder + "/" + object->key);
      EXPECT_EQ(content.size(), object->size) << object->key;
      EXPECT_EQ(crc32c(as_bytes(content)), object->crc32c) << object->key;
    }
    const std::string pcapng = read_whole(folder + "/" + block->packets_object.key);
    verify_streams(*block, pcapng);
    for (const PacketRead& packet : read_pcapng(pcapng)) {
      ++kept.packets[name_of(packet.bytes)];
      EXPECT_LE(block->first, packet.time);
      EXPECT_GE(block->last, packet.time);
    }
    index::ParquetQuery query;
    query.files = {folder + "/" + block->items_object.key};
    uint64_t items = 0;
    const auto read = index::read_parquet(query, [&](const index::StoredItem& item) {
      ++kept.items[path_of(item.json)];
      return ++items != 0;
    });
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_EQ(items, block->items);
    kept.blocks.push_back(*block);
  }
  return kept;
}

Shard::Shard(const std::string& folder, RecorderOptions options, uint64_t flight_bytes) {
  auto flight =
      FlightRecorder::open({.folder = folder, .limit_bytes = flight_bytes, .segment_bytes = flight_bytes / 8});
  EXPECT_TRUE(flight) << flight.error().message;
  flight_ = *std::move(flight);
  auto recorder = Recorder::open(std::move(options), {flight_.get()}, &numbers_);
  EXPECT_TRUE(recorder) << recorder.error().message;
  recorder_ = *std::move(recorder);
}

void Shard::packets(uint64_t stream, uint64_t count, size_t size, uint32_t wire_length) {
  for (uint64_t i = 0; i < count; ++i) {
    net::OwnedPacket packet = named_packet({stream, next_packet_[stream]++}, size);
    packet.wire_length = wire_length;
    flight_->append({stream, item::StreamKind::kTcp}, packet.view());
    ++numbers_.packets;
  }
}

void Shard::item(uint64_t stream, int status) {
  recorder_->offer(http_item(pool_, stream, next_item_[stream]++, status));
  ++items_;
}

RecorderOptions recorder_options(std::string spool_folder, std::string run) {
  RecorderOptions options;
  options.spool_folder = std::move(spool_folder);
  options.node = "node-1";
  options.run = std::move(run);
  options.open_store = [](const store::Location& location) { return store::open(location); };
  return options;
}

FileSizeLimit::FileSizeLimit(uint64_t bytes) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  before_ = limit.rlim_cur;
  limit.rlim_cur = bytes;
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
}

FileSizeLimit::~FileSizeLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = before_;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

bool eventually(const std::function<bool()>& condition, Duration patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace baleen::record
