#include "dissect/kafka/kafka.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include "dissect/kafka/schema.h"
#include "dissect/test_table.h"

namespace baleen::dissect::kafka {
namespace {

std::string str(const std::string& s) { return sized(2, s); }
std::string compact(const std::string& s) { return be(s.size() + 1, 1) + s; }

std::string request(int key, int version, int id, const std::string& body, const std::string& client = "cl") {
  return sized(4, be(key, 2) + be(version, 2) + be(id, 4) + str(client) + body);
}
std::string response(int id, const std::string& body) { return sized(4, be(id, 4) + body); }

std::string zigzag(int64_t n) {
  uint64_t v = static_cast<uint64_t>(n) << 1 ^ static_cast<uint64_t>(n >> 63);
  std::string out;
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  return out + static_cast<char>(v);
}
std::string record(int offset, const std::string& key, const std::string& value, bool headers = false) {
  std::string body = std::string(1, '\0') + zigzag(5) + zigzag(offset) + zigzag(static_cast<int64_t>(key.size())) +
                     key + zigzag(static_cast<int64_t>(value.size())) + value;
  body += headers ? zigzag(1) + zigzag(2) + "hk" + zigzag(2) + "hv" : zigzag(0);
  return zigzag(static_cast<int64_t>(body.size())) + body;
}
std::string batch(int compression, int count, const std::string& records) {
  const std::string rest = be(0, 4) + be(2, 1) + be(0, 4) + be(compression, 2) + be(count - 1, 4) + be(1000, 8) +
                           be(1000, 8) + be(UINT64_MAX, 8) + be(0xFFFF, 2) + be(UINT32_MAX, 4) + be(count, 4) + records;
  return be(100, 8) + sized(4, rest);
}
std::string produce2(const std::string& records, int acks = 1) {
  return be(acks, 2) + be(1000, 4) + be(1, 4) + str("t") + be(1, 4) + be(0, 4) + sized(4, records);
}
std::string message1(int attributes, const std::string& key, const std::string& value) {
  return be(7, 8) + sized(4, be(0, 4) + be(1, 1) + be(attributes, 1) + be(99, 8) + sized(4, key) + sized(4, value));
}
std::string message0(const std::string& value) {
  return be(3, 8) + sized(4, be(0, 4) + be(0, 1) + be(0, 1) + be(UINT32_MAX, 4) + sized(4, value));
}

std::string gzipped(const std::string& in) {
  std::string out(in.size() + 100, '\0');
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string snapped(const std::string& in) {
  std::string out;
  snappy::Compress(in.data(), in.size(), &out);
  return out;
}
std::string xerial(const std::string& in) {
  return unhex("82 'SNAPPY' 00 00000001 00000001") + sized(4, snapped(in.substr(0, 5))) +
         sized(4, snapped(in.substr(5)));
}
std::string lz4ed(const std::string& in) {
  std::string out(LZ4F_compressFrameBound(in.size(), nullptr), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), nullptr));
  return out;
}
std::string zstded(const std::string& in) {
  std::string out(ZSTD_compressBound(in.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  return out;
}

const std::string kTwo = record(0, "k1", "v1", true) + record(1, "k2", "v2");
const std::string kProduced =
    response(1, be(1, 4) + str("t") + be(1, 4) + be(0, 4) + be(0, 2) + be(55, 8) + be(UINT64_MAX, 8) + be(0, 4));
constexpr const char* kTwoRecords =
    R"~("count":2|"records":[{"offset":100,"timestamp":1005,"key":"k1","value":"v1","headers":{"hk":"hv"}},{"offset":101,"timestamp":1005,"key":"k2","value":"v2"}])~";

Row produced(const char* name, int code, const std::string& records) {
  return {name,
          {c(request(0, 2, 1, produce2(batch(code, 2, records)))), s(kProduced)},
          {std::string(R"~("apiKeyName":"PRODUCE"|"summary":"t"|"compression":")~") + name + "\"|" + kTwoRecords +
           R"~(|"baseOffset":55|"status":"NONE")~"}};
}

const std::string kSubscription1 = be(1, 2) + be(2, 4) + str("t1") + str("t2") + be(UINT32_MAX, 4) + be(1, 4) +
                                   str("t1") + be(2, 4) + be(0, 4) + be(3, 4);
const std::string kAssignment = be(0, 2) + be(1, 4) + str("t1") + be(2, 4) + be(0, 4) + be(1, 4) + be(UINT32_MAX, 4);

std::vector<Row> rows() {
  return {
      produced("none", 0, kTwo),
      produced("gzip", 1, gzipped(kTwo)),
      produced("snappy", 2, snapped(kTwo)),
      produced("snappy", 2, xerial(kTwo)),
      produced("lz4", 3, lz4ed(kTwo)),
      produced("zstd", 4, zstded(kTwo)),
      {"magic 1, compressed",
       {c(request(0, 2, 1, produce2(message1(1, "", gzipped(message1(0, "a", "b") + message1(0, "c", "d"))))))},
       {R"~("magic":1,"count":2,"batches":1,"compression":"gzip"|"key":"a","value":"b"|"key":"c","value":"d")~"}},
      {"magic 0",
       {c(request(0, 1, 1, produce2(message0("x") + message0("y"))))},
       {R"~("magic":0,"count":2|"key":null,"value":"x"|"value":"y")~"}},
      {"acks 0 has no answer", {c(request(0, 2, 1, produce2(message0("x"), 0)))}, {R"~(0 req|"acks":0)~"}},
      {"api versions 3",
       {c(request(18, 3, 9, std::string(1, '\0') + compact("java") + compact("3.7") + std::string(1, '\0'))),
        s(response(9, be(0, 2) + be(2, 1) + be(0, 2) + be(0, 2) + be(9, 2) + be(0, 1) + be(0, 4) + be(0, 1)))},
       {R"~("apiKeyName":"API_VERSIONS"|"clientSoftwareName":"java"|"summary":"cl"|"maxVersion":9)~"}},
      {"api versions refused",
       {c(request(18, 3, 9, std::string(1, '\0') + compact("java") + compact("3.7") + std::string(1, '\0'))),
        s(response(9, be(35, 2) + be(1, 4) + be(18, 2) + be(0, 2) + be(2, 2)))},
       {R"~("maxVersion":2|"errorCode":35,"status":"UNSUPPORTED_VERSION")~"}},
      {"out of order",
       {c(request(12, 0, 1, str("g1") + be(1, 4) + str("m")) + request(12, 0, 2, str("g2") + be(1, 4) + str("m"))),
        s(response(2, be(0, 2)) + response(1, be(27, 2)))},
       {R"~("groupId":"g2"|"status":"NONE")~", R"~("summary":"g1"|"status":"REBALANCE_IN_PROGRESS")~"}},
      {"half", {c(request(12, 0, 1, str("g1") + be(1, 4) + str("m")))}, {"2 req"}},
      {"orphan", {s(response(5, be(0, 2)))}, {"3 res|\"correlationID\":5"}},
      {"unknown operation", {c(request(200, 0, 1, "abc"))}, {R"~("apiKeyName":"API_200")~"}},
      {"short request", {c(request(12, 0, 1, str("g1")))}, {"req|error=fields of the request are missing"}},
      {"tagged",
       {c(request(1, 12, 4,
                  std::string(1, '\0') + be(UINT32_MAX, 4) + be(500, 4) + be(1, 4) + be(1 << 20, 4) + be(0, 1) +
                      be(0, 4) + be(UINT32_MAX, 4) + be(2, 1) + compact("topic-a") + be(2, 1) + be(3, 4) + be(1, 4) +
                      be(77, 8) + be(UINT32_MAX, 4) + be(UINT64_MAX, 8) + be(1 << 20, 4) + be(0, 1) + be(0, 1) +
                      be(1, 1) + compact("") + be(1, 1) + be(0, 1) + be(3, 1) + compact("cl")))},
       {R"~("apiKeyName":"FETCH"|"fetchOffset":77|"clusterId":"cl"|"summary":"topic-a")~"}},
      {"a consumer's subscription (version 1), and one that is no consumer's",
       {c(request(11, 0, 1,
                  str("g") + be(1000, 4) + str("") + str("consumer") + be(2, 4) + str("range") +
                      sized(4, kSubscription1) + str("own") + sized(4, std::string("\0\0 not a consumer", 17)))),
        s(response(1, be(0, 2) + be(1, 4) + str("range") + str("m1") + str("m1") + be(1, 4) + str("m1") +
                          sized(4, kSubscription1)))},
       {R"~("name":"range","metadata":{"version":1,"topics":["t1","t2"],"userData":null,"ownedPartitions":[{"topic":"t1","partitions":[0,3]}]}|"name":"own","metadata":"|"summary":"g"|"leader":"m1"|"members":[{"memberId":"m1","metadata":{"version":1,"topics":["t1","t2"])~"}},
      {"subscriptions of versions 0, 3 and of one to come",
       {c(request(11, 0, 1,
                  str("g") + be(1000, 4) + str("") + str("consumer") + be(3, 4) + str("v0") +
                      sized(4, be(0, 2) + be(1, 4) + str("t") + sized(4, "mine")) + str("v3") +
                      sized(4, be(3, 2) + be(0, 4) + be(UINT32_MAX, 4) + be(0, 4) + be(7, 4) + str("rack-a")) +
                      str("v5") +
                      sized(4, be(5, 2) + be(0, 4) + be(UINT32_MAX, 4) + be(0, 4) + be(7, 4) + str("r") + "more")))},
       {R"~("metadata":{"version":0,"topics":["t"],"userData":"mine"}|"metadata":{"version":3,"topics":[],"userData":null,"ownedPartitions":[],"generationId":7,"rackId":"rack-a"}|"metadata":{"version":5,"topics":[],"userData":null,"ownedPartitions":[],"generationId":7,"rackId":"r"})~"}},
      {"assignments",
       {c(request(
            14, 0, 1,
            str("g") + be(1, 4) + str("m1") + be(2, 4) + str("m1") + sized(4, kAssignment) + str("m2") + sized(4, ""))),
        s(response(1, be(0, 2) + sized(4, kAssignment)))},
       {R"~("assignments":[{"memberId":"m1","assignment":{"version":0,"assignedPartitions":[{"topic":"t1","partitions":[0,1]}],"userData":null}},{"memberId":"m2","assignment":""}]|"status":"NONE"|"payload":{"errorCode":0,"assignment":{"version":0,"assignedPartitions":[{"topic":"t1","partitions":[0,1]}])~"}},
      {"assignments in flexible versions",
       {c(request(14, 5, 1,
                  std::string(1, '\0') + compact("g") + be(1, 4) + compact("m1") + be(0, 1) + compact("consumer") +
                      compact("range") + be(2, 1) + compact("m1") + compact(kAssignment) + std::string(2, '\0')))},
       {R"~("protocolName":"range","assignments":[{"memberId":"m1","assignment":{"version":0,"assignedPartitions":[{"topic":"t1")~"}},
      {"members of a group that is described",
       {c(request(15, 0, 1, be(1, 4) + str("g"))),
        s(response(1, be(1, 4) + be(0, 2) + str("g") + str("Stable") + str("consumer") + str("range") + be(1, 4) +
                          str("m1") + str("cl") + str("/1.2.3.4") + sized(4, kSubscription1) + sized(4, kAssignment)))},
       {R"~("memberMetadata":{"version":1,"topics":["t1","t2"]|"memberAssignment":{"version":0)~"}},
      {"secret",
       {c(request(36, 0, 1, sized(4, "user pw"))), s(response(1, be(58, 2) + str("no") + sized(4, "")))},
       {R"~("authBytes":"user pw"|"SASL_AUTHENTICATION_FAILED")~"}},
  };
}

TEST(Kafka, Table) { check_table<Kafka>(rows()); }

TEST(Kafka, Goldens) { EXPECT_EQ(compare_goldens<Kafka>(BALEEN_SOURCE_DIR "/src/dissect/kafka"), ""); }

TEST(Kafka, EveryDescribedOperationDecodesNothingAsNothing) {
  for (int key = 0; key < 80; ++key) {
    const Api* api = find_api(key);
    if (api == nullptr || !api->is_described) continue;
    for (int version = 0; version <= api->last_version; ++version) {
      // Zeroes are empty strings, empty lists and no tags everywhere: every field is met once.
      const std::string zeroes(400, '\0');
      ByteReader r(as_bytes(zeroes));
      Arena arena;
      Findings found;
      const auto v = decode(api->request, version, version >= api->flexible_from, r, 1000, arena, found);
      EXPECT_TRUE(found.ok && v.is_map()) << api->name << " " << version;
    }
  }
}

/// A count in a member's bytes is only a claim, and what is kept of many is bounded.
TEST(Kafka, SubscriptionsAreBounded) {
  const auto joined = [](const std::string& metadata) {
    return play<Kafka>(
               {c(request(11, 0, 1,
                          str("g") + be(1, 4) + str("") + str("consumer") + be(1, 4) + str("r") + sized(4, metadata)))})
        .at(0);
  };
  EXPECT_THAT(joined(be(0, 2) + be(0x7FFFFFFF, 4) + str("t")), ::testing::HasSubstr(R"~("metadata":")~"));
  std::string topics;
  for (int i = 0; i < 10'000; ++i) topics += str("t");
  const std::string item = joined(be(0, 2) + be(10'000, 4) + topics + be(UINT32_MAX, 4));
  EXPECT_LT(item.size(), 4096u * 4 + 1000);
}

TEST(Kafka, LargeMessagesAreShownByTheirFirstBytes) {
  Settings limits;
  limits.header_cap = 4096;
  const std::string big = request(0, 2, 1, produce2(batch(0, 1, record(0, "k", std::string(100'000, 'x')))));
  const std::vector<Said> script = {c(big + request(12, 0, 2, str("g") + be(1, 4) + str("m"))),
                                    s(kProduced + response(2, be(0, 2)))};
  const auto items = play<Kafka>(script, SIZE_MAX, limits);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_THAT(items[0], ::testing::HasSubstr(R"~("summary":"t","truncated":true)~"));
  for (const size_t piece : {1000u, 4096u, 5000u}) EXPECT_EQ(play<Kafka>(script, piece, limits), items);
}

TEST(Kafka, ResyncFindsTheNextRequestAndTheAnswerToOne) {
  Kafka kafka;
  Collected out;
  const std::string next = request(12, 0, 7, str("group") + be(1, 4) + str("m"));
  const std::string noise = "lost in the middle of something\x01\x02";
  Resync r = kafka.resync({Direction::kToServer, as_bytes(noise + next), {}, false});
  EXPECT_TRUE(r.found);
  EXPECT_EQ(r.ruled_out, noise.size());
  kafka.dissect({Direction::kToServer, as_bytes(next), {}, false}, out);
  r = kafka.resync({Direction::kToClient, as_bytes(noise + response(7, be(0, 2))), {}, false});
  EXPECT_TRUE(r.found);
  EXPECT_EQ(r.ruled_out, noise.size());
  kafka.close(false, out);
}

TEST(Kafka, Probe) {
  using enum Direction;
  for (const Row& row : rows()) {
    if (row.script[0].direction != kToServer || std::string(row.name).starts_with("unknown")) continue;
    if (std::string(row.name).starts_with("short")) continue;
    expect_probe<Kafka>(kToServer, row.script[0].bytes, Probe::kYes);
  }
  expect_probe<Kafka>(kToServer, request(200, 0, 1, "abc"), Probe::kNo);
  expect_probe<Kafka>(kToServer, request(12, 0, 1, "junk"), Probe::kNo);
  expect_probe<Kafka>(kToServer, "GET / HTTP/1.1\r\n", Probe::kNo);
  expect_probe<Kafka>(kToClient, response(1, be(0, 2)), Probe::kUnsure);
  expect_probe<Kafka>(kToClient, "HTTP/1.1 200", Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::kafka
