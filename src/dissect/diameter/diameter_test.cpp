#include "dissect/diameter/diameter.h"

#include "dissect/test_table.h"

namespace baleen::dissect::diameter {
namespace {

std::string avp(int code, const std::string& value, int vendor = 0) {
  std::string out = be(code, 4) + be(vendor != 0 ? 0xC0 : 0x40, 1) + be(value.size() + (vendor != 0 ? 12 : 8), 3);
  if (vendor != 0) out += be(vendor, 4);
  out += value;
  while (out.size() % 4 != 0) out += '\0';
  return out;
}
std::string message(int flags, int command, int hop, const std::string& avps, int application = 0) {
  return be(1, 1) + be(avps.size() + 20, 3) + be(flags, 1) + be(command, 3) + be(application, 4) + be(hop, 4) +
         be(9, 4) + avps;
}

std::vector<Row> rows() {
  return {
      {"capabilities",
       {c(message(0x80, 257, 1, avp(264, "host.a") + avp(296, "realm") + avp(257, unhex("0001 0a000001")))),
        s(message(0, 257, 1, avp(268, be(2001, 4)) + avp(264, "host.b")))},
       {R"~("method":"Capabilities-Exchange-Request","commandCode":257|"originHost":"host.a","originRealm":"realm"|"name":"Host-IP-Address","value":"10.0.0.1"|"summary":"host.a")~"
        R"~(|"method":"Capabilities-Exchange-Answer"|"resultCode":2001|"status":"DIAMETER_SUCCESS")~"}},
      {"grouped and secret",
       {c(message(0xC0, 318, 2, avp(263, "s;1") + avp(1413, avp(1414, avp(1450, "key", 10415), 10415), 10415),
                  16777251)),
        s(message(0x40, 318, 2, avp(297, avp(266, be(10415, 4)) + avp(298, be(5001, 4))), 16777251))},
       {R"~("application":"3GPP S6a/S6d"|"sessionId":"s;1"|"name":"E-UTRAN-Vector"|"secrets":[{"code":1450|"summary":"s;1"|"resultCode":5001,"avps"|"status":"DIAMETER_ERROR_USER_UNKNOWN")~"}},
      {"the server asks too",
       {s(message(0x80, 280, 7, avp(264, "b"))), c(message(0x80, 280, 7, avp(264, "a"))),
        c(message(0, 280, 7, avp(268, be(2001, 4)))), s(message(0, 280, 7, avp(268, be(3004, 4))))},
       {R"~("originHost":"b"|DIAMETER_SUCCESS)~", R"~("originHost":"a"|DIAMETER_TOO_BUSY)~"}},
      {"credit control",
       {c(message(0xC0, 272, 3,
                  avp(263, "s;2") + avp(416, be(1, 4)) + avp(415, be(0, 4)) +
                      avp(443, avp(450, be(1, 4)) + avp(444, "00101")) + avp(1016, avp(1028, be(9, 4), 10415), 10415) +
                      avp(421, be(7, 8)) + avp(55, be(2208988800u + 5, 4)),
                  16777238)),
        s(message(0x40, 272, 3, avp(268, be(4012, 4)) + avp(456, avp(431, avp(420, be(60, 4))))))},
       {R"~("application":"3GPP Gx"|"ccRequestType":"INITIAL_REQUEST","ccRequestNumber":0|"value":"END_USER_IMSI")~"
        R"~(|"name":"QoS-Class-Identifier","value":9|"name":"CC-Total-Octets","value":7|"name":"Event-Timestamp","value":5)~"
        R"~(|"name":"CC-Time","value":60|"status":"DIAMETER_CREDIT_LIMIT_REACHED")~"}},
      {"an error, and sent again",
       {c(message(0xD0, 316, 4, avp(264, "a"), 16777251)),
        s(message(0x20, 316, 4, avp(268, be(3002, 4)) + avp(281, "no")))},
       {R"~("proxiable":true,"retransmitted":true|"error":true|"errorMessage":"no"|"status":"DIAMETER_UNABLE_TO_DELIVER")~"}},
      {"an identifier that is used again",
       {c(message(0x80, 280, 7, avp(264, "a")) + message(0x80, 280, 7, avp(264, "b"))),
        s(message(0, 280, 7, avp(268, be(2001, 4))))},
       {R"~(2 req|"originHost":"a")~", R"~(0 req|"originHost":"b")~"}},
      {"passwords stand apart",
       {c(message(0x80, 265, 8, avp(2, "hidden") + avp(1, "bob")))},
       {R"~("userName":"bob"|"secrets":[{"code":2,"name":"User-Password")~"}},
      {"half", {c(message(0x80, 280, 7, avp(264, "a")))}, {"2 req"}},
      {"malformed", {c(message(0x80, 280, 7, avp(264, "a").replace(7, 1, "\x40")))}, {"req|error=malformed AVPs"}},
  };
}

TEST(Diameter, Table) { check_table<Diameter>(rows()); }

TEST(Diameter, Probe) {
  using enum Direction;
  expect_probe<Diameter>(kToServer, rows()[0].script[0].bytes, Probe::kYes);
  expect_probe<Diameter>(kToClient, rows()[0].script[1].bytes, Probe::kYes);
  expect_probe<Diameter>(kToServer, message(0x8F, 257, 1, avp(264, "a")), Probe::kNo);
  expect_probe<Diameter>(kToServer, std::string(40, '\x01'), Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::diameter
