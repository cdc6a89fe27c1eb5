#include "dissect/http2/tunnel.h"

#include "dissect/http2/http2.h"
#include "dissect/http2/test_frames.h"
#include "dissect/test_table.h"
#include "dissect/websocket/test_frames.h"

namespace baleen::dissect::http2 {
namespace {

using websocket::kClose;
using websocket::kText;
using websocket::masked;

std::string ask(uint32_t stream, const std::string& protocol = "websocket") {
  return headers(stream, {{":method", "CONNECT"},
                          {":protocol", protocol},
                          {":scheme", "https"},
                          {":path", "/chat?x=1"},
                          {":authority", "h"},
                          {"sec-websocket-protocol", "v1"}});
}
std::string grant(uint32_t stream, const std::string& extensions = "") {
  std::vector<Header> h = {{":status", "200"}, {"sec-websocket-protocol", "v1"}};
  if (!extensions.empty()) h.emplace_back("sec-websocket-extensions", extensions);
  return headers(stream, h);
}

std::vector<Row> rows() {
  const std::string deflated = websocket::deflate_message("hello hello hello");
  return {
      {"messages both ways, cut anywhere among frames, beside another stream",
       {c(hello() + ask(1)), s(settings() + grant(1)),
        c(data(1, masked(kText, "hi there").substr(0, 3)) + get(3) + data(1, masked(kText, "hi there").substr(3))),
        s(data(1, websocket::frame(kText, "yes", false)) + ok(3, true) +
          data(1, websocket::frame(websocket::kContinuation, "!") + websocket::frame(websocket::kPing, "p"))),
        c(data(1, masked(kClose, unhex("03e8 'bye'")), true)),
        s(data(1, websocket::frame(kClose, unhex("03e8")), true))},
       {R"~(0 req|"method":"CONNECT"|"path":"/chat"|":protocol":"websocket"|"status":200)~",
        R"~(1 req|"opcode":"text","payload":"hi there"|"path":"/chat","host":"h","subprotocol":"v1","openedBy":0)~",
        R"~(0 req|"streamId":3)~", R"~(1 res|"payload":"yes!"|"frames":2)~", R"~("opcode":"ping")~",
        R"~("opcode":"close","closeCode":1000,"payload":"bye")~", R"~(1 res|"closeCode":1000)~"}},
      {"compressed",
       {c(hello() + ask(1)), s(settings() + grant(1, "permessage-deflate; client_no_context_takeover")),
        c(data(1, masked(kText, deflated, true, 4)))},
       {"\"status\":200", R"~("payload":"hello hello hello"|"compressedLength")~"}},
      {"reset in the middle of a message",
       {c(hello() + ask(1)), s(settings() + grant(1)), c(data(1, masked(kText, "hi", false)) + rst(1, 8))},
       {"\"status\":200", R"~("payload":"hi"|error=connection reset)~"}},
      {"the connection ends",
       {c(hello() + ask(1)), s(settings() + grant(1)), c(data(1, masked(kText, "hi", false)))},
       {"\"status\":200", R"~("payload":"hi"|error=unexpected EOF)~"}},
      {"refused", {c(hello() + ask(1)), s(settings() + headers(1, {{":status", "403"}}, true))}, {R"~("status":403)~"}},
      {"two at once, the first ends",
       {c(hello() + ask(1) + ask(3)), s(settings() + grant(1) + grant(3)), c(data(1, masked(kText, "one"), true)),
        s(data(1, "", true)), c(data(3, masked(kText, "three")))},
       {"\"streamId\":1", "\"streamId\":3", R"~("payload":"one"|"openedBy":0)~",
        R"~("payload":"three"|"openedBy":1)~"}},
      {"no frames: found again",
       {c(hello() + ask(1)), s(settings() + grant(1)),
        s(data(1, "\xff\xff" + websocket::frame(kText, "a") + websocket::frame(kText, "b") +
                      websocket::frame(kText, "c")))},
       {"\"status\":200", R"~("payload":"a")~", R"~("payload":"b")~", R"~("payload":"c")~"}},
      {"what is tunnelled otherwise is only counted",
       {c(hello() + ask(1, "connect-udp")), s(settings() + grant(1)), c(data(1, "abc")), s(data(1, "defg"))},
       {R"~("bodySize":3|"bodySize":4)~"}},
      {"frames that the server's grant did not wait for",
       {c(hello() + ask(1) + data(1, masked(kText, "early"))), s(settings() + grant(1))},
       {"\"status\":200", R"~("payload":"early")~"}},
  };
}

TEST(Tunnel, Table) { check_table<Http2>(rows()); }

TEST(Tunnel, LossIsToldToTheSession) {
  Collected out;
  Http2 session;
  Player player(session, out);
  player.arrive(Direction::kToServer, hello() + ask(1));
  player.arrive(Direction::kToClient, settings() + grant(1));
  const std::string frame = data(1, masked(kText, "0123456789"));
  player.arrive(Direction::kToServer, frame.substr(0, 20));
  EXPECT_TRUE(session.gap(Direction::kToServer, frame.size() - 20, out));  // the rest of the DATA frame
  player.arrive(Direction::kToServer, data(1, masked(kText, "next")));
  session.close(false, out);
  EXPECT_THAT(out.items, ::testing::ElementsAre(::testing::HasSubstr("\"status\":200"),
                                                ::testing::HasSubstr("bytes of the message were lost"),
                                                ::testing::HasSubstr("\"payload\":\"next\"")));
  EXPECT_EQ(out.held(), 0);
}

TEST(Tunnel, ManyAreBounded) {
  Collected out;
  out.limits.pending_cap = 4;
  Http2 session;
  Player player(session, out);
  player.arrive(Direction::kToServer, hello());
  player.arrive(Direction::kToClient, settings());
  for (uint32_t id = 1; id < 40; id += 2) {
    player.arrive(Direction::kToServer, ask(id));
    player.arrive(Direction::kToClient, grant(id));
  }
  EXPECT_GT(out.counted(Counter::kTooManyPending), 10u);
  session.close(false, out);
  EXPECT_EQ(out.held(), 0);
}

}  // namespace
}  // namespace baleen::dissect::http2
