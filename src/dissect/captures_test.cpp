// Every capture that is shared, through the engine with all protocols: what tshark counts of these protocols is what is
// counted here, and where tshark finds none of them, none is found. Differences are listed with their reasons.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "codec/pcap/format.h"
#include "codec/pcap/reader.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "dissect/tls/decrypt/key_log.h"

namespace baleen::dissect {
namespace {

namespace fs = std::filesystem;

fs::path shared() {
  if (const char* given = std::getenv("BALEEN_SHARED")) return given;
  return fs::path(BALEEN_SOURCE_DIR) / ".." / "shared";
}

struct Counts {
  int requests = 0, responses = 0;
  bool operator==(const Counts&) const = default;
};

class Counting final : public EngineObserver {
 public:
  void on_item(item::ItemRef item) override {
    std::string name(item->protocol->macro);
    if (name == "gql") name = "http";  // for tshark a call of GraphQL is HTTP with JSON in it
    Counts& c = by_protocol[name];
    c.requests += item->request.present;
    c.responses += item->response.present;
    singles[name] += item->data.present;
    if (const std::string ja4(item->request.payload["ja4"].text()); !ja4.empty()) fingerprints.insert(ja4);
  }
  std::map<std::string, Counts> by_protocol;
  std::map<std::string, int> singles;
  std::multiset<std::string> fingerprints;
};

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void replay(const fs::path& path, Counting& out) {
  const std::string bytes = read_file(path);
  EngineOptions options;
  options.protocols = registry();
  tls::KeyLog secrets;
  options.settings.key_log = &secrets;
  Engine engine(options, out);
  codec::pcap::Reader reader;
  Bytes window = as_bytes(bytes);
  std::vector<codec::pcap::PacketRecord> records(256);
  for (;;) {
    const auto step = reader.read(window, records);
    for (size_t i = 0; i < step.packets; ++i) {
      const codec::pcap::PacketRecord& r = records[i];
      net::Packet packet;
      packet.time = r.time;
      packet.bytes = r.bytes;
      packet.wire_length = r.wire_length;
      packet.interface = r.interface;
      packet.link = static_cast<net::LinkType>(r.link);
      engine.on_packet(packet);
    }
    if (step.kind == codec::pcap::Reader::Kind::kSecrets && step.type == codec::pcap::kTlsKeyLog)
      secrets.add(as_text(step.body));
    window = window.subspan(step.consumed);
    if (step.kind == codec::pcap::Reader::Kind::kFailed ||
        (step.kind == codec::pcap::Reader::Kind::kNeed && step.packets == 0))
      break;
  }
  engine.finish();
}

/// What this test speaks about: the table's name and ours.
const std::map<std::string, std::string>& protocols() {
  static const std::map<std::string, std::string> names = {{"http", "http"},
                                                           {"dns", "dns"},
                                                           {"mdns", "mdns"},
                                                           {"llmnr", "llmnr"},
                                                           {"redis", "redis"},
                                                           {"kafka", "kafka"},
                                                           {"amqp", "amqp"},
                                                           {"ldap", "ldap"},
                                                           {"radius", "radius"},
                                                           {"diameter", "diameter"},
                                                           {"mqtt(packets)", "mqtt"},
                                                           {"sip", "sip"},
                                                           {"smtp", "smtp"},
                                                           {"ftp", "ftp"},
                                                           {"cql", "cassandra"},
                                                           {"memcache", "memcached"},
                                                           {"ntp", "ntp"},
                                                           {"dhcp", "dhcp"},
                                                           {"tls(hello)", "tlsx"},
                                                           {"http2", "http2"},
                                                           {"http(decrypted)", "http"},
                                                           {"http2(decrypted)", "http2"}};
  return names;
}

struct Difference {
  const char *file, *protocol;
  Counts counts;
  const char* reason;
};
#include "dissect/captures_differences.inc"  // kDifferences

/// docs/reference/oracle-differences.md: the rows of the table above, beside what tshark counts.
std::string differences_page(std::map<std::string, std::map<std::string, Counts>>& tshark) {
  std::string page =
      "# Where our counts differ from tshark's\n\n"
      "Requests / responses over the captures that the project is tried on, counted by tshark 4.0.17 and by `baleen\n"
      "dissect`. What is not in this table is equal. AMQP's methods and MQTT's packets are counted in both directions\n"
      "together, FTP's and SMTP's lone replies as responses. A row that says WRONG is a fault of ours.\n\n"
      "MySQL, PostgreSQL, MongoDB and Redis: [databases](oracle-differences-db.md). Connections: "
      "[TCP](oracle-differences-tcp.md).\n\n"
      "| capture | protocol | tshark | ours | why |\n| --- | --- | --- | --- | --- |\n";
  for (const Difference& d : kDifferences) {
    const Counts& theirs = tshark[d.file][d.protocol];
    std::stringstream row;
    row << "| " << d.file << " | " << d.protocol << " | " << theirs.requests << " / " << theirs.responses << " | "
        << d.counts.requests << " / " << d.counts.responses << " | " << d.reason << " |\n";
    page += row.str();
  }
  return page;
}

TEST(Captures, CountsAreThoseOfTshark) {
  const fs::path folder = shared() / "captures";
  if (!fs::exists(folder / "oracle_counts.tsv")) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  std::map<std::string, std::map<std::string, Counts>> expected;
  std::ifstream table(folder / "oracle_counts.tsv");
  for (std::string line; std::getline(table, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::stringstream cells(line);
    std::string file, protocol, requests, responses;
    std::getline(cells, file, '\t');
    std::getline(cells, protocol, '\t');
    std::getline(cells, requests, '\t');
    std::getline(cells, responses, '\t');
    auto& counts = expected[file];
    if (const auto ours = protocols().find(protocol); ours != protocols().end())
      counts[ours->second] = {std::atoi(requests.c_str()), std::atoi(responses.c_str())};
  }
  ASSERT_GT(expected.size(), 70u);
  for (auto& [file, want] : expected) {
    if (!fs::exists(folder / file)) continue;
    Counting got;
    replay(folder / file, got);
    for (const auto& [theirs, name] : protocols()) {
      Counts counts = got.by_protocol[name];
      // tshark counts AMQP's methods and MQTT's packets of both directions together.
      if (name == "amqp" || name == "mqtt") counts = {counts.requests + counts.responses, 0};
      if (name == "http2") {
        counts.requests += got.by_protocol["grpc"].requests;
        counts.responses += got.by_protocol["grpc"].responses;
      }
      if (name == "ftp" || name == "smtp") counts.responses += got.singles[name];
      Counts wanted = want[name];
      for (const Difference& d : kDifferences)
        if (file == d.file && name == d.protocol) wanted = d.counts;
      EXPECT_EQ(counts, wanted) << "{\"" << file << "\", \"" << name << "\", {" << counts.requests << ", "
                                << counts.responses << "}, \"\"},  // tshark: " << wanted.requests << " "
                                << wanted.responses;
    }
    // What tshark's table does not count must not appear where it makes no sense.
    for (const char* name : {"nats", "thrift", "zookeeper"}) {
      const bool named = file.find(name) != std::string::npos;
      EXPECT_EQ(got.by_protocol.count(name) != 0, named) << file << " " << name;
    }
  }
  const fs::path page = BALEEN_SOURCE_DIR "/docs/reference/oracle-differences.md";
  const std::string text = differences_page(expected);
  if (std::getenv("BALEEN_UPDATE_GOLDENS") != nullptr) std::ofstream(page, std::ios::binary) << text;
  EXPECT_EQ(read_file(page), text) << "run with BALEEN_UPDATE_GOLDENS=1";
}

TEST(Captures, FingerprintsAreThoseOfJa4) {
  const fs::path capture = shared() / "captures/ja4/pcap/tls-handshake.pcapng";
  if (!fs::exists(capture)) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  std::multiset<std::string> expected;
  const auto expect = [&](const std::string& file, const std::string& key, const std::string& begin, char end) {
    const std::string text = read_file(capture.string() + ".expected/" + file);
    for (size_t at = text.find(key + begin); at != std::string::npos; at = text.find(key + begin, at + 1)) {
      const size_t from = at + key.size();
      expected.insert(text.substr(from, text.find(end, from) - from));
    }
  };
  expect("python__test__testdata__tls-handshake.pcapng.json", "\"JA4.1\": \"", "t", '"');
  expect("rust__ja4__src__snapshots__ja4__insta@tls-handshake.pcapng.snap", "ja4: ", "q", '\n');
  ASSERT_GT(expected.size(), 70u);
  Counting got;
  replay(capture, got);
  EXPECT_EQ(got.fingerprints, expected);
}

}  // namespace
}  // namespace baleen::dissect
