#include "dissect/websocket/websocket.h"

#include <map>

#include "codec/inflate.h"
#include "dissect/engine.h"
#include "dissect/registry.h"
#include "dissect/test_conversation.h"
#include "dissect/test_table.h"
#include "dissect/websocket/test_frames.h"
#include "item/row.h"
#include "net/harness.h"

namespace baleen::dissect::websocket {
namespace {

using enum Direction;
using item::Outcome;

struct Deflated final : Websocket {
  Deflated() { agree("permessage-deflate"); }
};
struct Forgetful final : Websocket {
  Forgetful() { agree("permessage-deflate; server_no_context_takeover; client_no_context_takeover"); }
};
struct Foreign final : Websocket {
  Foreign() { agree("x-webkit-deflate-frame"); }
};

// RFC 6455 5.7.
TEST(Websocket, ReadsTheExamplesOfTheSpecification) {
  const std::vector<Row> rows = {
      {"text", {s(unhex("81 05 48 65 6c 6c 6f"))}, {R"~(1 res[7@1]={"opcode":"text","payload":"Hello")~"}},
      {"masked text",
       {c(unhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"))},
       {R"~(1 req[11@1]={"opcode":"text","payload":"Hello","payloadLength":5,"frames":1,"masked":true})~"}},
      {"fragments",
       {s(unhex("01 03 48 65 6c")), s(unhex("80 02 6c 6f"))},
       {R"~(1 res[9@1]={"opcode":"text","payload":"Hello","payloadLength":5,"frames":2,"masked":false})~"}},
      {"ping and pong",
       {s(unhex("89 05 48 65 6c 6c 6f")), c(unhex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"))},
       {R"~(1 res[7@1]={"opcode":"ping","payload":"Hello")~", R"~(1 req[11@2]={"opcode":"pong","payload":"Hello")~"}},
      {"256 bytes",
       {s(frame(kBinary, std::string(256, '\xff')))},
       {R"~(res[260@1]={"opcode":"binary","payload":"//////|"payloadLength":256,"encoding":"base64")~"}},
  };
  check_table<Websocket>(rows);
  const auto long_one = play<Websocket>({s(frame(kBinary, std::string(65536, 'x')))}, 1400);
  ASSERT_EQ(long_one.size(), 1u);
  EXPECT_THAT(long_one[0], ::testing::HasSubstr("res[65546@1]"));
  EXPECT_THAT(long_one[0], ::testing::HasSubstr("x\",\"payloadLength\":65536"));
}

TEST(Websocket, Table) {
  const std::string long_text(5000, 'a');
  const std::vector<Row> rows = {
      {"nothing", {c(masked(kText, ""))}, {R"~("opcode":"text","payload":"","payloadLength":0)~"}},
      {"control frames between fragments",
       {c(masked(kText, "one ", false) + masked(kPing, "p") + masked(kContinuation, "two ", false) +
          masked(kContinuation, "", false) + masked(kPong, "") + masked(kContinuation, "three"))},
       {R"~("opcode":"ping","payload":"p")~", R"~("opcode":"pong","payload":"")~",
        R"~("payload":"one two three","payloadLength":13,"frames":4)~"}},
      {"length of 16 bits", {c(masked(kText, long_text))}, {R"~(req[5008@1]|"payloadLength":5000)~"}},
      {"not text", {c(masked(kText, "\xff\xfe"))}, {R"~("payload":"//4=","payloadLength":2,"encoding":"base64")~"}},
      {"text in a binary message", {s(frame(kBinary, "{}"))}, {R"~("opcode":"binary","payload":"{}")~"}},
      {"close",
       {c(masked(kClose,
                 "\x03\xe8"
                 "bye")),
        s(frame(kClose, "")), s(frame(kClose, "\x03"))},
       {R"~("opcode":"close","closeCode":1000,"payload":"bye","payloadLength":5)~",
        R"~("opcode":"close","payload":"")~", R"~("opcode":"close")~"}},
      {"a client that does not mask",
       {c(frame(kText, "x"))},
       {R"~(4 req|"payload":"x"|"masked":false|error=a client's frame is not masked)~"}},
      {"a server that masks", {s(masked(kText, "x"))}, {R"~(4 res|"payload":"x"|error=a server's frame is masked)~"}},
      {"a reserved bit",
       {s(frame(kText, "x", true, 4))},
       {R"~(4 res|"payload":"x"|error=reserved bits are set that nobody agreed on)~"}},
      {"no end before the next beginning",
       {s(frame(kText, "one", false) + frame(kText, "two"))},
       {R"~("payload":"one"|"truncated":true|error=the next message began before this one's end)~",
        R"~(1 res|"two")~"}},
      {"a continuation of nothing",
       {s(frame(kContinuation, "lost", false) + frame(kContinuation, "lost") + frame(kText, "next"))},
       {R"~(1 res|"payload":"next")~"}},
      {"the end of the connection",
       {s(frame(kText, "whole") + frame(kText, "half", false))},
       {R"~("payload":"whole")~", R"~("payload":"half"|"truncated":true|error=unexpected EOF)~"}},
  };
  check_table<Websocket>(rows);
}

TEST(Websocket, InflatesWhatItsSenderDeflated) {
  Deflater ours, theirs, forgetful(15, false);
  const std::string text = "{\"price\": 12.5, \"name\": \"a thing that is said again and again\"}";
  const std::string one = ours.message(text), two = ours.message(text), three = ours.message(text + "!");
  ASSERT_LT(two.size(), one.size() / 2);  // it says "as before"
  const std::string answer = theirs.message("answer");
  // RFC 7692 7.2.3.4: a final block, and the byte after it.
  const std::string final_block("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8);
  const std::vector<Row> rows = {
      {"context is taken over",
       {c(masked(kText, one, true, 4) + masked(kText, two, true, 4)), s(frame(kText, answer, true, 4)),
        c(masked(kText, "plain") + masked(kText, three.substr(0, 3), false, 4) + masked(kPing, "") +
          masked(kContinuation, three.substr(3)))},
       {R"~({\"price\": 12.5|"payloadLength":63,"frames":1,"masked":true,"compressedLength":)~",
        R"~({\"price\": 12.5|again\"}","payloadLength":63)~", R"~(1 res|"payload":"answer","payloadLength":6)~",
        R"~("payload":"plain","payloadLength":5,"frames":1,"masked":true})~", R"~("opcode":"ping")~",
        R"~(again\"}!","payloadLength":64,"frames":2)~"}},
      // The examples of 7.2.3.1 to 7.2.3.4.
      {"one block", {s(unhex("c1 07 f2 48 cd c9 c9 07 00"))}, {R"~("payload":"Hello","payloadLength":5)~"}},
      {"shared window",
       {s(unhex("c1 07 f2 48 cd c9 c9 07 00 c1 05 f2 00 11 00 00"))},
       {R"~("payload":"Hello")~", R"~("payload":"Hello","payloadLength":5|"compressedLength":5)~"}},
      {"no compression", {s(unhex("c1 0b 00 05 00 fa ff 48 65 6c 6c 6f 00"))}, {R"~("payload":"Hello")~"}},
      {"a final block", {s(frame(kText, final_block, true, 4))}, {R"~("payload":"Hello")~"}},
      {"two blocks",
       {s(unhex("c1 0d f2 48 05 00 00 00 ff ff ca c9 c9 07 00"))},
       {R"~("payload":"Hello","payloadLength":5|"compressedLength":13)~"}},
      {"nothing", {s(frame(kText, std::string(1, '\0'), true, 4))}, {R"~("payload":"","payloadLength":0)~"}},
      {"not deflate",
       {s(frame(kText, "\xff\xff\xff\xff", true, 4) + frame(kText, answer, true, 4))},
       {R"~(4 res|"payload":"/////w=="|"encoding":"base64"|error=the message could not be inflated)~",
        R"~(1 res|"payload":"answer")~"}},
      {"what it refers to was not seen",
       {c(masked(kText, two, true, 4) + masked(kText, one, true, 4) + masked(kText, two, true, 4))},
       {R"~(4 req|error=the message could not be inflated)~", R"~(1 req|"payloadLength":63)~",
        R"~(1 req|"payloadLength":63)~"}},
      {"every message for itself", {s(frame(kText, forgetful.message(text), true, 4))}, {R"~("payloadLength":63)~"}},
  };
  check_table<Deflated>(rows);
}

TEST(Websocket, TakesNoContextOverWhereNoneIsAgreedOn) {
  Deflater ours;
  const std::string text = "said again and again and again and again";
  const std::string one = ours.message(text), two = ours.message(text);
  const std::vector<Row> rows = {
      {"twice",
       {c(masked(kText, one, true, 4) + masked(kText, two, true, 4))},
       {R"~(1 req|"payloadLength":40)~", R"~(4 req|error=the message could not be inflated)~"}}};
  check_table<Forgetful>(rows);
}

TEST(Websocket, LeavesAloneWhatAnUnknownExtensionMadeOfAPayload) {
  check_table<Foreign>({{"x", {s(frame(kText, "text", true, 4))}, {R"~(1 res|"payload":"dGV4dA=="|"base64")~"}}});
}

TEST(Websocket, KeepsToItsCaps) {
  Settings limits;
  limits.body_cap = 1000;
  // Uncompressed: the first thousand bytes, the true length.
  const auto long_one = play<Websocket>({c(masked(kText, std::string(5000, 'a')))}, 333, limits);
  ASSERT_EQ(long_one.size(), 1u);
  EXPECT_THAT(long_one[0], ::testing::HasSubstr(std::string(1000, 'a') + "\",\"payloadLength\":5000"));
  EXPECT_THAT(long_one[0], ::testing::HasSubstr("\"truncated\":true"));
  // Inflated beyond the cap, but within the work that is done for the context: the next message is readable.
  Deflater ours;
  const std::string one = ours.message(std::string(3000, 'b')), two = ours.message(std::string(3000, 'b'));
  const auto beyond = play<Deflated>({c(masked(kText, one, true, 4) + masked(kText, two, true, 4))}, SIZE_MAX, limits);
  ASSERT_EQ(beyond.size(), 2u);
  for (const std::string& item : beyond)
    EXPECT_THAT(item, ::testing::HasSubstr(std::string(1000, 'b') + "\",\"payloadLength\":3000"));
  // A bomb: given up on after a bounded amount of work, with what came out until then.
  const std::string bomb = deflate_message(std::string(1 << 20, 'c'));
  ASSERT_LT(bomb.size(), 1200u);
  limits.body_cap = 1200;
  const auto blown = play<Deflated>({c(masked(kText, bomb, true, 4) + masked(kText, "x"))}, SIZE_MAX, limits);
  ASSERT_EQ(blown.size(), 2u);
  EXPECT_THAT(blown[0], ::testing::HasSubstr(std::string(1200, 'c') + "\",\"payloadLength\":"));
  EXPECT_THAT(blown[0], ::testing::HasSubstr("\"truncated\":true"));
  // Compressed bytes beyond the cap are not kept, so nothing can be made of them.
  limits.body_cap = 16;
  const auto cut = play<Deflated>({c(masked(kText, bomb, true, 4))}, SIZE_MAX, limits);
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_THAT(cut[0], ::testing::HasSubstr("\"encoding\":\"base64\""));
}

TEST(Websocket, WindowsAreCountedAndBounded) {
  const size_t before = codec::InflateWindow::in_use();
  Arena arena;
  {
    codec::InflateWindow window;
    const std::string one = deflate_message(std::string(100'000, 'd') + "end");
    codec::inflate_message(as_bytes(one), &window, 10, 1 << 20, 1 << 20, arena);
    EXPECT_EQ(window.bytes().size(), 1024u);
    EXPECT_TRUE(as_text(window.bytes()).ends_with("dend"));
    EXPECT_GE(codec::InflateWindow::in_use() - before, 1024u);
    codec::inflate_message(as_bytes(one), &window, 15, 1 << 20, 1 << 20, arena);
    EXPECT_EQ(window.bytes().size(), size_t{32} << 10);
    EXPECT_LE(codec::InflateWindow::in_use() - before, size_t{32} << 10);
  }
  EXPECT_EQ(codec::InflateWindow::in_use(), before);
}

TEST(Websocket, ReadsOnAfterLoss) {
  const ProtocolEntry plain = entry<Websocket>("websocket");
  {  // inside a payload: the frames go on where they are
    TestConversation t(plain);
    const std::string bytes = frame(kText, std::string(100, 'x'));
    t.to_client(bytes.substr(0, 52));
    t.lose(kToClient, 20);
    t.to_client(bytes.substr(72) + frame(kText, "next"));
    ASSERT_EQ(t.items.size(), 2u);
    EXPECT_EQ(t.item(0).outcome, Outcome::kDissection);
    EXPECT_EQ(t.item(0).response.payload["payload"].text(), std::string(50, 'x'));
    EXPECT_EQ(t.item(0).response.payload["payloadLength"].as_int(), 100);
    EXPECT_EQ(t.item(1).response.payload["payload"].text(), "next");
  }
  {  // of a head: several frames in a row show where they begin again
    TestConversation t(plain);
    t.to_client(frame(kText, "one", false));
    t.lose(kToClient, 0);
    t.to_client("{\"some\": \"rest\"}" + frame(kContinuation, "end of it"));
    t.to_client(frame(kText, "two") + frame(kPing, "") + frame(kText, "three"));
    ASSERT_EQ(t.items.size(), 4u);
    EXPECT_EQ(t.item(0).error_message, "bytes of the message were lost");
    EXPECT_EQ(t.item(1).response.payload["payload"].text(), "two");
    EXPECT_EQ(t.item(3).response.payload["payload"].text(), "three");
  }
  {  // an opcode that does not exist: nothing can be read there
    TestConversation t(plain);
    t.to_server(masked(kText, "one") + unhex("83 80 00 00 00 00") + masked(kText, "two") + masked(kText, "three") +
                masked(kText, "four"));
    EXPECT_EQ(t.counted(Counter::kResyncs), 1u);
    ASSERT_EQ(t.items.size(), 4u);
    EXPECT_EQ(t.item(3).request.payload["payload"].text(), "four");
  }
}

/// A capture through the engine with all protocols. The items are gone before the engine that made them.
struct Replayed final : EngineObserver {
  explicit Replayed(const std::string& path) {
    EngineOptions options;
    options.protocols = registry();
    engine = std::make_unique<Engine>(options, *this);
    for (const net::OwnedPacket& packet : net::load_capture(path)) engine->on_packet(packet.view());
    engine->finish();
  }
  void on_item(item::ItemRef item) override { items.push_back(std::move(item)); }

  std::unique_ptr<Engine> engine;
  std::vector<item::ItemRef> items;
};

struct CaptureRow {
  const char* file;
  std::map<std::string, int> messages;  // direction and opcode: how many, as tshark counts them
  const char* path;
  const char* some_payload;  // empty: binary ones only
};

TEST(Websocket, CountsWhatTsharkCounts) {
  if (net::captures_folder().empty()) GTEST_SKIP() << "no shared captures (set BALEEN_SHARED)";
  const CaptureRow rows[] = {
      {"suricata/websocket/basic_websockets.pcap",
       {{"> text", 3}, {"< text", 14}},
       "/service",
       "version,hybi-draft-13"},
      {"zeek/websocket/jupyter-websocket.pcap",
       {{"> binary", 1}, {"> close", 1}, {"< binary", 11}, {"< close", 1}},
       "/user/christian/api/kernels/f8645ecd-0a76-4bb1-9e6e-cb464276bc69/channels",
       ""},
      {"zeek/websocket/reply-ping-separate.pcap",
       {{"< ping", 1}, {"> pong", 1}, {"> text", 1}, {"< text", 1}, {"> close", 1}, {"< close", 1}},
       "/",
       ""},
      {"graphql/graphql-yoga-http-sse-ws.pcap",
       {{"> text", 4}, {"< text", 15}, {"> close", 2}, {"< close", 2}},
       "/graphql",
       "{\"type\":\"connection_ack\"}"},
  };
  for (const CaptureRow& row : rows) {
    const Replayed told(net::captures_folder() + "/" + row.file);
    std::map<std::string, int> got;
    bool payload_seen = *row.some_payload == 0;
    for (const item::ItemRef& item : told.items) {
      if (item->protocol != &Websocket::kProtocol) continue;
      const bool up = item->request.present;
      const item::Value message = up ? item->request.payload : item->response.payload;
      ++got[(up ? "> " : "< ") + std::string(message["opcode"].text())];
      payload_seen |= message["payload"].text() == row.some_payload;
      EXPECT_EQ(item->outcome, Outcome::kSingle) << row.file << " " << item->error_message;
      EXPECT_FALSE(message["host"].text().empty()) << row.file;
      EXPECT_EQ(message["path"].text(), row.path) << row.file;
      // The item that opened the connection is an HTTP item of the same stream, with that index.
      bool linked = false;
      for (const item::ItemRef& other : told.items)
        linked |= other->stream == item->stream && other->protocol->macro == "http" &&
                  static_cast<int64_t>(other->index) == message["openedBy"].as_int() &&
                  other->response.payload["status"].as_int() == 101;
      EXPECT_TRUE(linked) << row.file;
      EXPECT_EQ(item::row_of(*item).method.text(), message["opcode"].text());
    }
    EXPECT_EQ(got, row.messages) << row.file << ::testing::PrintToString(got);
    EXPECT_TRUE(payload_seen) << row.file;
  }
}

// What node's ws says to itself: see testdata/README.md.
TEST(Websocket, UnderstandsAnotherImplementation) {
  const Replayed told(BALEEN_SOURCE_DIR "/src/dissect/websocket/testdata/deflate.pcap");
  ASSERT_EQ(told.items.size(), 15u);
  std::vector<std::string> up, down;
  size_t compressed = 0;
  for (const item::ItemRef& item : told.items) {
    if (item->protocol != &Websocket::kProtocol) continue;
    EXPECT_EQ(item->outcome, Outcome::kSingle) << item->error_message;
    const bool from_client = item->request.present;
    const item::Value message = from_client ? item->request.payload : item->response.payload;
    EXPECT_EQ(message["path"].text(), "/live");
    EXPECT_EQ(message["subprotocol"].text(), "chat.v2");
    compressed += !message["compressedLength"].is_null();
    if (message["opcode"].text() == "binary") {
      ASSERT_EQ(message["payloadLength"].as_int(), 256);
      for (int i = 0; i < 256; ++i)
        EXPECT_EQ(static_cast<uint8_t>(message["payload"].text()[static_cast<size_t>(i)]), i);
      continue;
    }
    (from_client ? up : down).emplace_back(message["payload"].text());
  }
  const auto update = [](int number) {
    std::string text = "{\"type\":\"update\",\"number\":" + std::to_string(number) + ",\"items\":[";
    for (int k = 0; k < 20; ++k)
      text += (k > 0 ? "," : "") + ("{\"id\":" + std::to_string(k)) + ",\"name\":\"item " +
              std::to_string((k * 7919 + number) % 101) + "\"}";
    return text + "]}";
  };
  EXPECT_EQ(up, (std::vector<std::string>{update(0), update(1), update(2), "frag ments", "are you there", "done"}));
  ASSERT_EQ(down.size(), 7u);
  EXPECT_EQ(down[3], "{\"echo\":3,\"size\":10,\"text\":\"frag ments\"}");
  EXPECT_EQ(down[5], "plain");
  EXPECT_EQ(compressed, 9u);
}

}  // namespace
}  // namespace baleen::dissect::websocket
