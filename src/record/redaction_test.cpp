#include "record/redaction.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "codec/base64.h"
#include "codec/pcap/writer.h"
#include "dissect/registry.h"
#include "index/parquet.h"
#include "item/json.h"
#include "net/harness.h"
#include "record/harness.h"
#include "record/recorder.h"
#include "record/stream_redactor.h"

namespace baleen::record {
namespace {

std::shared_ptr<const Redaction> compiled(const RedactionRules& rules) {
  kfl::Options options;
  options.protocols = dissect::cards();
  auto redaction = Redaction::compile(rules, options);
  EXPECT_TRUE(redaction) << redaction.error().message;
  return redaction.value_or(nullptr);
}

std::string base64(std::string_view text) {
  Arena arena;
  return std::string(codec::to_base64(as_bytes(text), arena));
}

/// What two ends say to each other in turn; `from_client` first.
struct Talk {
  struct Said {
    bool from_client;
    std::string bytes;
  };
  std::string name;
  uint16_t port;
  std::vector<Said> said;
};

uint32_t sum16(std::string_view bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum;
}

/// The sum over the segment of an Ethernet frame with IPv4 and its pseudo header: 0xFFFF when the checksum is right.
uint32_t transport_sum(std::string_view frame) {
  const std::string_view ip = frame.substr(14);
  const std::string_view segment = ip.substr(20, load_be16(as_bytes(ip).data() + 2) - 20u);
  return sum16(segment, sum16(ip.substr(12, 8)) + static_cast<uint8_t>(ip[9]) + static_cast<uint32_t>(segment.size()));
}

void set_checksum(std::string& frame, size_t at) {
  frame[at] = frame[at + 1] = 0;
  const uint32_t sum = ~transport_sum(frame) & 0xFFFF;
  frame[at] = static_cast<char>(sum >> 8);
  frame[at + 1] = static_cast<char>(sum);
}

/// The talk as packets with right checksums, its segments at most `piece` long.
std::vector<net::OwnedPacket> packets_of(const Talk& talk, size_t piece) {
  std::vector<net::OwnedPacket> out;
  const net::Endpoint ends[2] = {{*net::IpAddress::parse("10.0.0.1"), 40000},
                                 {*net::IpAddress::parse("10.0.0.2"), talk.port}};
  uint32_t seq[2] = {1000, 0xFFFFFFF0};  // one of them wraps
  const auto send = [&](int from, uint8_t flags, std::string_view payload) {
    net::OwnedPacket p;
    p.time = timestamp_from_ns(1'763'900'000'000'000'000 + static_cast<int64_t>(out.size()) * 100'000);
    p.bytes =
        net::tcp_frame(ends[from], ends[1 - from], {.seq = seq[from], .ack = seq[1 - from], .flags = flags}, payload);
    set_checksum(p.bytes, 14 + 20 + 16);
    out.push_back(std::move(p));
    seq[from] += static_cast<uint32_t>(payload.size()) + ((flags & 3) != 0 ? 1 : 0);
  };
  using namespace net::tcp_flag;
  send(0, kSyn, "");
  send(1, kSyn | kAck, "");
  send(0, kAck, "");
  for (const Talk::Said& s : talk.said)
    for (size_t at = 0; at < s.bytes.size(); at += piece)
      send(s.from_client ? 0 : 1, kAck | kPsh, std::string_view(s.bytes).substr(at, piece));
  send(0, kFin | kAck, "");
  send(1, kFin | kAck, "");
  return out;
}

std::vector<net::OwnedPacket> redacted(const std::shared_ptr<const Redaction>& redaction,
                                       const std::vector<net::OwnedPacket>& packets, RedactionTally& tally,
                                       const RedactorLimits& limits = {}) {
  std::vector<net::OwnedPacket> out;
  StreamRedactor redactor(redaction, tally, limits);
  const auto emit = [&](const RecordedPacket& p) {
    out.push_back({p.time, std::string(as_text(p.bytes)), p.wire_length, p.link});
  };
  for (const net::OwnedPacket& p : packets) redactor.add(recorded(p), emit);
  redactor.finish(emit);
  return out;
}

constexpr std::string_view kSecret = "Wal+fisch/77 x";

std::string form_encoded(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? std::string(1, c)
                                                            : fmt::format("%{:02X}", static_cast<uint8_t>(c));
  return out;
}

std::string mqtt_connect(std::string_view password) {
  const auto str = [](std::string_view s) { return net::be16_text(static_cast<uint16_t>(s.size())) + std::string(s); };
  const std::string body = str("MQTT") + "\x04\xC2" + net::be16_text(60) + str("dev1") + str("user") + str(password);
  return std::string("\x10") + static_cast<char>(body.size()) + body;
}

std::string pg_message(char type, std::string_view body) {
  return (type == 0 ? std::string() : std::string(1, type)) + net::be32_text(static_cast<uint32_t>(body.size() + 4)) +
         std::string(body);
}

const std::string kZero(1, '\0');

/// Talks that hold the secret in every place where protocols put one.
std::vector<Talk> talks() {
  const std::string s(kSecret);
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const std::string form = "user=me&password=" + form_encoded(s);
  return {
      {"bearer", 80, {{true, "GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + s + "\r\n\r\n"}, {false, ok}}},
      {"basic",
       80,
       {{true, "GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + base64("me:" + s) + "\r\n\r\n"}, {false, ok}}},
      {"cookies",
       80,
       {{true, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"},
        {false,
         "HTTP/1.1 200 OK\r\nSet-Cookie: id=" + form_encoded(s) + "; Path=/; HttpOnly\r\nContent-Length: 2\r\n\r\nok"},
        {true, "GET /b HTTP/1.1\r\nHost: h\r\nCookie: a=b1; id=" + form_encoded(s) + "\r\n\r\n"},
        {false, ok}}},
      {"query",
       80,
       {{true, "GET /a?x=1&access_token=" + form_encoded(s) + " HTTP/1.1\r\nHost: h\r\n\r\n"}, {false, ok}}},
      {"form",
       80,
       {{true,
         "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
         "Content-Length: " +
             std::to_string(form.size()) + "\r\n\r\n" + form},
        {false, ok}}},
      {"echo",
       80,
       {{true, "GET /a HTTP/1.1\r\nHost: h\r\nX-Api-Key: " + s + "\r\n\r\n"},
        {false,
         "HTTP/1.1 403 No\r\nContent-Length: " + std::to_string(s.size() + 10) + "\r\n\r\nbad key: " + s + "!"}}},
      {"chunked",
       80,
       {{true,
         "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
         "Transfer-Encoding: chunked\r\n\r\n" +
             fmt::format("{:x}", form.size() - 5) + "\r\n" + form.substr(0, form.size() - 5) + "\r\n5\r\n" +
             form.substr(form.size() - 5) + "\r\n0\r\n\r\n"},
        {false, ok}}},
      {"redis",
       6379,
       {{true, "*2\r\n$4\r\nAUTH\r\n$" + std::to_string(s.size()) + "\r\n" + s + "\r\n"},
        {false, "+OK\r\n"},
        {true, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"},
        {false, "$1\r\nv\r\n"}}},
      {"postgresql",
       5432,
       {{true, pg_message(0, std::string("\0\3\0\0user\0me\0\0", 13))},
        {false, pg_message('R', net::be32_text(3))},
        {true, pg_message('p', s + kZero)},
        {false, pg_message('R', net::be32_text(0)) + pg_message('K', net::be32_text(7) + s.substr(0, 4)) +
                    pg_message('Z', "I")}}},
      {"smtp",
       25,
       {{false, "220 mail ESMTP\r\n"},
        {true, "EHLO me\r\n"},
        {false, "250-mail\r\n250 AUTH PLAIN\r\n"},
        {true, "AUTH PLAIN " + base64(kZero + "me" + kZero + s) + "\r\n"},
        {false, "235 ok\r\n"},
        {true, "QUIT\r\n"},
        {false, "221 bye\r\n"}}},
      {"mqtt", 1883, {{true, mqtt_connect(s)}, {false, std::string("\x20\x02\0\0", 4)}}},
      {"unknown", 9999, {{true, "\x01\x02\x03 what is this " + s}, {false, "\x05\x06\x07 " + s}}},
  };
}

/// All forms in which it must not be seen.
std::vector<std::string> forms(std::string_view secret) {
  std::vector<std::string> out = {std::string(secret), form_encoded(secret)};
  for (const std::string prefix : {"", "me:", "xx"}) {
    std::string b = base64(prefix + std::string(secret));
    out.push_back(b.substr(8, b.size() - 12));
  }
  return out;
}

std::string joined(const std::vector<net::OwnedPacket>& packets) {
  std::string all[2];
  for (const net::OwnedPacket& p : packets)
    all[static_cast<uint8_t>(p.bytes[14 + 15]) == 1 ? 0 : 1] += p.bytes.substr(54);
  return all[0] + "|" + all[1];
}

void expect_clean(const std::string& text, const std::string& where) {
  for (const std::string& form : forms(kSecret)) EXPECT_EQ(text.find(form), std::string::npos) << where << ": " << form;
  // Nor most of it: a cut is no way out.
  EXPECT_EQ(text.find(kSecret.substr(0, 9)), std::string::npos) << where;
  EXPECT_EQ(text.find(kSecret.substr(4)), std::string::npos) << where;
}

void expect_same_shape(const std::vector<net::OwnedPacket>& before, const std::vector<net::OwnedPacket>& after) {
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].time, after[i].time);
    ASSERT_EQ(before[i].bytes.size(), after[i].bytes.size());
    EXPECT_EQ(before[i].bytes.substr(0, 50), after[i].bytes.substr(0, 50)) << "headers stay";
    EXPECT_EQ(transport_sum(after[i].bytes), 0xFFFFu) << "packet " << i;
  }
}

TEST(StreamRedactor, NoSecretPassesHoweverTheStreamIsCut) {
  const auto redaction = compiled({.secrets = true});
  for (const Talk& talk : talks()) {
    for (size_t piece : {1, 2, 3, 5, 7, 11, 13, 17, 29, 64, 1460}) {
      SCOPED_TRACE(talk.name + " in pieces of " + std::to_string(piece));
      const auto packets = packets_of(talk, piece);
      RedactionTally tally;
      const auto kept = redacted(redaction, packets, tally);
      expect_same_shape(packets, kept);
      expect_clean(joined(kept), talk.name);
      EXPECT_NE(tally.packets, 0u);
      EXPECT_EQ(tally.held_bytes, 0u);
      const bool hidden = talk.name == "chunked" || talk.name == "unknown";
      EXPECT_EQ(tally.blanked != 0, hidden) << "only what hides is overwritten whole";
      EXPECT_TRUE(hidden || tally.rules["secrets"] != 0);
    }
  }
}

TEST(StreamRedactor, WhatIsNoSecretStays) {
  const auto redaction = compiled({.secrets = true});
  for (const Talk& talk : talks()) {
    if (talk.name != "bearer" && talk.name != "redis") continue;
    RedactionTally tally;
    const std::string kept = joined(redacted(redaction, packets_of(talk, 9), tally));
    const std::string stars(kSecret.size(), '*');
    const std::string wanted = talk.name == "bearer" ? "GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: *******" + stars +
                                                           "\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                                                     : "*2\r\n$4\r\nAUTH\r\n$14\r\n" + stars +
                                                           "\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n|+OK\r\n$1\r\nv\r\n";
    EXPECT_EQ(kept, wanted);
  }
}

TEST(StreamRedactor, NoSecretPassesWhenSegmentsAreLostRepeatedAndReordered) {
  const auto redaction = compiled({.secrets = true});
  std::mt19937 random(7);
  for (const Talk& talk : talks()) {
    for (int round = 0; round < 60; ++round) {
      SCOPED_TRACE(talk.name + " " + std::to_string(round));
      auto packets = packets_of(talk, 1 + random() % 40);
      std::vector<net::OwnedPacket> mixed;
      for (const net::OwnedPacket& p : packets) {
        if (random() % 20 == 0) continue;  // lost
        mixed.push_back(p);
        if (random() % 5 == 0) mixed.push_back(mixed[random() % mixed.size()]);  // sent again, late
        if (mixed.size() > 1 && random() % 4 == 0) std::swap(mixed.back(), mixed[mixed.size() - 2]);
      }
      for (size_t i = 0; i < mixed.size(); ++i) mixed[i].time = packets[0].time + std::chrono::microseconds(100 * i);
      RedactionTally tally;
      const auto kept = redacted(redaction, mixed, tally);
      expect_same_shape(mixed, kept);
      std::string all;
      for (const net::OwnedPacket& p : kept) all += p.bytes.substr(54) + "|";
      expect_clean(all, talk.name);
      expect_clean(joined(kept), talk.name);
    }
  }
}

TEST(StreamRedactor, LimitsOverwriteRatherThanWait) {
  const auto redaction = compiled({.secrets = true});
  const Talk talk{"long",
                  80,
                  {{true, "POST /a HTTP/1.1\r\nHost: h\r\nAuthorization: " + std::string(kSecret) +
                              "\r\nContent-Length: 100000\r\n\r\n" + std::string(100000, 'b')},
                   {false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}}};
  RedactionTally tally;
  const auto packets = packets_of(talk, 1000);
  const auto kept = redacted(redaction, packets, tally, {.stream_bytes = 10000});
  expect_same_shape(packets, kept);
  expect_clean(joined(kept), talk.name);
  EXPECT_GT(tally.blanked, 90u);
}

TEST(StreamRedactor, ChecksumsThatWereWrongStayAsTheyWere) {
  const auto redaction = compiled({.secrets = true});
  auto packets = packets_of(talks()[0], 1460);
  for (net::OwnedPacket& p : packets) p.bytes[14 + 20 + 16] ^= 0x55;
  RedactionTally tally;
  const auto kept = redacted(redaction, packets, tally);
  for (size_t i = 0; i < packets.size(); ++i) EXPECT_EQ(packets[i].bytes.substr(50, 2), kept[i].bytes.substr(50, 2));
  expect_clean(joined(kept), "bearer");
}

TEST(StreamRedactor, WhatIsSentAgainWithOtherBytesIsOverwritten) {
  const auto redaction = compiled({.secrets = true});
  auto packets = packets_of(talks()[0], 1460);
  net::OwnedPacket other = packets[3];
  const size_t at = other.bytes.find(kSecret);
  ASSERT_NE(at, std::string::npos);
  std::rotate(other.bytes.begin() + 60, other.bytes.begin() + 65, other.bytes.end());
  set_checksum(other.bytes, 50);
  packets.insert(packets.begin() + 4, other);
  RedactionTally tally;
  const auto kept = redacted(redaction, packets, tally);
  expect_clean(joined(kept), "bearer");
  EXPECT_EQ(kept[4].bytes.substr(54), std::string(other.bytes.size() - 54, '*'));
}

/// The items of a talk.
std::vector<item::ItemRef> items_of(const Talk& talk, std::unique_ptr<dissect::Engine>& engine) {
  class Listener final : public dissect::EngineObserver {
   public:
    void on_item(item::ItemRef item) override { items.push_back(std::move(item)); }
    std::vector<item::ItemRef> items;
  };
  static Listener listener;
  listener.items.clear();
  engine = std::make_unique<dissect::Engine>(dissect::EngineOptions{.protocols = dissect::registry()}, listener);
  for (const net::OwnedPacket& p : packets_of(talk, 1460)) engine->on_packet(p.view());
  engine->finish();
  return std::move(listener.items);
}

TEST(Redaction, NoColumnOfARowHoldsASecret) {
  const auto redaction = compiled({.secrets = true});
  for (const Talk& talk : talks()) {
    if (talk.name == "unknown") continue;
    std::unique_ptr<dissect::Engine> engine;
    bool changed = false;
    RuleCounts counts;
    for (const item::ItemRef& item : items_of(talk, engine)) {
      index::ItemRow row;
      changed = redaction->redact(*item, row, counts) || changed;
      std::string all;
      index::append_row(row, all);
      expect_clean(all, talk.name + ": " + row.json);
    }
    EXPECT_TRUE(changed) << talk.name;
    EXPECT_NE(counts["secrets"], 0u) << talk.name;
  }
}

struct RuleCase {
  RedactionRules rules;
  std::string request, response, gone, kept;
};

TEST(Redaction, Rules) {
  const auto post = [](std::string_view head, std::string_view body) {
    return fmt::format(
        "POST /orders/7?k=v1 HTTP/1.1\r\nHost: h\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        head, body.size(), body);
  };
  const std::string ok = "HTTP/1.1 200 OK\r\nX-Reply: answered\r\nContent-Length: 0\r\n\r\n";
  const std::string body =
      R"({"user":{"password":"hidden-one","name":"anna"},"list":[{"pin":"9876543"},{"pin":"1234567"}]})";
  for (const RuleCase& c : {
           RuleCase{{.headers = {"x-tenant"}}, post("X-Tenant: acme-corp\r\n", body), ok, "acme-corp", "hidden-one"},
           RuleCase{{.headers = {"X-Reply"}}, post("", body), ok, "answered", "hidden-one"},
           RuleCase{{.json = {"request.body.user.password"}}, post("", body), ok, "hidden-one", "anna"},
           RuleCase{{.json = {"request.postData.text.list.pin"}}, post("", body), ok, "1234567", "anna"},
           RuleCase{{.json = {"request.body.list[0].pin"}}, post("", body), ok, "9876543", "1234567"},
           RuleCase{{.json = {"request.body.list.*.pin"}}, post("", body), ok, "1234567", "anna"},
           RuleCase{{.json = {"request.path"}}, post("", body), ok, "orders", "hidden-one"},
           RuleCase{{.json = {"request.url"}}, post("", body), ok, "orders", "hidden-one"},
           RuleCase{{.json = {"request.url"}}, post("", body), ok, "v1", "hidden-one"},
           RuleCase{{.kfl = R"(redact("request.path"))"}, post("", body), ok, "orders", "hidden-one"},
           RuleCase{{.patterns = {R"~("name":"([^"]+)")~"}}, post("", body), ok, "anna", "hidden-one"},
           RuleCase{{.patterns = {"v[0-9]"}}, post("", body), ok, "v1", "hidden-one"},
           RuleCase{{.kfl = R"(redact("request.postData.text.json().user.password"))"},
                    post("", body),
                    ok,
                    "hidden-one",
                    "anna"},
           RuleCase{{.kfl = R"(redact("request.headers.X-Tenant"))"},
                    post("X-Tenant: acme-corp\r\n", body),
                    ok,
                    "acme-corp",
                    "hidden-one"},
       }) {
    const auto redaction = compiled(c.rules);
    const Talk talk{"rule", 80, {{true, c.request}, {false, c.response}}};
    std::unique_ptr<dissect::Engine> engine;
    const auto items = items_of(talk, engine);
    ASSERT_EQ(items.size(), 1u);
    index::ItemRow row;
    RuleCounts counts;
    EXPECT_TRUE(redaction->redact(*items[0], row, counts)) << c.gone;
    std::string all;
    index::append_row(row, all);
    EXPECT_EQ(all.find(c.gone), std::string::npos) << row.json;
    EXPECT_NE(all.find(c.kept), std::string::npos) << row.json;
    EXPECT_EQ(counts.size(), 1u);
    for (const size_t piece : {1, 10, 1460}) {
      RedactionTally tally;
      const auto packets = packets_of(talk, piece);
      const auto kept = redacted(redaction, packets, tally);
      expect_same_shape(packets, kept);
      EXPECT_EQ(joined(kept).find(c.gone), std::string::npos) << joined(kept);
      EXPECT_NE(joined(kept).find(c.kept), std::string::npos) << joined(kept);
    }
  }
}

TEST(Redaction, WhereSecretsAreTooManyToKnowNothingOfTheMessagesIsKept) {
  std::string body = R"({"pins":[)";
  for (int i = 0; i < 4100; ++i) body += fmt::format("{}\"pin-{:05}\"", i == 0 ? "" : ",", i);
  body += "]}";
  for (const RedactionRules& rules : {RedactionRules{.json = {"request.body.pins"}},
                                      RedactionRules{.kfl = R"(redact("request.postData.text.json().pins"))"}}) {
    const auto redaction = compiled(rules);
    const Talk talk{"many",
                    80,
                    {{true, fmt::format("POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                                        "Content-Length: {}\r\n\r\n{}",
                                        body.size(), body)},
                     {false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}}};
    std::unique_ptr<dissect::Engine> engine;
    const auto items = items_of(talk, engine);
    ASSERT_EQ(items.size(), 1u);
    index::ItemRow row;
    RuleCounts counts;
    EXPECT_TRUE(redaction->redact(*items[0], row, counts));
    std::string all;
    index::append_row(row, all);
    EXPECT_EQ(all.find("pin-"), std::string::npos) << all.substr(0, 2000);
    RedactionTally tally;
    EXPECT_EQ(joined(redacted(redaction, packets_of(talk, 1460), tally)).find("pin-"), std::string::npos);
  }
}

TEST(Redaction, RulesThatAreWrongAreRefusedWithAReason) {
  for (const RedactionRules& rules :
       {RedactionRules{.patterns = {"("}}, RedactionRules{.json = {"a..b"}}, RedactionRules{.json = {"headers.x"}},
        RedactionRules{.kfl = "http"}, RedactionRules{.kfl = "redact("}}) {
    const auto redaction = Redaction::compile(rules, {});
    ASSERT_FALSE(redaction);
    EXPECT_TRUE(redaction.error().message.starts_with("redact.")) << redaction.error().message;
  }
}

/// Everything that a recording leaves behind, in the spool and in the bucket, while it runs and afterwards.
TEST(Redaction, NothingOfASecretIsInTheSpoolOrInTheBucket) {
  ScratchFolder folder;
  const auto redaction = compiled({.secrets = true});
  auto flight = FlightRecorder::open({.folder = folder.path(), .limit_bytes = 8 << 20, .segment_bytes = 1 << 20});
  ASSERT_TRUE(flight);
  CaptureNumbers numbers;
  auto recorder = Recorder::open(recorder_options(folder / "spool", "00000001"), {flight->get()}, &numbers);
  ASSERT_TRUE(recorder);
  Recording recording{"all", kfl::Filter(), "file://" + folder / "bucket"};
  recording.redaction = redaction;
  (*recorder)->set_recordings({recording});

  class Shard final : public dissect::EngineObserver {
   public:
    Shard(FlightRecorder& flight, Recorder& recorder) : flight_(flight), recorder_(recorder) {}
    void on_item(item::ItemRef item) override { recorder_.offer(item); }
    void on_packet(dissect::StreamRef stream, const net::Packet& packet, const net::Decoded&) override {
      flight_.append({stream.number, stream.kind}, packet);
    }
    void on_stream_end(dissect::StreamRef stream, dissect::StreamEnd) override {
      recorder_.stream_ended(stream.number);
    }

   private:
    FlightRecorder& flight_;
    Recorder& recorder_;
  } shard(**flight, **recorder);
  dissect::Engine engine({.protocols = dissect::registry(), .tell_packets = true}, shard);
  uint64_t packets = 0;
  for (Talk& talk : talks()) {
    if (talk.name == "unknown") continue;  // no item, no recording
    for (const net::OwnedPacket& p : packets_of(talk, 20)) {
      engine.on_packet(p.view());
      ++packets;
    }
    (*recorder)->settle();
    for (const std::string& file : files_below(folder / "spool")) expect_clean(read_whole(file), file);
  }
  engine.finish();
  (*recorder)->stop(std::chrono::seconds(20));
  const index::LossLedger ledger = (*recorder)->status().ledger;
  EXPECT_TRUE(ledger.balances());
  EXPECT_EQ(ledger.packets_stored, packets);
  EXPECT_NE(ledger.items_redacted, 0u);
  EXPECT_NE(ledger.packets_blanked, 0u);
  EXPECT_GT(ledger.packets_redacted, ledger.packets_blanked);
  uint64_t blocks = 0;
  for (const std::string& file : files_below(folder / "bucket")) {
    const std::string content = read_whole(file);
    expect_clean(content, file);
    if (!file.ends_with(".json")) continue;
    const auto block = index::BlockRecord::from_json(content);
    ASSERT_TRUE(block);
    ++blocks;
    EXPECT_EQ(block->redactions.size(), 1u);
    EXPECT_NE(block->redactions.at("secrets"), 0u);
    // Parquet is compressed: its rows are read back.
    index::ParquetQuery query;
    query.files = {folder / "bucket/" + block->items_object.key};
    const auto read = index::read_parquet(query, [&](const index::StoredItem& item) {
      expect_clean(item.json, "items");
      return true;
    });
    EXPECT_TRUE(read);
    for (const PacketRead& packet : read_pcapng(read_whole(folder / "bucket/" + block->packets_object.key)))
      EXPECT_EQ(transport_sum(packet.bytes), 0xFFFFu);
    if (std::system("command -v tshark > /dev/null 2>&1") != 0) continue;
    const std::string capture = folder / "bucket/" + block->packets_object.key, report = folder / "report";
    ASSERT_EQ(std::system(fmt::format("tshark -r '{}' -o tcp.check_checksum:TRUE -Y tcp.checksum.status==0 > '{}' 2>&1",
                                      capture, report)
                              .c_str()),
              0);
    EXPECT_EQ(read_whole(report).find("TCP"), std::string::npos) << read_whole(report);
  }
  EXPECT_EQ(blocks, 1u);
}

}  // namespace
}  // namespace baleen::record
