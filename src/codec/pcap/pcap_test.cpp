#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "codec/pcap/reader.h"
#include "codec/pcap/writer.h"

namespace baleen::codec::pcap {
namespace {

namespace fs = std::filesystem;

/// A packet with bytes of its own, and what else was met on the way.
struct Kept {
  int64_t ns = 0;
  std::string bytes;
  uint32_t wire_length = 0, interface = 0;
  uint16_t link = 0, direction = 0;
  uint64_t offset = 0;
  std::string comment;
  bool operator==(const Kept&) const = default;
};
struct Outcome {
  std::vector<Kept> packets;
  std::vector<std::string> secrets;
  std::map<std::string, std::string> names;  // address in hexadecimal to name
  std::vector<Interface> interfaces;
  ReaderCounters counters;
  std::string error;
  uint64_t offset = 0;
  bool operator==(const Outcome&) const = default;
};

/// Reads `input` through a window that grows by `step` bytes at a time (0: all of it at once).
Outcome read_all(std::string_view input, size_t step = 0, size_t batch = 7, Limits limits = {}) {
  Outcome outcome;
  Reader reader(limits);
  std::vector<PacketRecord> records(batch);
  size_t begin = 0, end = step == 0 ? input.size() : std::min(step, input.size());
  for (;;) {
    // an allocation of exactly the window's size, so that a sanitizer sees every look past it
    const std::vector<uint8_t> window(input.begin() + begin, input.begin() + end);
    const Reader::Step result = reader.read(window, records);
    for (size_t i = 0; i < result.packets; ++i) {
      const PacketRecord& r = records[i];
      outcome.packets.push_back({to_ns(r.time), std::string(as_text(r.bytes)), r.wire_length, r.interface, r.link,
                                 r.direction, r.offset, std::string(r.comment)});
    }
    if (result.kind == Reader::Kind::kSecrets) outcome.secrets.emplace_back(as_text(result.body));
    if (result.kind == Reader::Kind::kNames)
      reader.read_names(result.body, [&](const Name& name) {
        std::string address;
        for (const uint8_t byte : name.address) address += fmt::format("{:02x}", byte);
        outcome.names[address] = name.name;
      });
    begin += result.consumed;
    if (result.kind == Reader::Kind::kFailed) break;
    if (result.kind != Reader::Kind::kNeed) continue;
    EXPECT_GT(result.need, end - begin) << "needs no more than it has";
    if (end == input.size()) {
      const std::vector<uint8_t> rest(input.begin() + begin, input.end());
      if (auto finished = reader.finish(rest); !finished) outcome.error = finished.error().message;
      break;
    }
    end = std::min(end + step, input.size());
  }
  if (reader.failed()) outcome.error = reader.error().message;
  outcome.interfaces = reader.interfaces();
  outcome.counters = reader.counters();
  outcome.offset = reader.offset();
  return outcome;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

fs::path shared_captures() {
  const char* shared = std::getenv("BALEEN_SHARED");
  return fs::path(shared ? shared : BALEEN_SOURCE_DIR "/../shared") / "captures";
}

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The rows of the manifest: file, format, link types, packets.
struct Listed {
  std::string file, format, link;
  size_t packets;
};
std::vector<Listed> manifest() {
  std::vector<Listed> rows;
  std::ifstream in(shared_captures() / "MANIFEST.tsv");
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto columns = split(line, '\t');
    if (columns.size() > 10) rows.push_back({columns[0], columns[8], columns[9], std::stoul(columns[10])});
  }
  return rows;
}

const char* wireshark_name(uint16_t link) {
  switch (link) {
    case 0: return "NULL/Loopback";
    case 1: return "Ethernet";
    case 101: return "Raw IP";
    case 113: return "Linux cooked-mode capture v1";
    case 228: return "Raw IPv4";
    case 239: return "NFLOG";
    case 276: return "Linux cooked-mode capture v2";
    default: return "?";
  }
}

TEST(Pcap, EveryCaptureHasThePacketsThatItsManifestSays) {
  const auto rows = manifest();
  if (rows.empty()) GTEST_SKIP() << "no captures in " << shared_captures() << " (set BALEEN_SHARED)";
  for (const Listed& row : rows) {
    SCOPED_TRACE(row.file);
    const Outcome outcome = read_all(read_file(shared_captures() / row.file));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.packets.size(), row.packets);
    EXPECT_EQ(outcome.counters.packets, row.packets);
    ASSERT_FALSE(outcome.interfaces.empty());
    for (const Kept& packet : outcome.packets) {
      const std::string name = wireshark_name(packet.link);
      EXPECT_NE(row.link.find(name == "Raw IP" ? "Raw IP" : name), std::string::npos) << packet.link;
    }
    EXPECT_EQ(outcome.counters.sections, row.format.starts_with("pcapng") ? 1u : 0u);
  }
}

TEST(Pcap, WindowsMakeNoDifference) {
  const auto rows = manifest();
  if (rows.empty()) GTEST_SKIP() << "no captures in " << shared_captures() << " (set BALEEN_SHARED)";
  for (const Listed& row : rows) {
    const std::string input = read_file(shared_captures() / row.file);
    if (input.size() > 30'000) continue;
    SCOPED_TRACE(row.file);
    const Outcome whole = read_all(input);
    for (const size_t step : {size_t{1}, size_t{7}, size_t{64}, size_t{1500}})
      if (step > 1 || input.size() < 6'000) {
        EXPECT_EQ(read_all(input, step, 1 + step % 5), whole) << step;
      }
  }
}

/// Packets of all kinds, times and lengths; `interfaces` of them when the format has interfaces.
std::vector<Kept> made_packets(uint32_t count, uint32_t interfaces) {
  std::mt19937_64 random(42);
  std::vector<Kept> packets;
  int64_t time = 1'764'000'000'123'456'789;
  for (uint32_t i = 0; i < count; ++i) {
    Kept p;
    time += static_cast<int64_t>(random() % 2'000'000'000) - 500'000'000;
    p.ns = time;
    p.bytes.resize(random() % 4 == 0 ? random() % 70'000 : random() % 90);
    for (char& c : p.bytes) c = static_cast<char>(random());
    p.wire_length = static_cast<uint32_t>(p.bytes.size() + (random() % 3 == 0 ? random() % 1000 : 0));
    p.interface = interfaces == 0 ? 0 : static_cast<uint32_t>(random() % interfaces);
    packets.push_back(p);
  }
  return packets;
}

PacketRecord record_of(const Kept& p) {
  return {.time = timestamp_from_ns(p.ns),
          .bytes = as_bytes(p.bytes),
          .wire_length = p.wire_length,
          .interface = p.interface,
          .link = p.link,
          .direction = p.direction,
          .comment = p.comment};
}

TEST(Pcap, WritesWhatItReads) {
  auto packets = made_packets(300, 0);
  std::string file;
  PcapWriter writer(file, 276);
  for (Kept& p : packets) {
    p.link = 276;
    p.offset = file.size();
    EXPECT_EQ(writer.packet(record_of(p)), p.offset);
    EXPECT_EQ(writer.offset(), file.size());
    EXPECT_EQ(file.size() - p.offset, pcap_record_size(p.bytes.size()));
  }
  const Outcome outcome = read_all(file);
  EXPECT_EQ(outcome.packets, packets);
  EXPECT_EQ(outcome.counters.cut_packets, 0u);
}

TEST(Pcapng, WritesWhatItReads) {
  auto packets = made_packets(300, 3);
  std::string file, buffer;
  PcapngWriter writer(buffer, 1000);  // as if the file already held 1000 bytes
  const auto flush = [&] {
    file += buffer;
    buffer.clear();
  };
  writer.section({.hardware = "x86_64", .os = "Linux", .application = "baleen", .comment = "made"});
  const std::array<uint16_t, 3> links{1, 276, 101};
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(writer.interface({.link = links[i],
                                .snap_length = 65536 * i,
                                .name = fmt::format("eth{}", i),
                                .description = "pod shop/cart",
                                .filter = i == 1 ? "port 80" : ""}),
              i);
    flush();
  }
  const std::string keys = "CLIENT_RANDOM 00 11\n";
  writer.secrets(as_bytes(keys));
  const std::array<uint8_t, 4> four{10, 0, 0, 1};
  const std::array<uint8_t, 16> six{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
  const std::array<Name, 3> names{Name{four, "cart.shop"}, Name{six, "pay.shop"},
                                  Name{Bytes{four}.first(3), "left out"}};
  writer.names(names);
  for (Kept& p : packets) {
    p.link = links[p.interface];
    p.direction = static_cast<uint16_t>(p.ns % 3);
    if (p.ns % 5 == 0) p.comment = "packet of " + std::to_string(p.ns);
    p.offset = 1000 + file.size() + buffer.size();
    EXPECT_EQ(writer.packet(record_of(p)), p.offset);
    EXPECT_EQ(writer.offset(), 1000 + file.size() + buffer.size());
    if (p.direction == 0 && p.comment.empty()) {
      EXPECT_EQ(writer.offset() - p.offset, pcapng_packet_size(p.bytes.size()));
    }
    if (p.interface == 2) flush();
  }
  const InterfaceStatistics statistics{.time = timestamp_from_ns(1'764'000'001'000'000'007),
                                       .received = 300,
                                       .dropped = 5,
                                       .os_dropped = 6,
                                       .accepted = 299,
                                       .delivered = 298};
  writer.statistics(1, statistics);
  writer.custom(32473, as_bytes("abc"));
  writer.custom(32473, as_bytes("abcd"), false);
  flush();

  const Outcome outcome = read_all(file, 4096);
  EXPECT_EQ(outcome.error, "");
  ASSERT_EQ(outcome.packets.size(), packets.size());
  for (size_t i = 0; i < packets.size(); ++i) {
    packets[i].offset -= 1000;
    EXPECT_EQ(outcome.packets[i], packets[i]) << i;
  }
  EXPECT_EQ(outcome.secrets, std::vector<std::string>{keys});
  EXPECT_EQ(outcome.names, (std::map<std::string, std::string>{{"0a000001", "cart.shop"},
                                                               {"fd000000000000000000000000000009", "pay.shop"}}));
  ASSERT_EQ(outcome.interfaces.size(), 3u);
  EXPECT_EQ(outcome.interfaces[1].name, "eth1");
  EXPECT_EQ(outcome.interfaces[1].filter, "port 80");
  EXPECT_EQ(outcome.interfaces[1].snap_length, 65536u);
  EXPECT_EQ(outcome.interfaces[1].resolution.exponent, 9);
  EXPECT_EQ(outcome.interfaces[1].statistics, statistics);
  EXPECT_EQ(outcome.interfaces[0].statistics, InterfaceStatistics{});
  EXPECT_EQ(outcome.counters.skipped_blocks, 2u);
  EXPECT_EQ(outcome.counters.malformed_options, 0u);
}

TEST(Pcapng, LongTextIsCutBetweenCharacters) {
  std::string file;
  PcapngWriter writer(file);
  writer.section({});
  writer.interface({});
  std::string comment(65'534, 'x');
  comment += "\xc3\xa4ndert";  // the option's last byte would be half of an umlaut
  writer.packet({.bytes = as_bytes("1234"), .wire_length = 4, .comment = comment});
  const Outcome outcome = read_all(file);
  ASSERT_EQ(outcome.packets.size(), 1u);
  EXPECT_EQ(outcome.packets[0].comment, std::string(65'534, 'x'));
}

TEST(Pcapng, ManyNamesTakeSeveralBlocks) {
  std::string file, name(1000, 'n');
  PcapngWriter writer(file);
  writer.section({});
  std::vector<std::array<uint8_t, 4>> addresses(3000);
  std::vector<Name> names;
  for (size_t i = 0; i < addresses.size(); ++i) {
    addresses[i] = {10, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    names.push_back({addresses[i], name});
  }
  writer.names(names);
  EXPECT_EQ(writer.offset(), file.size());
  EXPECT_EQ(read_all(file).names.size(), 3000u);
}

/// A file that programs of other people open: counted by capinfos, and dissected by tshark.
TEST(Pcapng, OtherToolsReadWhatWeWrite) {
  if (std::system("command -v capinfos tshark >/dev/null 2>&1") != 0) GTEST_SKIP() << "no capinfos or tshark here";
  std::string ng, classic;
  PcapngWriter writer(ng);
  PcapWriter old(classic, 1);
  writer.section({.hardware = "x86_64", .os = "Linux 6", .application = "baleen 0.1"});
  writer.interface({.link = 1, .name = "eth0", .description = "node's", .filter = "udp"});
  writer.secrets(as_bytes("CLIENT_RANDOM 00 11\n"));
  const std::array<uint8_t, 4> four{10, 0, 0, 1};
  writer.names(std::array<Name, 1>{Name{four, "cart.shop"}});
  // Ethernet, IPv4 10.0.0.1 -> 10.0.0.2, UDP 1000 -> 2000, "hi"
  const std::string packet(
      "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x1e\x00\x00\x00\x00\x40\x11\x00\x00\x0a\x00"
      "\x00\x01\x0a\x00\x00\x02\x03\xe8\x07\xd0\x00\x0a\x00\x00hi",
      44);
  for (int i = 0; i < 10; ++i) {
    const PacketRecord record{.time = timestamp_from_ns(1'764'000'000'000'000'001 + i),
                              .bytes = as_bytes(packet),
                              .wire_length = 60,
                              .direction = 1,
                              .comment = i == 3 ? "the third" : ""};
    writer.packet(record);
    old.packet(record);
  }
  writer.statistics(0, {.time = timestamp_from_ns(1'764'000'001'000'000'000), .received = 12, .dropped = 2});
  writer.custom(32473, as_bytes("abc"));
  const fs::path folder = fs::temp_directory_path() / fmt::format("baleen-pcap-{}", ::getpid());
  fs::create_directory(folder);
  const auto run = [&](const std::string& command) {
    const int status = std::system((command + " > " + (folder / "out").string() + " 2>&1").c_str());
    EXPECT_EQ(status, 0) << command << "\n" << read_file(folder / "out");
    return read_file(folder / "out");
  };
  for (const auto& [name, content] : {std::pair("a.pcapng", ng), std::pair("a.pcap", classic)}) {
    const std::string file = (folder / name).string();
    std::ofstream(file, std::ios::binary) << content;
    EXPECT_NE(run("capinfos -c -M " + file).find("Number of packets:   10"), std::string::npos);
    const std::string text = run("tshark -n -r " + file +
                                 " -T fields -e ip.src -e udp.dstport -e frame.len "
                                 "-e frame.cap_len -e frame.time_epoch -e frame.comment");
    EXPECT_NE(text.find("10.0.0.1\t2000\t60\t44\t1764000000.000000004"), std::string::npos) << text;
    if (content == ng) {
      EXPECT_NE(text.find("the third"), std::string::npos) << text;
      const std::string about = run("capinfos " + file);
      for (const char* part : {"baleen 0.1", "Linux 6", "Name = eth0", "Number of packets = 10"})
        EXPECT_NE(about.find(part), std::string::npos) << part << " in\n" << about;
      EXPECT_NE(run("tshark -N n -r " + file + " -T fields -e ip.src_host").find("cart.shop"), std::string::npos);
    }
  }
  fs::remove_all(folder);
}

// --- made by hand, byte by byte ---

template <class T>
std::string number(T value, bool big) {
  std::string bytes(sizeof value, '\0');
  for (size_t i = 0; i < sizeof value; ++i)
    bytes[big ? sizeof value - 1 - i : i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  return bytes;
}
std::string block(uint32_t type, std::string body, bool big) {
  body.resize((body.size() + 3) & ~size_t{3});
  const auto length = static_cast<uint32_t>(body.size() + 12);
  return number(type, big) + number(length, big) + body + number(length, big);
}
std::string option(uint16_t code, std::string value, bool big) {
  const auto length = static_cast<uint16_t>(value.size());
  value.resize((value.size() + 3) & ~size_t{3});
  return number(code, big) + number(length, big) + value;
}
std::string section(bool big) {
  return block(kSectionHeader,
               number(kByteOrderMagic, big) + number(uint16_t{1}, big) + number(uint16_t{0}, big) + number(~0ull, big),
               big);
}
std::string interface(uint16_t link, uint32_t snap, const std::string& options, bool big) {
  return block(kInterfaceDescription, number(link, big) + number(uint16_t{0}, big) + number(snap, big) + options, big);
}
std::string enhanced(uint32_t interface, uint64_t time, const std::string& data, uint32_t wire, bool big,
                     const std::string& options = "") {
  std::string body = number(interface, big) + number(static_cast<uint32_t>(time >> 32), big) +
                     number(static_cast<uint32_t>(time), big) + number(static_cast<uint32_t>(data.size()), big) +
                     number(wire, big) + data;
  body.resize((body.size() + 3) & ~size_t{3});
  return block(kEnhancedPacket, body + options, big);
}

/// Everything in one file: both byte orders, two sections, every block.
std::string everything() {
  std::string file;
  for (const bool big : {true, false}) {
    file += section(big);
    file += interface(1, 0, option(2, big ? "big" : "little", big) + option(0, "", big), big);
    file += interface(
        101, 10, option(9, "\x8a", big) + option(14, number(int64_t{-100}, big), big) + option(13, "\x04", big), big);
    file += block(kCustom, number(32473u, big) + "xyz", big);
    file += block(kDecryptionSecrets, number(kTlsKeyLog, big) + number(3u, big) + "key", big);
    file += block(
        kNameResolution,
        number(uint16_t{1}, big) + number(uint16_t{8}, big) + std::string("\1\2\3\4a\0b\0", 8) + number(0u, big), big);
    file +=
        enhanced(0, 1'000'000'000'000'001, "first", 99, big, option(1, "hello", big) + option(2, number(2u, big), big));
    file += enhanced(1, 1024 * 1000 + 512, "secondFCS!", 10, big);
    file += block(kSimplePacket, number(4u, big) + "simp", big);
    file += block(kObsoletePacket,
                  number(uint16_t{0}, big) + number(uint16_t{7}, big) + number(0u, big) + number(77u, big) +
                      number(3u, big) + number(3u, big) + "old",
                  big);
    file += block(0x77777777, "unknown", big);
    file += block(kInterfaceStatistics,
                  number(0u, big) + number(0u, big) + number(5u, big) + option(5, number(uint64_t{9}, big), big), big);
  }
  return file;
}

TEST(Pcapng, ReadsBothByteOrdersAndEveryBlock) {
  const Outcome outcome = read_all(everything());
  EXPECT_EQ(outcome.error, "");
  ASSERT_EQ(outcome.packets.size(), 8u);
  ASSERT_EQ(outcome.interfaces.size(), 4u);
  EXPECT_EQ(outcome.interfaces[0].name, "big");
  EXPECT_EQ(outcome.interfaces[2].name, "little");
  for (const uint32_t s : {0u, 1u}) {
    const Kept* p = &outcome.packets[s * 4];
    EXPECT_EQ(p[0].bytes, "first");
    EXPECT_EQ(p[0].wire_length, 99u);
    EXPECT_EQ(p[0].ns, 1'000'000'000'000'001'000);
    EXPECT_EQ(p[0].comment, "hello");
    EXPECT_EQ(p[0].direction, 2);
    EXPECT_EQ(p[0].interface, s * 2);
    EXPECT_EQ(p[1].bytes, "second");  // without its frame check sequence
    EXPECT_EQ(p[1].wire_length, 6u);
    EXPECT_EQ(p[1].link, 101);
    EXPECT_EQ(p[1].interface, s * 2 + 1);
    EXPECT_EQ(p[1].ns, 900'500'000'000);  // 1000.5 s in units of 2^-10, less 100
    EXPECT_EQ(p[2].bytes, "simp");
    EXPECT_EQ(p[2].ns, p[1].ns);
    EXPECT_EQ(p[3].bytes, "old");
    EXPECT_EQ(p[3].ns, 77'000);
    EXPECT_EQ(outcome.interfaces[s * 2].statistics.dropped, 9u);
  }
  EXPECT_EQ(outcome.secrets, (std::vector<std::string>{"key", "key"}));
  EXPECT_EQ(outcome.names, (std::map<std::string, std::string>{{"01020304", "b"}}));
  EXPECT_EQ(outcome.counters, (ReaderCounters{.packets = 8, .skipped_blocks = 4, .untimed_packets = 2, .sections = 2}));
  for (size_t step = 1; step < 200; step += 3) EXPECT_EQ(read_all(everything(), step, 1 + step % 4), outcome) << step;
}

/// A classic file in any byte order and dialect; the fraction is 5, the lengths 4 of 60.
std::string classic(uint32_t magic, bool big, uint16_t minor = 4, bool swap_lengths = false, uint32_t link = 1) {
  std::string file = number(magic, big) + number(uint16_t{2}, big) + number(minor, big) + std::string(8, '\0') +
                     number(65535u, big) + number(link, big);
  for (const char* data : {"one.", "two."}) {
    const uint32_t lengths[2] = {4, 60};
    file +=
        number(1000u, big) + number(5u, big) + number(lengths[swap_lengths], big) + number(lengths[!swap_lengths], big);
    if (magic == kMagicModified) file += std::string(8, '\1');
    file += data;
  }
  return file;
}

TEST(Pcap, ReadsEveryDialect) {
  struct Row {
    const char* name;
    std::string file;
    int64_t ns;
  };
  const Row rows[] = {
      {"little µs", classic(kMagicMicroseconds, false), 1'000'000'005'000},
      {"big µs", classic(kMagicMicroseconds, true), 1'000'000'005'000},
      {"little ns", classic(kMagicNanoseconds, false), 1'000'000'000'005},
      {"big ns", classic(kMagicNanoseconds, true), 1'000'000'000'005},
      {"little modified", classic(kMagicModified, false), 1'000'000'005'000},
      {"big modified", classic(kMagicModified, true), 1'000'000'005'000},
      {"2.2, lengths swapped", classic(kMagicMicroseconds, true, 2, true), 1'000'000'005'000},
      {"2.3, lengths swapped", classic(kMagicMicroseconds, false, 3, true), 1'000'000'005'000},
      {"2.3, lengths not swapped", classic(kMagicMicroseconds, false, 3, false), 1'000'000'005'000},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Outcome outcome = read_all(row.file);
    EXPECT_EQ(outcome.error, "");
    ASSERT_EQ(outcome.packets.size(), 2u);
    EXPECT_EQ(outcome.packets[1].bytes, "two.");
    EXPECT_EQ(outcome.packets[1].wire_length, 60u);
    EXPECT_EQ(outcome.packets[1].ns, row.ns);
    EXPECT_EQ(read_all(row.file, 1), outcome);
  }
  // "frame check sequence of two 16-bit words": of 60 bytes the last four, of which nothing was captured
  const Outcome fcs = read_all(classic(kMagicMicroseconds, false, 4, false, 0x24000000 | 1));
  EXPECT_EQ(fcs.packets.at(0).wire_length, 56u);
  EXPECT_EQ(fcs.packets.at(0).bytes, "one.");
  EXPECT_EQ(fcs.packets.at(0).link, 1);
}

TEST(Pcap, ACutAnywhereKeepsWhatCameBefore) {
  std::vector<std::string> files{everything(), classic(kMagicNanoseconds, true), classic(kMagicModified, false)};
  for (const Listed& row : manifest())
    if (fs::file_size(shared_captures() / row.file) < 2500) files.push_back(read_file(shared_captures() / row.file));
  for (const std::string& file : files) {
    const Outcome whole = read_all(file);
    for (size_t length = 0; length < file.size(); ++length) {
      const Outcome cut = read_all(std::string_view(file).substr(0, length));
      ASSERT_LE(cut.packets.size(), whole.packets.size());
      for (size_t i = 0; i < cut.packets.size(); ++i) ASSERT_EQ(cut.packets[i], whole.packets[i]) << length;
      if (cut.error.empty()) {
        EXPECT_EQ(cut.counters.cut_packets, cut.offset < length ? 1u : 0u) << length;
      } else {
        EXPECT_TRUE(cut.packets.empty()) << "only a cut file header is an error, not this: " << cut.error;
      }
    }
  }
}

TEST(Pcapng, SaysWhatIsCorruptAndWhere) {
  const std::string good = section(false) + interface(1, 0, "", false) + enhanced(0, 5, "data", 4, false);
  const auto at = std::to_string(good.size());
  std::string ends_differ = enhanced(0, 5, "data", 4, false);
  ends_differ[ends_differ.size() - 4] ^= 4;
  struct Row {
    std::string damage, message;
  };
  const Row rows[] = {
      {ends_differ, "says it is 36 bytes long in front and 32 at its end"},
      {number(6u, false) + number(13u, false) + std::string(30, 'x'), "says it is 13 bytes long"},
      {number(6u, false) + number(8u, false) + std::string(30, 'x'), "says it is 8 bytes long"},
      {number(6u, false) + number(0x7ffffffcu, false) + std::string(30, 'x'), "the limit is 16777216"},
      {enhanced(1, 5, "data", 4, false), "a packet of interface 1, of which the section has 1"},
      {block(6, "short", false), "an enhanced packet block that is too short"},
      {block(6,
             number(0u, false) + number(0u, false) + number(0u, false) + number(5u, false) + number(5u, false) + "data",
             false),
       "a packet of 5 bytes in a block too short for it"},
      {block(6,
             number(0u, false) + number(0u, false) + number(0u, false) + number(0xfffffffeu, false) +
                 number(5u, false) + "data",
             false),
       "a packet of 4294967294 bytes cannot be"},
      {block(kSimplePacket, "", false), "a simple packet block that is too short"},
      {block(kInterfaceDescription, "", false), "an interface description that is too short"},
      {block(kInterfaceStatistics, "1234", false), "an interface statistics block that is too short"},
      {block(kInterfaceStatistics, number(3u, false) + std::string(8, 'x'), false), "statistics of interface 3"},
      {block(kDecryptionSecrets, "1234", false), "a decryption secrets block that is too short"},
      {block(kDecryptionSecrets, number(1u, false) + number(9u, false), false), "secrets of 9 bytes"},
      {block(kSectionHeader, number(kByteOrderMagic, false) + number(uint16_t{3}, false) + std::string(10, '\0'),
             false),
       "pcapng version 3.0 is not known"},
      {block(kSectionHeader, "abcdefghijklmnop", false), "a section header with the byte-order magic"},
      {block(kSectionHeader, number(kByteOrderMagic, false), false), "a section header that is too short"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = read_all(good + row.damage + enhanced(0, 5, "after", 4, false));
    EXPECT_NE(outcome.error.find("corrupt capture at offset " + at + ": "), std::string::npos) << outcome.error;
    EXPECT_NE(outcome.error.find(row.message), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.packets.size(), 1u) << row.message;
  }
  EXPECT_NE(read_all(section(false) + block(kSimplePacket, number(4u, false) + "data", false)).error.find("before any"),
            std::string::npos);
}

TEST(Pcapng, OptionsThatRunPastTheirBlockCostNothingElse) {
  const std::string bad = number(uint16_t{1}, false) + number(uint16_t{500}, false) + "ab";
  const Outcome outcome =
      read_all(section(false) + interface(1, 0, bad, false) + enhanced(0, 5, "data", 4, false, bad));
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.packets.size(), 1u);
  EXPECT_EQ(outcome.counters.malformed_options, 2u);
}

TEST(Pcap, SaysWhatItIsNot) {
  struct Row {
    std::string input, message;
  };
  const Row rows[] = {
      {"", "the input is empty"},
      {"\xd4\xc3", "the input ends inside the file header"},
      {classic(kMagicMicroseconds, false).substr(0, 20), "the input ends inside the file header"},
      {section(false).substr(0, 20), "the input ends inside the file header"},
      {"hello world, hello world", "neither pcap nor pcapng"},
      {"\x1f\x8b\x08 and so on", "compressed with gzip"},
      {std::string("\xfd"
                   "7zXZ\0 and",
                   9),
       "xz -d"},
      {classic(kMagicMicroseconds, false, 4).replace(4, 1, "\x09"), "pcap version 9.4 is not known"},
      {classic(kMagicMicroseconds, false).substr(0, 24) + std::string(16, '\x7f'), "offset 24: a packet of 2139062143"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = read_all(row.input);
    EXPECT_NE(outcome.error.find(row.message), std::string::npos) << row.message << " / " << outcome.error;
    EXPECT_TRUE(outcome.packets.empty());
  }
}

TEST(Pcapng, InterfacesAreBounded) {
  std::string file = section(false);
  for (int i = 0; i < 5; ++i) file += interface(1, 0, "", false);
  EXPECT_EQ(read_all(file, 0, 7, {.interfaces = 5}).error, "");
  EXPECT_NE(read_all(file, 0, 7, {.interfaces = 4}).error.find("more than 4 interfaces"), std::string::npos);
}

TEST(TimeResolution, ConvertsAnythingToNanoseconds) {
  struct Row {
    TimeResolution resolution;
    uint64_t units;
    int64_t ns;
  };
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const Row rows[] = {
      {{.exponent = 6}, 1, 1000},
      {{.exponent = 9}, 123, 123},
      {{.exponent = 0}, 7, 7'000'000'000},
      {{.exponent = 12}, 1'234'567, 1234},
      {{.exponent = 127}, ~0ull, 0},
      {{.exponent = 9}, ~0ull, kMax},
      {{.exponent = 0}, ~0ull, kMax},
      {{.exponent = 10, .power_of_two = true}, 1536, 1'500'000'000},
      {{.exponent = 63, .power_of_two = true}, 1ull << 62, 500'000'000},
      {{.exponent = 64, .power_of_two = true}, ~0ull, 0},
      {{.exponent = 0, .power_of_two = true}, 3, 3'000'000'000},
      {{.exponent = 6, .offset_seconds = 1}, 1, 1'000'001'000},
      {{.exponent = 6, .offset_seconds = std::numeric_limits<int64_t>::min()}, 1, std::numeric_limits<int64_t>::min()},
  };
  for (const Row& row : rows)
    EXPECT_EQ(row.resolution.to_ns(row.units), row.ns) << int{row.resolution.exponent} << " " << row.units;
}

}  // namespace
}  // namespace baleen::codec::pcap
