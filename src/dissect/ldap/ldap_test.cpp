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
std::string control_of(const std::string& oid, const std::string& value) { return tlv(0x30, str(oid) + str(value)); }
std::string control(const std::string& oid, const std::string& value) { return tlv(0xA0, control_of(oid, value)); }
/// What a SASL layer makes of bytes.
std::string record(const std::string& bytes) { return be(bytes.size(), 4) + bytes; }
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
      {"entries of a search that nobody saw are one item",
       {s(entry(9, "a") + entry(9, "b") + entry(4, "c") + message(9, 0x65, result(4)))},
       {R"~(3 res|"status":"sizeLimitExceeded"|"entryCount":2)~", R"~(3 res|"entryCount":1|"truncated":true)~"}},
      {"a number that is used again",
       {c(search(2, kPresent)), s(entry(2, "old")), c(search(2, kPresent)),
        s(entry(2, "new") + message(2, 0x65, result(0)))},
       {R"~(2 req|"dn":"old")~", R"~(0 req|"entries":[{"dn":"new")~"}},
      {"password modify",
       {c(message(3, 0x77,
                  tlv(0x80, "1.3.6.1.4.1.4203.1.11.1") +
                      tlv(0x81, tlv(0x30, tlv(0x80, "uid=a") + tlv(0x81, "old") + tlv(0x82, "new"))))),
        s(message(3, 0x78, result(0)))},
       {R"~("requestLabel":"Password Modify","userIdentity":"uid=a"|"summary":"Password Modify")~"}},
      {"who am I",
       {c(message(3, 0x77, tlv(0x80, "1.3.6.1.4.1.4203.1.11.3"))),
        s(message(3, 0x78, result(0) + tlv(0x8B, "dn:cn=admin")))},
       {R"~("requestLabel":"Who am I?"|"authorizationId":"dn:cn=admin")~"}},
      {"cancel",
       {c(message(4, 0x77, tlv(0x80, "1.3.6.1.1.8") + tlv(0x81, tlv(0x30, number(2, 3))))),
        s(message(4, 0x78, result(118)))},
       {R"~("cancelId":3|"status":"canceled")~"}},
      {"content synchronization",
       {c(message(5, 0x63,
                  str("dc=x") + number(0x0A, 2) + number(0x0A, 0) + number(2, 0) + number(2, 0) + tlv(1, be(0, 1)) +
                      kPresent + tlv(0x30, ""),
                  control("1.3.6.1.4.1.4203.1.9.1.1", tlv(0x30, number(0x0A, 3) + str("rid=1"))))),
        s(message(5, 0x64, str("cn=1") + tlv(0x30, ""),
                  control("1.3.6.1.4.1.4203.1.9.1.2", tlv(0x30, number(0x0A, 1) + str(std::string(16, '\x11'))))) +
          message(5, 0x79, tlv(0x80, "1.3.6.1.4.1.4203.1.9.1.4") + tlv(0x81, tlv(0x80, "c"))) +
          message(5, 0x65, result(0), control("1.3.6.1.4.1.4203.1.9.1.3", tlv(0x30, str("rid=2")))))},
       {R"~("name":"Content Sync","mode":"refreshAndPersist","cookie":"rid=1"|"name":"Sync State","state":"add","entryUUID":"1111)~"
        R"~(|"intermediates":[{"responseName":"1.3.6.1.4.1.4203.1.9.1.4","responseLabel":"Sync Info"|"name":"Sync Done","cookie":"rid=2")~"}},
      {"sorted, on behalf of another, when a filter holds",
       {c(message(
            6, 0x4A, "d",
            tlv(0xA0, control_of("1.2.840.113556.1.4.473",
                                 tlv(0x30, tlv(0x30, str("cn")) + tlv(0x30, str("sn") + tlv(0x81, "\xFF")))) +
                          control_of("2.16.840.1.113730.3.4.18", "u:bob") + control_of("1.3.6.1.1.12", kPresent)))),
        s(message(6, 0x6B, result(122), control("1.2.840.113556.1.4.474", tlv(0x30, number(0x0A, 16)))))},
       {R"~("keys":["cn","-sn"]|"authorizationId":"u:bob"|"filter":"(objectClass=*)"|"status":"assertionFailed"|"result":"noSuchAttribute")~"}},
      {"notice of disconnection",
       {s(message(0, 0x78, result(52) + tlv(0x8A, "1.3.6.1.4.1.1466.20036")))},
       {R"~(1 res|"responseLabel":"Notice of Disconnection")~"}},
      {"referral",
       {c(message(1, 0x4A, "d")), s(message(1, 0x6B, result(10) + tlv(0xA3, str("ldap://h/d"))))},
       {R"~("referral":["ldap://h/d"])~"}},
      {"signed by a SASL layer",
       {c(message(1, 0x60, number(2, 3) + str("") + tlv(0xA3, str("GSS-SPNEGO") + str("token")))),
        s(message(1, 0x61, result(0))), c(record(std::string(16, '\x01') + search(2, kPresent))),
        s(record(std::string(16, '\x01') + entry(2, "one") + message(2, 0x65, result(0)))),
        c(record("\x05\x04 sealed: nothing can be read of it") +
          record(std::string(28, '\x05') + message(3, 0x42, "")))},
       {R"~("mechanism":"GSS-SPNEGO")~", R"~("type":"search"|"dn":"one")~", R"~("type":"unbind")~"}},
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

// CLDAP: what is sent again is answered once.
TEST(Ldap, Datagrams) {
  check_datagrams<Ldap>({
      {"answered", {c(search(1, kPresent)), s(entry(1, "")), s(message(1, 0x65, result(0)))}, {R"~("entryCount":1)~"}},
      {"sent again",
       {c(search(1, kPresent)), c(search(1, kPresent)), s(entry(1, "")), s(message(1, 0x65, result(0)))},
       {R"~(0 req|"entryCount":1)~", "2 req"}},
  });
  EXPECT_EQ(Ldap::probe({Direction::kToServer, as_bytes(search(1, kPresent)), {}, true, true}), Probe::kYes);
  EXPECT_EQ(Ldap::probe({Direction::kToServer, as_bytes(search(1, kPresent)).first(20), {}, true, true}), Probe::kNo);
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
