#include "dissect/amqp/amqp.h"

#include "dissect/test_table.h"

namespace baleen::dissect::amqp {
namespace {

std::string frame(int type, int channel, const std::string& payload) {
  return be(type, 1) + be(channel, 2) + sized(4, payload) + "\xCE";
}
std::string method(int channel, int class_id, int method_id, const std::string& arguments = "") {
  return frame(1, channel, be(class_id, 2) + be(method_id, 2) + arguments);
}
std::string str(const std::string& s) { return sized(1, s); }
std::string content(int channel, const std::string& body, size_t announced = SIZE_MAX) {
  const std::string properties = be(0x9000, 2) + str("text/plain") + be(2, 1);  // content type, delivery mode
  std::string out = frame(2, channel, be(60, 2) + be(0, 2) + be(std::min(announced, body.size()), 8) + properties);
  if (announced != SIZE_MAX) out = frame(2, channel, be(60, 2) + be(0, 2) + be(announced, 8) + properties);
  return body.empty() ? out : out + frame(3, channel, body);
}
const std::string kPublish = method(1, 60, 40, be(0, 2) + str("ex") + str("key") + be(1, 1));

std::vector<Row> rows() {
  const std::string table = str("a") + "t\x01" + str("n") + "I" + be(7, 4) + str("s") + "S" + sized(4, "xyz") +
                            str("l") + "A" + sized(4, "s" + be(3, 2) + "V") + str("t") + "F" + sized(4, "");
  return {
      {"start",
       {c(unhex("'AMQP' 00 00 09 01")),
        s(method(0, 10, 10, unhex("00 09") + sized(4, table) + sized(4, "PLAIN") + sized(4, "en_US"))),
        c(method(0, 10, 11, sized(4, "") + str("PLAIN") + sized(4, "guest guest") + str("en_US")))},
       {R"~("method":"connection.start"|"versionMinor":9|"serverProperties":{"a":true,"n":7,"s":"xyz","l":[3,null],"t":{}}|"method":"connection.start-ok"|"response":"guest guest")~"}},
      {"declare",
       {c(method(1, 50, 10, be(0, 2) + str("q") + be(0x12, 1) + sized(4, ""))),
        s(method(1, 50, 11, str("q") + be(3, 4) + be(1, 4)))},
       {R"~("method":"queue.declare","channel":1,"summary":"q"|"durable":true,"exclusive":false|"noWait":true)~",
        R"~(3 res)~"}},
      {"declare and wait",
       {c(method(1, 50, 10, be(0, 2) + str("q") + be(2, 1) + sized(4, ""))),
        s(method(1, 50, 11, str("q") + be(3, 4) + be(1, 4)))},
       {R"~("durable":true|"messageCount":3,"consumerCount":1)~"}},
      {"publish",
       {c(kPublish + content(1, "hello"))},
       {R"~(0 req|"method":"basic.publish","channel":1,"summary":"key"|"exchange":"ex","routingKey":"key","mandatory":true|"properties":{"contentType":"text/plain","deliveryMode":2},"body":"hello","bodySize":5)~"}},
      {"empty body", {c(kPublish + content(1, ""))}, {R"~("body":"","bodySize":0)~"}},
      {"two channels at once",
       {c(kPublish + method(2, 60, 40, be(0, 2) + str("") + str("two") + be(0, 1)) + content(2, "22") +
          content(1, "1"))},
       {R"~("channel":2,"summary":"two"|"body":"22")~", R"~("channel":1|"body":"1")~"}},
      {"body in two frames",
       {c(kPublish + content(1, "abc", 5) + frame(3, 1, "de"))},
       {R"~("body":"abcde","bodySize":5)~"}},
      {"body never comes", {c(kPublish + content(1, "abc", 5))}, {R"~(4 req|"truncated":true|error=content)~"}},
      {"get",
       {c(method(1, 60, 70, be(0, 2) + str("q") + be(1, 1))),
        s(method(1, 60, 71, be(9, 8) + be(0, 1) + str("") + str("q") + be(0, 4)) + content(1, "m")),
        c(method(1, 60, 70, be(0, 2) + str("q") + be(1, 1))), s(method(1, 60, 72, str("")))},
       {R"~("method":"basic.get"|"method":"basic.get-ok"|"deliveryTag":9|"body":"m"|"status":"OK")~",
        R"~("method":"basic.get-empty"|"status":"EMPTY")~"}},
      {"deliver, ack, return, nack",
       {s(method(1, 60, 60, str("ct") + be(1, 8) + be(1, 1) + str("e") + str("k")) + content(1, "x")),
        c(method(1, 60, 80, be(1, 8) + be(0, 1))),
        s(method(1, 60, 50, be(312, 2) + str("NO_ROUTE") + str("e") + str("k")) + content(1, "y")),
        s(method(1, 60, 120, be(2, 8) + be(3, 1)))},
       {R"~("method":"basic.deliver"|"consumerTag":"ct","deliveryTag":1,"redelivered":true)~",
        R"~(0 req|"method":"basic.ack")~", R"~("replyCode":312,"replyText":"NO_ROUTE"|"body":"y")~",
        R"~("method":"basic.nack"|"multiple":true,"requeue":true)~"}},
      {"server closes the channel",
       {s(method(1, 20, 40, be(404, 2) + str("NOT_FOUND") + be(50, 2) + be(10, 2))), c(method(1, 20, 41))},
       {R"~("method":"channel.close"|"replyCode":404|"method":"channel.close-ok")~"}},
      {"confirm, tx, heartbeat",
       {c(method(1, 85, 10, be(0, 1)) + frame(8, 0, "") + method(1, 90, 10)), s(method(1, 90, 11) + method(1, 85, 11))},
       {R"~("method":"tx.select")~", R"~("method":"confirm.select"|"method":"confirm.select-ok")~"}},
      {"half", {c(method(1, 90, 10))}, {"2 req"}},
      {"short arguments", {c(method(1, 50, 20, be(0, 2) + "\x09q"))}, {"req|error=arguments"}},
  };
}

TEST(Amqp, Table) { check_table<Amqp>(rows()); }
TEST(Amqp, Goldens) { EXPECT_EQ(compare_goldens<Amqp>(BALEEN_SOURCE_DIR "/src/dissect/amqp"), ""); }

TEST(Amqp, BodiesAreCappedAndCounted) {
  Settings limits;
  limits.body_cap = 1000;
  std::string script = kPublish + content(1, "", 50'000);
  for (int i = 0; i < 5; ++i) script += frame(3, 1, std::string(10'000, 'x'));
  const auto items = play<Amqp>({c(script)}, SIZE_MAX, limits);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_LT(items[0].size(), 1600u);
  EXPECT_THAT(items[0], ::testing::HasSubstr(R"~("bodySize":50000,"truncated":true)~"));
  EXPECT_EQ(play<Amqp>({c(script)}, 777, limits), items);
}

TEST(Amqp, Probe) {
  using enum Direction;
  expect_probe<Amqp>(kToServer, unhex("'AMQP' 00 00 09 01"), Probe::kYes);
  expect_probe<Amqp>(kToServer, unhex("'AMQP' 00 01 00 00"), Probe::kNo);  // AMQP 1.0
  expect_probe<Amqp>(kToServer, kPublish, Probe::kYes);
  expect_probe<Amqp>(kToClient, method(1, 60, 80, be(1, 8) + be(0, 1)), Probe::kYes);
  expect_probe<Amqp>(kToClient, frame(8, 0, ""), Probe::kYes);
  expect_probe<Amqp>(kToServer, method(1, 61, 40, "abc"), Probe::kNo);
  expect_probe<Amqp>(kToServer, "A001 LOGIN", Probe::kNo);
}

TEST(Amqp, ResyncFindsAMethod) {
  Amqp amqp;
  const std::string noise = "body\x01\x02\xCE";
  const Resync r = amqp.resync({Direction::kToServer, as_bytes(noise + kPublish), {}, false});
  EXPECT_TRUE(r.found);
  EXPECT_EQ(r.ruled_out, noise.size());
}

}  // namespace
}  // namespace baleen::dissect::amqp
