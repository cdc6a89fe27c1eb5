#include "dissect/mqtt/mqtt.h"

#include "dissect/test_table.h"

namespace baleen::dissect::mqtt {
namespace {

using enum Direction;

std::string packet(int first, const std::string& body) { return be(first, 1) + be(body.size(), 1) + body; }
std::string str(const std::string& s) { return sized(2, s); }
const std::string kConnect4 = packet(0x10, str("MQTT") + unhex("04 c2 003c") + str("me") + str("bob") + str("pw"));
const std::string kConnect5 = packet(0x10, str("MQTT") + unhex("05 02 003c 05 11 0000000a") + str("me"));

std::vector<Row> rows() {
  return {

      {"connect",
       {c(kConnect4), s(unhex("20 02 00 00"))},
       {R"~("protocolVersion":4|"clientId":"me","userName":"bob","password":"pw","summary":"me"|"status":"Connection Accepted")~"}},
      {"refused", {c(kConnect4), s(unhex("20 02 00 05"))}, {R"~("reasonCode":5,"status":"Not Authorized")~"}},
      {"publish",
       {c(packet(0x30, str("a/b") + "hello"))},
       {R"~(0 req|"topic":"a/b","qos":0|"message":"hello","messageSize":5)~"}},
      {"qos 1 and 2",
       {c(packet(0x32, str("t") + be(7, 2) + "x") + packet(0x34, str("u") + be(8, 2) + "y")),
        s(unhex("40 02 0007 50 02 0008")), c(unhex("62 02 0008")), s(unhex("70 02 0008"))},
       {R"~("topic":"t"|"method":"PUBACK")~", R"~("topic":"u"|"method":"PUBREC")~",
        R"~("method":"PUBREL"|"PUBCOMP")~"}},
      {"both sides use the same identifiers",
       {c(packet(0x32, str("t") + be(7, 2))), s(packet(0x32, str("u") + be(7, 2))), c(unhex("40 02 0007")),
        s(unhex("40 02 0007"))},
       {R"~("topic":"u"|"PUBACK")~", R"~("topic":"t"|"PUBACK")~"}},
      {"subscribe",
       {c(packet(0x82, be(1, 2) + str("a/#") + be(1, 1))), s(unhex("90 03 0001 80"))},
       {R"~("topics":[{"topic":"a/#","qos":1}]|"reasonCodes":[128],"status":"Unspecified error")~"}},
      {"version 5",
       {c(kConnect5 + packet(0x30, str("t") + unhex("0c 26 0001 'k' 0001 'v' 02 00000005") + "m")),
        s(unhex("20 06 00 87 03 21 000a"))},
       {R"~(0 req|"properties":{"messageExpiryInterval":5,"userProperties":{"k":"v"}},"message":"m")~",
        R"~("sessionExpiryInterval":10|"status":"Not authorized"|"receiveMaximum":10)~"}},
      {"ping and bye", {c(unhex("c0 00")), s(unhex("d0 00")), c(unhex("e0 00"))}, {"PINGREQ|PINGRESP", "DISCONNECT"}},
      {"orphan", {s(unhex("40 02 0007"))}, {"3 res"}},
      {"malformed", {c(packet(0x30, unhex("0009 'ab'")))}, {"4 req|error=malformed packet"}},
  };
}

TEST(Mqtt, Table) { check_table<Mqtt>(rows()); }

TEST(Mqtt, Probe) {
  expect_probe<Mqtt>(kToServer, kConnect4, Probe::kYes);
  expect_probe<Mqtt>(kToServer, packet(0x10, str("MQIsdp") + unhex("03 02 003c") + str("me")), Probe::kYes);
  expect_probe<Mqtt>(kToClient, unhex("20 02 00 00"), Probe::kYes);
  expect_probe<Mqtt>(kToServer, packet(0x10, str("ABCD") + "123456"), Probe::kNo);
  // In the middle of a connection.
  expect_probe<Mqtt>(kToServer, unhex("c000"), Probe::kUnsure);
  expect_probe<Mqtt>(kToServer, unhex("c000 40020007") + packet(0x32, str("a/b") + unhex("0007") + "x"), Probe::kYes);
  expect_probe<Mqtt>(kToClient, packet(0x30, str("sensors/1") + "21.5"), Probe::kYes);
  expect_probe<Mqtt>(kToClient, packet(0x30, str("a/#") + "21.5"), Probe::kNo);
  expect_probe<Mqtt>(kToClient, "220 mail.example.org ESMTP\r\n", Probe::kNo);
  expect_probe<Mqtt>(kToServer, "0123456789 abc\r\n", Probe::kNo);
}

TEST(Mqtt, Goldens) { EXPECT_EQ(compare_goldens<Mqtt>(BALEEN_SOURCE_DIR "/src/dissect/mqtt"), ""); }

}  // namespace
}  // namespace baleen::dissect::mqtt
