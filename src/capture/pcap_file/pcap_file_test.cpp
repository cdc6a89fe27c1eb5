#include "capture/pcap_file/pcap_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "codec/pcap/writer.h"

namespace baleen::capture {
namespace {

namespace fs = std::filesystem;
using codec::pcap::PcapngWriter;
using codec::pcap::PcapWriter;
using namespace std::chrono_literals;

struct Kept {
  int64_t ns = 0;
  std::string bytes;
  uint32_t wire_length = 0;
  std::string interface;
  net::LinkType link{};
  bool operator==(const Kept&) const = default;
};

class PcapFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("baleen-pcap-file-{}", ::getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "tmp");
    ::setenv("TMPDIR", (folder_ / "tmp").c_str(), 1);  // what is unpacked
  }
  void TearDown() override {
    ::unsetenv("TMPDIR");
    fs::remove_all(folder_);
  }

  std::string write(const std::string& name, const std::string& content) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return (folder_ / name).string();
  }

  fs::path folder_;
};

/// Everything that a source gives until its end; an error ends it too and is kept.
struct Read {
  std::vector<Kept> packets;
  Statistics statistics;
  std::string error;
};
Read read_all(PcapFileSource& source) {
  Read read;
  for (;;) {
    auto batch = source.next_batch(5s);
    if (!batch) {
      read.error = batch.error().message;
      break;
    }
    if (batch->state() != PacketBatch::State::kPackets) {
      EXPECT_EQ(batch->state(), PacketBatch::State::kEnd);
      break;
    }
    EXPECT_GT(batch->size(), 0u);
    for (const net::Packet& p : *batch)
      read.packets.push_back({to_ns(p.time), std::string(as_text(p.bytes)), p.wire_length,
                              source.interfaces().at(p.interface).name, p.link});
  }
  read.statistics = source.statistics();
  EXPECT_EQ(read.statistics.packets, read.packets.size());
  return read;
}
Read read_all(const std::string& path) {
  auto source = PcapFileSource::open({.path = path});
  if (!source) return {.error = source.error().message};
  return read_all(**source);
}

/// `count` packets from `start` ns on, `apart` from each other, each saying `label` and its number.
std::string classic(const std::string& label, int64_t start, int64_t apart, int count, size_t length = 0) {
  std::string file;
  PcapWriter writer(file, 1);
  for (int i = 0; i < count; ++i) {
    std::string bytes = fmt::format("{}{}", label, i);
    bytes.resize(std::max(length, bytes.size()), '.');
    writer.packet({.time = timestamp_from_ns(start + i * apart),
                   .bytes = as_bytes(bytes),
                   .wire_length = static_cast<uint32_t>(bytes.size())});
  }
  return file;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

TEST_F(PcapFile, EveryCaptureHasThePacketsThatItsManifestSays) {
  const char* shared = std::getenv("BALEEN_SHARED");
  const fs::path captures = fs::path(shared ? shared : BALEEN_SOURCE_DIR "/../shared") / "captures";
  std::ifstream manifest(captures / "MANIFEST.tsv");
  if (!manifest) GTEST_SKIP() << "no captures in " << captures << " (set BALEEN_SHARED)";
  std::string line;
  std::getline(manifest, line);
  while (std::getline(manifest, line)) {
    std::vector<std::string> columns(1);
    for (const char c : line) {
      if (c == '\t') {
        columns.emplace_back();
      } else {
        columns.back() += c;
      }
    }
    SCOPED_TRACE(columns[0]);
    const Read plain = read_all((captures / columns[0]).string());
    EXPECT_EQ(plain.error, "");
    EXPECT_EQ(plain.packets.size(), std::stoul(columns[10]));
    EXPECT_EQ(plain.statistics.dropped_cut, 0u);
    if (fs::file_size(captures / columns[0]) > 200'000) continue;
    std::ifstream in(captures / columns[0], std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(in), {}};
    const std::string name = fs::path(columns[0]).filename().string();
    for (const std::string& packed : {gzip(content), zstd(content)}) {
      const Read unpacked = read_all(write(name, packed));
      EXPECT_EQ(unpacked.error, "");
      EXPECT_EQ(unpacked.packets, plain.packets);
    }
  }
}

TEST_F(PcapFile, ReadsFilesLargerThanItsWindow) {
  const std::string file = classic("p", 0, 10, 20'000, 700);
  const Read plain = read_all(write("large", file));
  EXPECT_EQ(plain.error, "");
  ASSERT_EQ(plain.packets.size(), 20'000u);
  for (size_t i = 0; i < plain.packets.size(); ++i) {
    ASSERT_TRUE(plain.packets[i].bytes.starts_with(fmt::format("p{}.", i)));
    ASSERT_EQ(plain.packets[i].ns, static_cast<int64_t>(i) * 10);
  }
  EXPECT_EQ(plain.statistics.bytes, 700u * 20'000);
  // two members or frames one after the other are one file (cat a.gz b.gz)
  const size_t half = file.size() / 2;
  EXPECT_EQ(read_all(write("large", gzip(file.substr(0, half)) + gzip(file.substr(half)))).packets, plain.packets);
  EXPECT_EQ(read_all(write("large", zstd(file.substr(0, half)) + zstd(file.substr(half)))).packets, plain.packets);
}

TEST_F(PcapFile, ReadsABlockThatIsLargerThanItsWindow) {
  std::string file;
  PcapngWriter writer(file);
  writer.section({});
  writer.interface({.name = "eth0"});
  writer.packet({.bytes = as_bytes("before"), .wire_length = 6});
  writer.custom(32473, as_bytes(std::string(3 << 20, 'x')));
  const std::string jumbo(900'000, 'j');
  writer.packet({.bytes = as_bytes(jumbo), .wire_length = 900'000});
  const Read read = read_all(write("jumbo.pcapng", file));
  EXPECT_EQ(read.error, "");
  ASSERT_EQ(read.packets.size(), 2u);
  EXPECT_EQ(read.packets[1].bytes, jumbo);
  EXPECT_EQ(read.packets[1].interface, "eth0");
}

TEST_F(PcapFile, ACutFileGivesWhatIsThere) {
  const std::string file = classic("p", 0, 10, 5000, 100);
  for (const auto& [name, content] :
       {std::pair("plain", file), std::pair("gzip", gzip(file)), std::pair("zstd", zstd(file))}) {
    SCOPED_TRACE(name);
    const Read read = read_all(write(name, content.substr(0, content.size() - 7)));
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.statistics.dropped_cut, 1u);
    EXPECT_EQ(read.statistics.corrupt_files, 0u);
    if (content == file) {
      EXPECT_EQ(read.packets.size(), 4999u);
    }
  }
}

TEST_F(PcapFile, DamageIsAnErrorAfterWhatComesBeforeIt) {
  std::string file = classic("p", 0, 10, 1000, 100);
  file[24 + 116 * 700 + 11] = '\x7f';  // the captured length of packet 700
  const std::string path = write("damaged.pcap", file);
  auto source = PcapFileSource::open({.path = path});
  ASSERT_TRUE(source);
  const Read read = read_all(**source);
  EXPECT_EQ(read.packets.size(), 700u);
  EXPECT_EQ(read.error.find(path + ": corrupt capture at offset 81224: a packet of "), 0u) << read.error;
  EXPECT_EQ(read.statistics.corrupt_files, 1u);
  EXPECT_FALSE((*source)->next_batch(0s));  // and stays one

  std::string packed = gzip(classic("p", 0, 10, 1000, 100));
  packed[packed.size() / 2] ^= 0x55;
  packed[packed.size() - 6] ^= 0x55;
  EXPECT_NE(read_all(write("damaged.gz", packed)).error.find("corrupt gzip data: "), std::string::npos);
}

TEST_F(PcapFile, SaysWhatCannotBeOpened) {
  EXPECT_NE(read_all((folder_ / "nothing.pcap").string()).error.find("No such file"), std::string::npos);
  EXPECT_NE(read_all(write("empty.pcap", "")).error.find("the input is empty"), std::string::npos);
  EXPECT_NE(read_all(write("readme.txt", "hello world, hello")).error.find("neither pcap nor pcapng"),
            std::string::npos);
  EXPECT_NE(read_all(write("BZh.pcap", "BZh91AY&SY and so on")).error.find("bzip2 -d"), std::string::npos);
  fs::create_directory(folder_ / "none");
  EXPECT_NE(read_all((folder_ / "none").string()).error.find("no packets in any of its 0 files"), std::string::npos);
  auto followed = PcapFileSource::open({.path = folder_.string(), .follow = true});
  ASSERT_FALSE(followed);
  EXPECT_EQ(followed.error().code, Code::kInvalid);
}

TEST_F(PcapFile, AFolderIsReadInTheOrderOfTime) {
  // three files that overlap, one that lies apart, one in a sub-folder, and things that are no captures
  write("f/z-first.pcap", classic("a", 1000, 30, 1000));
  write("f/overlaps.pcap.gz", gzip(classic("b", 1010, 30, 1000)));
  write("f/sub/late.pcapng.zst", zstd(classic("c", 20'000, 7, 1000)));
  write("f/apart.pcap", classic("d", 100'000, 1, 1000));
  write("f/README.md", "what these captures are");
  write("f/no.pcap.gz", "no capture");
  write("f/nothing.pcapng", "");
  write("f/empty.pcap", classic("e", 0, 1, 0));
  std::string damaged = classic("x", 50, 1, 10);
  damaged[24 + 18 * 5 + 11] = '\x7f';
  write("f/damaged.pcap", damaged);
  auto source = PcapFileSource::open({.path = (folder_ / "f").string()});
  ASSERT_TRUE(source) << source.error().message;
  const Read read = read_all(**source);
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.packets.size(), 4005u);
  EXPECT_TRUE(std::is_sorted(read.packets.begin(), read.packets.end(),
                             [](const Kept& a, const Kept& b) { return a.ns < b.ns; }));
  std::set<std::string> different;
  for (const Kept& p : read.packets) different.insert(p.bytes);
  EXPECT_EQ(different.size(), 4005u);
  EXPECT_EQ(read.statistics.skipped_files, 3u);
  EXPECT_EQ(read.statistics.files, 5u);
  EXPECT_EQ(read.statistics.corrupt_files, 1u);
  std::string problems;
  for (const Error& problem : (*source)->problems()) problems += problem.message + "\n";
  EXPECT_EQ((*source)->problems().size(), 3u) << problems;
  for (const char* part :
       {"damaged.pcap: corrupt capture at offset 114", "no.pcap.gz: no capture", "nothing.pcapng: no"})
    EXPECT_NE(problems.find(part), std::string::npos) << problems;
}

/// An archive of tar(1)'s: name and content of each file.
std::string archive(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out;
  for (const auto& [name, content] : files) {
    std::string head(512, '\0');
    head.replace(0, name.size(), name);
    head.replace(124, 11, fmt::format("{:011o}", content.size()));
    head[156] = '0';
    head.replace(257, 5, "ustar");
    head.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : head) sum += static_cast<unsigned char>(c);
    head.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    out += head + content;
    out.resize((out.size() + 511) / 512 * 512);
  }
  return out + std::string(1024, '\0');
}

TEST_F(PcapFile, ArchivesAreReadAsFolders) {
  const std::string inner = archive({{"c.pcap.zst", zstd(classic("c", 1005, 30, 100))}});
  const std::string bundle = archive({{"node/z.pcap", classic("a", 1000, 30, 100)},
                                      {"../../../escaped.pcap", classic("b", 1010, 30, 100)},
                                      {"node/README", "what these captures are"},
                                      {"inner.tar.gz", gzip(inner)}});
  for (const auto& [name, content] :
       {std::pair("x.tar", bundle), {"x.tar.gz", gzip(bundle)}, {"x.tzst", zstd(bundle)}}) {
    auto source = PcapFileSource::open({.path = write(name, content)});
    ASSERT_TRUE(source) << name << source.error().message;
    const Read read = read_all(**source);
    EXPECT_EQ(read.error, "");
    EXPECT_EQ(read.packets.size(), 300u) << name;
    EXPECT_TRUE(std::is_sorted(read.packets.begin(), read.packets.end(),
                               [](const Kept& a, const Kept& b) { return a.ns < b.ns; }));
    EXPECT_EQ(read.packets[0].interface, "z.pcap");
    EXPECT_EQ(read.statistics.skipped_files, 1u);
    EXPECT_TRUE((*source)->problems().empty());
  }
  EXPECT_FALSE(fs::exists(folder_ / "escaped.pcap"));
  // One in a folder, beside other captures.
  write("f/x.tar.gz", gzip(bundle));
  write("f/d.pcap", classic("d", 1, 1, 10));
  EXPECT_EQ(read_all((folder_ / "f").string()).packets.size(), 310u);
  EXPECT_TRUE(fs::is_empty(folder_ / "tmp")) << "nothing is left behind";
}

TEST_F(PcapFile, ACutArchiveGivesWhatIsThereAndSaysSo) {
  const std::string bundle =
      archive({{"a.pcap", classic("a", 1000, 30, 100)}, {"b.pcap", classic("b", 1010, 30, 100)}});
  auto source = PcapFileSource::open({.path = write("cut.tar", bundle.substr(0, bundle.size() - 3000))});
  ASSERT_TRUE(source) << source.error().message;
  const Read read = read_all(**source);
  EXPECT_GT(read.packets.size(), 100u);
  EXPECT_LT(read.packets.size(), 200u);
  EXPECT_EQ(read.statistics.dropped_cut, 1u);
  ASSERT_EQ((*source)->problems().size(), 2u);
  EXPECT_NE((*source)->problems()[0].message.find("ends too early"), std::string::npos);
  EXPECT_NE((*source)->problems()[1].message.find("b.pcap: the capture ends inside a packet"), std::string::npos)
      << (*source)->problems()[1].message;
  EXPECT_NE(read_all(write("empty.tar", archive({{"README", "nothing"}}))).error.find("no packets"), std::string::npos);
}

TEST_F(PcapFile, TheSameInterfaceOfSeveralFilesIsOne) {
  for (int i = 0; i < 3; ++i) {
    std::string file;
    PcapngWriter writer(file);
    writer.section({});
    for (const char* name : {"eth0", "lo"}) writer.interface({.name = name});
    if (i == 2) writer.interface({.link = 101, .name = "tun0"});
    writer.packet({.time = timestamp_from_ns(i), .bytes = as_bytes("x"), .wire_length = 1, .interface = 1});
    if (i == 2) writer.packet({.time = timestamp_from_ns(9), .bytes = as_bytes("y"), .wire_length = 1, .interface = 2});
    writer.statistics(0, {.dropped = 3, .os_dropped = 4});
    write(fmt::format("{}.pcapng", i), file);
  }
  auto source = PcapFileSource::open({.path = folder_.string()});
  ASSERT_TRUE(source);
  const Read read = read_all(**source);
  ASSERT_EQ(read.packets.size(), 4u);
  EXPECT_EQ(read.packets[2].interface, "lo");
  EXPECT_EQ(read.packets[3].interface, "tun0");
  EXPECT_EQ(read.packets[3].link, net::LinkType::kRaw);
  EXPECT_EQ((*source)->interfaces().size(), 3u);
  EXPECT_EQ(read.statistics.dropped_by_writer, 21u);
}

TEST_F(PcapFile, SecretsAndNamesAreTold) {
  std::string file;
  PcapngWriter writer(file);
  writer.section({});
  writer.interface({});
  writer.secrets(as_bytes("CLIENT_RANDOM 1 2"));
  const std::array<uint8_t, 4> address{10, 1, 2, 3};
  const std::array<codec::pcap::Name, 1> names{codec::pcap::Name{address, "cart"}};
  writer.names(names);
  writer.packet({.bytes = as_bytes("x"), .wire_length = 1});
  std::string told;
  auto source = PcapFileSource::open(
      {.path = write("secrets.pcapng", file),
       .events = {.on_secrets = [&](uint32_t type, Bytes b) { told += fmt::format("{:x} {};", type, as_text(b)); },
                  .on_name = [&](const codec::pcap::Name& name) { told += name.name; }}});
  ASSERT_TRUE(source);
  EXPECT_EQ(read_all(**source).packets.size(), 1u);
  EXPECT_EQ(told, "544c534b CLIENT_RANDOM 1 2;cart");
}

TEST_F(PcapFile, FollowsAFileThatIsStillBeingWritten) {
  const std::string content = classic("p", 0, 10, 3000, 60);
  const std::string path = write("growing.pcap", "");
  auto source = PcapFileSource::open({.path = path, .follow = true});
  ASSERT_TRUE(source);
  {
    auto nothing = (*source)->next_batch(20ms);
    ASSERT_TRUE(nothing);
    EXPECT_EQ(nothing->state(), PacketBatch::State::kTimeout);
  }
  std::thread writer([&] {
    std::ofstream out(path, std::ios::binary | std::ios::app);
    std::mt19937 random(7);
    for (size_t at = 0; at < content.size();) {
      const size_t piece = std::min<size_t>(content.size() - at, 1 + random() % 4000);
      out.write(content.data() + at, static_cast<std::streamsize>(piece)).flush();
      at += piece;
      std::this_thread::sleep_for(1ms);
    }
  });
  size_t packets = 0;
  while (packets < 3000) {
    auto batch = (*source)->next_batch(5s);
    ASSERT_TRUE(batch) << batch.error().message;
    ASSERT_EQ(batch->state(), PacketBatch::State::kPackets);
    for (const net::Packet& p : *batch) ASSERT_TRUE(as_text(p.bytes).starts_with(fmt::format("p{}.", packets++)));
  }
  writer.join();
  std::thread stopper([&] {
    std::this_thread::sleep_for(30ms);
    (*source)->stop();
  });
  const auto before = std::chrono::steady_clock::now();
  auto end = (*source)->next_batch(1h);
  stopper.join();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->state(), PacketBatch::State::kEnd);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
}

TEST_F(PcapFile, AFollowedFileThatGetsShorterIsAnError) {
  const std::string path = write("cut.pcap", classic("p", 0, 10, 100));
  auto source = PcapFileSource::open({.path = path, .follow = true});
  ASSERT_TRUE(source);
  for (size_t read = 0; read < 100;) read += (*source)->next_batch(1s).value().size();
  fs::resize_file(path, 50);
  auto batch = (*source)->next_batch(5s);
  ASSERT_FALSE(batch);
  EXPECT_NE(batch.error().message.find("cut to a shorter length"), std::string::npos);
}

/// A large file is looked at where the system has it, and somebody may cut it meanwhile: where its pages are there
/// already (2 MB of what is looked at next), and where they are still to come (8 MB).
TEST_F(PcapFile, AFileThatIsCutWhileItIsReadIsAnErrorAndEndsNobody) {
  for (const size_t left : {2u << 20, 8u << 20}) {
    SCOPED_TRACE(left);
    const std::string path = write("cut.pcap", classic("p", 0, 10, 20'000, 800));
    auto source = PcapFileSource::open({.path = path});
    ASSERT_TRUE(source);
    size_t read = (*source)->next_batch(1s).value().size();
    fs::resize_file(path, left);
    for (;;) {
      auto batch = (*source)->next_batch(1s);
      if (!batch) {
        EXPECT_NE(batch.error().message.find("cut to a shorter length"), std::string::npos) << batch.error().message;
        EXPECT_NE(batch.error().message.find(path), std::string::npos) << batch.error().message;
        break;
      }
      ASSERT_EQ(batch->state(), PacketBatch::State::kPackets);
      read += batch->size();
    }
    EXPECT_GT(read, 1000u);
    EXPECT_LE(read, left / 800);
    EXPECT_FALSE((*source)->next_batch(1s));
  }
}

TEST_F(PcapFile, WhatIsAppendedWhileALargeFileIsReadIsReadToo) {
  const std::string file = classic("p", 0, 10, 5000, 800);
  const size_t half = file.size() / 2 + 7;
  const std::string path = write("grows.pcap", file.substr(0, half));
  auto source = PcapFileSource::open({.path = path});
  ASSERT_TRUE(source);
  size_t before = (*source)->next_batch(1s).value().size();
  std::ofstream(path, std::ios::binary | std::ios::app) << file.substr(half);
  const Read rest = [&] {
    Read read;
    for (;;) {
      auto batch = (*source)->next_batch(1s);
      if (!batch || batch->state() == PacketBatch::State::kEnd) return read;
      for (const net::Packet& p : *batch) read.packets.push_back({to_ns(p.time), std::string(as_text(p.bytes))});
    }
  }();
  ASSERT_EQ(before + rest.packets.size(), 5000u);
  for (const Kept& packet : rest.packets) {
    ASSERT_EQ(packet.ns, static_cast<int64_t>(before) * 10);
    ASSERT_TRUE(packet.bytes.starts_with(fmt::format("p{}.", before++)));
  }
}

/// Runs `body` with a pipe as standard input, fed by a process of its own.
TEST_F(PcapFile, ReadsStandardInputAlsoInDribbles) {
  for (const bool packed : {false, true}) {
    std::string content = classic("p", 0, 10, 2000, 80);
    if (packed) content = zstd(content);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int saved = ::dup(0);
    ::dup2(ends[0], 0);
    ::close(ends[0]);
    std::thread writer([&] {
      for (size_t at = 0; at < content.size(); at += 3001) {
        const size_t piece = std::min<size_t>(content.size() - at, 3001);
        ASSERT_EQ(::write(ends[1], content.data() + at, piece), static_cast<ssize_t>(piece));
        std::this_thread::sleep_for(1ms);
      }
      ::close(ends[1]);
    });
    const Read read = read_all("-");
    writer.join();
    ::dup2(saved, 0);
    ::close(saved);
    EXPECT_EQ(read.error, "");
    ASSERT_EQ(read.packets.size(), 2000u);
    EXPECT_TRUE(read.packets[1999].bytes.starts_with("p1999."));
    EXPECT_EQ(read.packets[0].interface, "-");
  }
}

}  // namespace
}  // namespace baleen::capture
