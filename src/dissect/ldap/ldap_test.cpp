#include "dissect/ldap/ldap.h"

#include "dissect/test_table.h"

namespace baleen::dissect::ldap {
namespace {

std::string tlv(int tag, const std::string& body) {
  return be(tag, 1) + (body.size() < 128 ? be(body.size(), 1) : be(0x82, 1) + be(body.size(), 2)) + body;
}
std::string str(const std::string& s) { return tlv(4, s); }
std::string number(int tag, int n) { return tlv(tag, be(n, 1)); }
std::string message(int id, int operation, const std::string& body, const std::string& controls = "") {
  return tlv(0x30, number(2, id) + tlv(operation, body) + controls);
}
std::string result(int code) { return number(0x0A, code) + str("") + str(code == 0 ? "" : "why"); }
std::string entry(int id, const std::string& dn) {
  return message(id, 0x64, str(dn) + tlv(0x30, tlv(0x30, str("cn") + tlv(0x31, str("a") + str("b")))));
}
std::string search(int id, const std::string& filter) {
  return message(id, 0x63,
                 str("dc=x") + number(0x0A, 2) + number(0x0A, 0) + number(2, 0) + number(2, 0) + tlv(1, be(0, 1)) +
                     filter + tlv(0x30, str("cn")));
}
const std::string kPresent = tlv(0x87, "objectClass");
const std::string kOid = "1.3.6.1.4.1.1466.20037";

std::vector<Row> rows() {
  return {
      {"bind",
       {c(message(1, 0x60, number(2, 3) + str("cn=admin") + tlv(0x80, "pw"))), s(message(1, 0x61, result(0)))},
       {R"~("type":"bind","messageId":1,"version":3,"name":"cn=admin","authentication":"simple","password":"pw","summary":"cn=admin"|"resultCode":0,"status":"success")~"}},
      {"refused",
       {c(message(1, 0x60, number(2, 3) + str("cn=admin") + tlv(0x80, "no"))), s(message(1, 0x61, result(49)))},
       {R"~("resultCode":49,"status":"invalidCredentials"|"errorMessage":"why")~"}},
      {"sasl",
       {c(message(1, 0x60, number(2, 3) + str("") + tlv(0xA3, str("GSS-SPNEGO") + str("token")))),
        s(message(1, 0x61, result(14) + tlv(0x87, "more")))},
       {R"~("authentication":"sasl","mechanism":"GSS-SPNEGO"|"status":"saslBindInProgress"|"serverSaslCreds")~"}},
      {"search",
       {c(search(2, kPresent)),
        s(entry(2, "cn=1") + entry(2, "cn=2") + message(2, 0x73, str("ldap://h/")) + message(2, 0x65, result(0)))},
       {R"~("baseObject":"dc=x","scope":"wholeSubtree"|"filter":"(objectClass=*)","attributes":["cn"],"summary":"dc=x (objectClass=*)"|"entryCount":2,"entries":[{"dn":"cn=1","attributes":{"cn":["a","b"]}},{"dn":"cn=2")~"
        R"~(|"references":[["ldap://h/"]])~"}},
      {"filter",
       {c(search(2, tlv(0xA0, tlv(0xA3, str("a") + str("(b)")) + tlv(0xA2, tlv(0xA5, str("n") + str("5"))) +
                                  tlv(0xA1, tlv(0xA4, str("s") + tlv(0x30, tlv(0x80, "x") + tlv(0x81, "y")))) +
                                  tlv(0xA9, tlv(0x81, "rule") + tlv(0x82, "t") + tlv(0x83, "v")))))},
       {R"~("filter":"(&(a=\\28b\\29)(!(n>=5))(|(s=x*y*))(t:rule:=v))")~"}},
      {"two searches at once",
       {c(search(2, kPresent) + search(3, kPresent)),
        s(entry(3, "three") + entry(2, "two") + message(3, 0x65, result(0)) + message(2, 0x65, result(32)))},
       {R"~("messageId":3|"dn":"three")~", R"~("messageId":2|"dn":"two"|"noSuchObject")~"}},
      {"search without end",
       {c(search(2, kPresent)), s(entry(2, "one"))},
       {R"~(2 req|"entryCount":1|"truncated":true)~"}},
      {"modify, add, delete, rename, compare",
       {c(message(1, 0x66,
                  str("o") + tlv(0x30, tlv(0x30, number(0x0A, 2) + tlv(0x30, str("cn") + tlv(0x31, str("v")))))) +
          message(2, 0x68, str("e") + tlv(0x30, tlv(0x30, str("cn") + tlv(0x31, str("v"))))) + message(3, 0x4A, "d") +
          message(4, 0x6C, str("e") + str("cn=n") + tlv(1, "\xFF") + tlv(0x80, "up")) +
          message(5, 0x6E, str("e") + tlv(0x30, str("cn") + str("v")))),
        s(message(1, 0x67, result(0)) + message(2, 0x69, result(68)) + message(3, 0x6B, result(0)) +
          message(4, 0x6D, result(0)) + message(5, 0x6F, result(6)))},
       {R"~("object":"o","changes":[{"operation":"replace","type":"cn","values":["v"]}])~",
        R"~("entry":"e","attributes":{"cn":["v"]}|"entryAlreadyExists")~", R"~("type":"delete"|"entry":"d")~",
        R"~("newRDN":"cn=n","deleteOldRDN":true,"newSuperior":"up")~",
        R"~("attribute":"cn","value":"v"|"compareTrue")~"}},
      {"unbind and abandon",
       {c(message(7, 0x50, "\x06") + message(8, 0x42, ""))},
       {R"~(0 req|"abandonedMessageId":6)~", R"~(0 req|"type":"unbind")~"}},
      {"start tls",
       {c(message(1, 0x77, tlv(0x80, kOid))), s(message(1, 0x78, result(0)))},
       {R"~("requestLabel":"StartTLS"|"summary":"StartTLS"|"status":"success")~"}},
      {"controls",
       {c(message(1, 0x4A, "d",
                  tlv(0xA0, tlv(0x30, str("1.2.840.113556.1.4.319") + tlv(1, "\xFF") +
                                          str(tlv(0x30, number(2, 50) + str("")))))))},
       {R"~("controls":[{"type":"1.2.840.113556.1.4.319","name":"Paged Results","size":50|"criticality":true)~"}},
      {"orphan", {s(message(9, 0x61, result(0)))}, {"3 res"}},
  };
}

TEST(Ldap, Table) { check_table<Ldap>(rows()); }
TEST(Ldap, Goldens) { EXPECT_EQ(compare_goldens<Ldap>(BALEEN_SOURCE_DIR "/src/dissect/ldap"), ""); }

TEST(Ldap, StartTlsHandsOver) {
  Collected out;
  Ldap ldap;
  Player player(ldap, out);
  player.arrive(Direction::kToServer, message(1, 0x77, tlv(0x80, kOid)));
  player.arrive(Direction::kToClient, message(1, 0x78, result(0)));
  EXPECT_EQ(player.switched_to(), "tls");
  EXPECT_EQ(out.finished, 1u);
}

TEST(Ldap, Probe) {
  using enum Direction;
  expect_probe<Ldap>(kToServer, search(1, kPresent), Probe::kYes);
  expect_probe<Ldap>(kToServer, message(1, 0x42, ""), Probe::kYes);
  expect_probe<Ldap>(kToClient, message(1, 0x61, result(0)), Probe::kYes);
  expect_probe<Ldap>(kToClient, search(1, kPresent), Probe::kNo);
  expect_probe<Ldap>(kToServer, tlv(0x30, number(2, 1) + tlv(0xA0, "snmp")), Probe::kNo);
  expect_probe<Ldap>(kToServer, "0000 HELO", Probe::kNo);
}

}  // namespace
}  // namespace baleen::dissect::ldap
