#include "dissect/amqp/amqp.h"

#include "dissect/test_conversation.h"
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

std::string publish(int channel, const std::string& body) {
  return method(channel, 60, 40, be(0, 2) + str("ex") + str("key") + be(0, 1)) + content(channel, body);
}
const std::string kSelect = method(1, 85, 10, be(0, 1)), kSelected = method(1, 85, 11);
std::string ack(int channel, uint64_t tag, bool multiple = false) {
  return method(channel, 60, 80, be(tag, 8) + be(multiple ? 1 : 0, 1));
}
std::string nack(int channel, uint64_t tag, bool multiple = false) {
  return method(channel, 60, 120, be(tag, 8) + be(multiple ? 1 : 0, 1));
}

/// With the bit `mandatory`.
std::string mandatory(int channel, const std::string& key, const std::string& body) {
  return method(channel, 60, 40, be(0, 2) + str("ex") + str(key) + be(1, 1)) + content(channel, body);
}
std::string returned(int channel, const std::string& key, const std::string& body) {
  return method(channel, 60, 50, be(312, 2) + str("NO_ROUTE") + str("ex") + str(key)) + content(channel, body);
}

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
      {"confirms: one, several, refused",
       {c(kSelect), s(kSelected), c(publish(1, "a") + publish(1, "b") + publish(1, "c") + publish(1, "d")),
        s(ack(1, 1) + ack(1, 3, true) + nack(1, 4))},
       {R"~("method":"confirm.select"|"method":"confirm.select-ok")~",
        R"~(0 req|"body":"a"|"deliveryTag":1,"confirm":"ACK"| res[21@|"method":"basic.ack"|"deliveryTag":1,"multiple":false|"status":"OK")~",
        R"~(0 req|"body":"b"|"deliveryTag":2,"confirm":"ACK"})~",
        R"~(0 req|"body":"c"|"deliveryTag":3,"confirm":"ACK"| res|"deliveryTag":3,"multiple":true|"status":"OK")~",
        R"~(0 req|"body":"d"|"deliveryTag":4,"confirm":"NACK"| res|"method":"basic.nack"|"status":"NACK")~"}},
      {"confirms out of order, all at once, and of nothing",
       {c(kSelect), s(kSelected), c(publish(1, "a") + publish(1, "b") + publish(1, "c")),
        s(ack(1, 2) + nack(1, 0, true) + ack(1, 9) + ack(1, 3))},
       {"confirm.select", R"~("body":"b"|"confirm":"ACK"| res)~", R"~("body":"a"|"deliveryTag":1,"confirm":"NACK"})~",
        R"~("body":"c"|"confirm":"NACK"| res|"status":"NACK")~", R"~(0 req|"method":"basic.ack"|"deliveryTag":9)~",
        R"~(0 req|"method":"basic.ack"|"deliveryTag":3)~"}},
      {"confirms by channel; one without counts none",
       {c(kSelect + method(2, 85, 10, be(1, 1))), s(kSelected),
        c(publish(2, "x") + publish(3, "y") + publish(1, "a") + publish(2, "z")), s(ack(1, 1) + ack(2, 2, true))},
       {R"~(0 req|"channel":2|"noWait":true)~", "confirm.select-ok", R"~("body":"y","bodySize":1}})~",
        R"~("body":"a"|"deliveryTag":1,"confirm":"ACK"| res)~", R"~("body":"x"|"deliveryTag":1,"confirm":"ACK"})~",
        R"~("body":"z"|"deliveryTag":2,"confirm":"ACK"| res)~"}},
      {"the client's own acks are no confirms; a second select counts on",
       {c(kSelect), s(kSelected), c(publish(1, "a") + ack(1, 1)), c(kSelect), s(kSelected), c(publish(1, "b")),
        s(ack(1, 2))},
       {"confirm.select", R"~(0 req|"method":"basic.ack")~", "confirm.select",
        R"~("body":"b"|"deliveryTag":2,"confirm":"ACK"| res)~", R"~(2 req|"body":"a"|"deliveryTag":1})~"}},
      {"a closed channel confirms nothing, and its successor counts anew",
       {c(kSelect), s(kSelected), c(publish(1, "a")), s(method(1, 20, 40, be(404, 2) + str("NO") + be(60, 4))),
        c(method(1, 20, 41) + publish(1, "b")), c(kSelect), s(kSelected), c(publish(1, "c")), s(ack(1, 1))},
       {"confirm.select", R"~(2 req|"body":"a")~", R"~("method":"channel.close"|channel.close-ok)~",
        R"~(0 req|"body":"b","bodySize":1}})~", "confirm.select",
        R"~("body":"c"|"deliveryTag":1,"confirm":"ACK"| res)~"}},
      {"a return names the item of its publish: the oldest alike on its channel, and never one before an earlier "
       "return",
       {c(mandatory(1, "k", "a") + mandatory(2, "k", "b") + mandatory(1, "k", "b") + mandatory(1, "k", "b") +
          publish(1, "c")),
        s(returned(1, "k", "b") + returned(1, "k", "a") + returned(1, "k", "b") + returned(1, "k", "b") +
          returned(2, "k", "b") + returned(2, "key", "c"))},
       {R"~("body":"a")~", R"~("body":"b")~", R"~("body":"b")~", R"~("body":"b")~", R"~("body":"c")~",
        R"~("basic.return","channel":1|"body":"b"|},"publishedBy":2})~", R"~("body":"a","bodySize":1}})~",
        R"~("body":"b"|},"publishedBy":3})~", R"~("body":"b","bodySize":1}})~",
        R"~("channel":2|"body":"b"|},"publishedBy":1})~", R"~("body":"c","bodySize":1}})~"}},
      {"a publish that waits for its confirmation says that it came back",
       {c(kSelect), s(kSelected),
        c(mandatory(1, "k", "a") + mandatory(1, "x", "a") + mandatory(1, "x", "a") + mandatory(2, "x", "a")),
        s(returned(1, "x", "a") + returned(1, "x", "a") + returned(2, "x", "a") + ack(1, 3, true))},
       {"confirm.select", R"~("channel":2|"body":"a","bodySize":1}})~", R"~("basic.return"|},"deliveryTag":2})~",
        R"~("basic.return"|},"deliveryTag":3})~", R"~("channel":2|},"publishedBy":1})~",
        R"~("routingKey":"k"|},"deliveryTag":1,"confirm":"ACK"})~",
        R"~(},"deliveryTag":2,"returned":{"replyCode":312,"replyText":"NO_ROUTE"},"confirm":"ACK"})~",
        R"~(},"deliveryTag":3,"returned":{"replyCode":312,"replyText":"NO_ROUTE"},"confirm":"ACK"}|basic.ack)~"}},
      {"a new channel's returns are not its predecessor's",
       {c(mandatory(1, "k", "a") + method(1, 20, 40, be(200, 2) + str("bye") + be(0, 4))), s(method(1, 20, 41)),
        c(method(1, 20, 10, str(""))), s(method(1, 20, 11, sized(4, ""))), s(returned(1, "k", "a"))},
       {R"~("body":"a")~", "channel.close-ok", "channel.open-ok", R"~("basic.return"|"body":"a","bodySize":1}})~"}},
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

/// Publishes that nobody confirms hold no more than the limits say, of items and of bodies.
TEST(Amqp, PublishesThatWaitAreBounded) {
  const auto unconfirmed = [](size_t count, size_t body, Settings limits) {
    TestConversation t(entry<Amqp>("amqp"));
    t.settings_value = limits;
    t.to_server(kSelect);
    t.to_client(kSelected);
    size_t most = 0;
    for (size_t i = 0; i < count; ++i) {
      t.to_server(publish(1, std::string(body, 'x')));
      most = std::max(most, t.open);
    }
    EXPECT_EQ(t.counted(Counter::kTooManyPending), count - most);
    EXPECT_EQ(t.items.size() - 1, count - most);
    // The numbers still hold for those that are left.
    t.to_client(ack(1, count, true));
    EXPECT_EQ(t.items.size(), count + 1);
    EXPECT_EQ(t.item(count).request.payload["deliveryTag"].as_int(), static_cast<int64_t>(count));
    EXPECT_TRUE(t.item(count).response.present);
    return most;
  };
  Settings limits;
  limits.pending_cap = 100;
  EXPECT_EQ(unconfirmed(1000, 10, limits), 100u);
  limits.body_cap = 10'000;
  EXPECT_EQ(unconfirmed(1000, 5'000, limits), 15u);
}

TEST(Amqp, LostPublishesEndTheCount) {
  TestConversation t(entry<Amqp>("amqp"));
  t.to_server(kSelect);
  t.to_client(kSelected);
  t.to_server(publish(1, "a"));
  t.lose(Direction::kToServer, 100);
  ASSERT_EQ(t.items.size(), 2u);
  EXPECT_EQ(t.item(1).outcome, item::Outcome::kNoResponse);
  t.to_server(publish(1, "c"));
  t.to_client(ack(1, 3));
  ASSERT_EQ(t.items.size(), 4u);
  EXPECT_TRUE(t.item(2).request.payload["deliveryTag"].is_null());
  EXPECT_FALSE(t.item(2).response.present);
  EXPECT_EQ(t.item(3).request.payload["method"].text(), "basic.ack");
  EXPECT_EQ(t.open, 0u);
}

TEST(Amqp, ReturnsBehindLostPublishesAreTiedToNone) {
  TestConversation t(entry<Amqp>("amqp"));
  t.to_server(mandatory(1, "k", "a"));
  t.lose(Direction::kToServer, 100);
  t.to_client(returned(1, "k", "a"));
  ASSERT_EQ(t.items.size(), 2u);
  EXPECT_TRUE(t.item(1).request.payload["publishedBy"].is_null());
}

TEST(Amqp, ReturnablePublishesAreBounded) {
  TestConversation t(entry<Amqp>("amqp"));
  for (size_t i = 0; i <= Returns::kMost; ++i) t.to_server(mandatory(1, "k", std::to_string(i)));
  EXPECT_EQ(t.counted(Counter::kForgotten), 1u);
  t.to_client(returned(1, "k", "0") + returned(1, "k", "1"));
  const size_t n = t.items.size();
  EXPECT_TRUE(t.item(n - 2).request.payload["publishedBy"].is_null());
  EXPECT_EQ(t.item(n - 1).request.payload["publishedBy"].as_int(), 1);
}

TEST(Amqp, ConfirmsThatNeverComeExpire) {
  TestConversation t(entry<Amqp>("amqp"));
  t.to_server(kSelect);
  t.to_client(kSelected);
  t.to_server(publish(1, "a"));
  EXPECT_EQ(t.open, 1u);
  t.expire_all();
  ASSERT_EQ(t.items.size(), 2u);
  EXPECT_EQ(t.item(1).outcome, item::Outcome::kNoResponse);
  t.to_server(publish(1, "b"));
  t.to_client(ack(1, 2));
  ASSERT_EQ(t.items.size(), 3u);
  EXPECT_EQ(t.item(2).request.payload["confirm"].text(), "ACK");
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
