#include "dissect/dns/dns.h"

#include "dissect/test_table.h"

namespace baleen::dissect::dns {
namespace {

/// A name in wire form; its labels divided by dots.
std::string name(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view label = text.substr(0, text.find('.'));
    out += sized(1, std::string(label));
    text.remove_prefix(std::min(text.size(), label.size() + 1));
  }
  return out + '\0';
}
std::string question(std::string_view of, int type, int klass = 1) { return name(of) + be(type, 2) + be(klass, 2); }
/// A record of the name at offset 12, where the first question's is.
std::string record(int type, const std::string& data, int klass = 1, int ttl = 60) {
  return "\xC0\x0C" + be(type, 2) + be(klass, 2) + be(ttl, 4) + sized(2, data);
}
std::string message(int id, int flags, const std::vector<std::string>& questions,
                    const std::vector<std::string>& answers = {}, const std::vector<std::string>& additionals = {},
                    const std::vector<std::string>& authorities = {}) {
  std::string out = be(id, 2) + be(flags, 2) + be(questions.size(), 2) + be(answers.size(), 2) +
                    be(authorities.size(), 2) + be(additionals.size(), 2);
  for (const auto* section : {&questions, &answers, &authorities, &additionals})
    for (const std::string& part : *section) out += part;
  return out;
}
std::string ask(int id, std::string_view of, int type) { return message(id, 0x0100, {question(of, type)}); }
std::string tell(int id, std::string_view of, int type, const std::vector<std::string>& answers, int rcode = 0) {
  return message(id, 0x8180 | rcode, {question(of, type)}, answers);
}
std::string framed(const std::string& m) { return sized(2, m); }

struct TypeRow {
  const char* type;
  int number;
  std::string data;
  const char* shown;  // of "data"
};

/// RDATA of each type and its presentation form (RFC 1035 5.1 and the RFC that defines the type).
std::vector<TypeRow> types() {
  const std::string digest(32, '\xAB');
  return {
      {"A", 1, unhex("0a000001"), "10.0.0.1"},
      {"NS", 2, name("ns1.x.org"), "ns1.x.org"},
      {"CNAME", 5, name("www"), "www"},
      {"SOA", 6, name("ns") + name("me") + be(2024, 4) + be(3600, 4) + be(600, 4) + be(86400, 4) + be(60, 4),
       "ns me 2024 3600 600 86400 60"},
      {"PTR", 12, name("host.x.org"), "host.x.org"},
      {"MX", 15, be(10, 2) + name("mail.x.org"), "10 mail.x.org"},
      {"TXT", 16, sized(1, "v=spf1 -all"), R"(\"v=spf1 -all\")"},
      {"AAAA", 28, unhex("20010db8000000000000000000000001"), "2001:db8::1"},
      {"SRV", 33, be(1, 2) + be(2, 2) + be(5060, 2) + name("sip.x.org"), "1 2 5060 sip.x.org"},
      {"NAPTR", 35, be(100, 2) + be(10, 2) + sized(1, "S") + sized(1, "SIP+D2U") + sized(1, "") + name("_sip._udp.x"),
       R"(100 10 \"S\" \"SIP+D2U\" \"\" _sip._udp.x)"},
      // RFC 3123 section 4 and 5: the length of an address part may be anything up to the family's.
      {"APL", 42,
       unhex("0001 15 03 c0a820") + unhex("0001 1c 84 c0a82601") + unhex("0002 08 01 ff") + unhex("0001 00 00"),
       "1:192.168.32.0/21 !1:192.168.38.1/28 2:ff00::/8 1:0.0.0.0/0"},
      {"APL", 42, "", ""},
      {"APL", 42, unhex("0003 08 01 ff"), R"(\\# 5 00030801ff)"},
      {"APL", 42, unhex("0001 21 01 ff"), R"(\\# 5 00012101ff)"},
      {"APL", 42, unhex("0001 08 05 0102030405"), R"(\\# 9 000108050102030405)"},
      // RFC 4025 3.2, its examples.
      {"IPSECKEY", 45, unhex("0a 01 02 c0000226") + "key!", "10 1 2 192.0.2.38 a2V5IQ=="},
      {"IPSECKEY", 45, unhex("0a 00 02") + "key!", "10 0 2 . a2V5IQ=="},
      {"IPSECKEY", 45, unhex("0a 03 02") + name("mygateway.example.com") + "key!",
       "10 3 2 mygateway.example.com a2V5IQ=="},
      {"IPSECKEY", 45, unhex("0a 02 02 20010db8000080020000000020000001") + "key!",
       "10 2 2 2001:db8:0:8002::2000:1 a2V5IQ=="},
      {"IPSECKEY", 45, unhex("0a 00 00"), "10 0 0 ."},
      {"IPSECKEY", 45, unhex("0a 04 02 00"), R"(\\# 4 0a040200)"},
      // RFC 8005 6: with one rendezvous server, with two, with none.
      {"HIP", 55, unhex("10 02 0004 200100107b1a74df365639cc39f1d578") + "key!" + name("rvs.example.com"),
       "2 200100107b1a74df365639cc39f1d578 a2V5IQ== rvs.example.com"},
      {"HIP", 55, unhex("02 02 0004 2001") + "key!" + name("rvs1.x.org") + name("rvs2.x.org"),
       "2 2001 a2V5IQ== rvs1.x.org rvs2.x.org"},
      {"HIP", 55, unhex("02 02 0004 2001") + "key!", "2 2001 a2V5IQ=="},
      {"HIP", 55, unhex("02 02 0009 2001") + "key!", R"(\\# 10 0202000920016b657921)"},
      {"TKEY", 249,
       name("gss-tsig") + be(1700000000, 4) + be(1700003600, 4) + be(3, 2) + be(0, 2) + sized(2, "key!") + sized(2, ""),
       "gss-tsig 1700000000 1700003600 3 0 4 a2V5IQ== 0"},
      {"TKEY", 249, name("hmac-md5") + be(0, 4) + be(0, 4) + be(5, 2) + be(18, 2) + sized(2, "") + sized(2, "key!"),
       "hmac-md5 0 0 5 18 0 4 a2V5IQ=="},
      {"DS", 43, be(60485, 2) + be(5, 1) + be(1, 1) + unhex("2bb183af"), "60485 5 1 2bb183af"},
      {"RRSIG", 46,
       be(1, 2) + be(8, 1) + be(2, 1) + be(300, 4) + be(1700000000, 4) + be(1690000000, 4) + be(7, 2) + name("x.org") +
           "sig!",
       "A 8 2 300 20231114221320 20230722042640 7 x.org c2lnIQ=="},
      {"DNSKEY", 48, be(257, 2) + be(3, 1) + be(8, 1) + "key!", "257 3 8 a2V5IQ=="},
      {"SVCB", 64, be(1, 2) + name("svc") + be(1, 2) + sized(2, sized(1, "h2")), "1 svc alpn=h2"},
      {"HTTPS", 65, be(1, 2) + name("") + be(3, 2) + sized(2, be(8443, 2)), "1 . port=8443"},
      {"CAA", 257, be(0, 1) + sized(1, "issue") + "ca.org", R"(0 issue \"ca.org\")"},
      {"TYPE65280", 65280, unhex("0102"), R"(\\# 2 0102)"},
  };
}

TEST(Dns, shows_every_type_in_presentation_form) {
  for (const TypeRow& t : types()) {
    const auto items =
        play_datagrams<Dns>({c(ask(1, "x.org", t.number)), s(tell(1, "x.org", t.number, {record(t.number, t.data)}))});
    ASSERT_EQ(items.size(), 1u) << t.type;
    EXPECT_THAT(items[0], ::testing::HasSubstr(std::string(R"("type":")") + t.type + R"(","class":"IN")")) << t.type;
    EXPECT_THAT(items[0], ::testing::HasSubstr(std::string(R"("data":")") + t.shown + "\"")) << t.type;
  }
}

std::vector<Row> datagrams() {
  const std::string opt = std::string(1, '\0') + be(41, 2) + be(1232, 2) + be(0x8000, 4) +
                          sized(2, be(8, 2) + sized(2, unhex("0001 18 00 0a0000")));
  return {
      {"several in flight",
       {c(ask(1, "a.x", 1)), c(ask(2, "b.x", 1)), c(ask(3, "a.x", 28)), s(tell(3, "a.x", 28, {})),
        s(tell(1, "a.x", 1, {record(1, unhex("01020304"))})), s(tell(2, "B.X", 1, {record(1, unhex("01020305"))}))},
       {R"("questionTypes":["AAAA"]|"answers":[])", R"("name":"a.x"|"1.2.3.4")", R"("name":"b.x"|"1.2.3.5")"}},
      {"the same id, another name, is no answer", {c(ask(1, "a.x", 1)), s(tell(1, "b.x", 1, {}))}, {"3 res", "2 req"}},
      {"codes in words",
       {c(ask(1, "a.x", 1)), s(tell(1, "a.x", 1, {}, 3))},
       {R"("code":"Non-Existent Domain"|"rcode":3)"}},
      {"an answer without its question (RFC 1035 7.3)",
       {c(ask(9, "a.x", 1)), s(message(9, 0x8181, {}))},
       {R"("questionNames":["a.x"]|"rcodeName":"FORMERR")"}},
      {"an answer that comes before its question",
       {s(tell(1, "a.x", 1, {record(1, unhex("01020304"))})), s(tell(2, "b.x", 1, {}, 3)), c(ask(2, "b.x", 1)),
        c(ask(1, "b.x", 1)), c(ask(1, "a.x", 1))},
       {R"(0 req|"name":"b.x"|"rcode":3)", R"(0 req|"name":"a.x"|"1.2.3.4")", R"(2 req|"name":"b.x")"}},
      {"a copy of an answer is not that of the next question",
       {c(ask(1, "a.x", 1)), s(tell(1, "a.x", 1, {})), s(tell(1, "a.x", 1, {})), c(ask(1, "a.x", 1)),
        s(tell(1, "a.x", 1, {record(1, unhex("01020304"))}))},
       {R"(0 req|"answers":[])", R"(3 res|"answers":[])", R"(0 req|"1.2.3.4")"}},
      {"EDNS",
       {c(message(1, 0x0120, {question("a.x", 1)}, {}, {opt})), s(message(1, 0x8180, {question("a.x", 1)}, {}, {opt}))},
       {R"("edns":{"version":0,"udpSize":1232,"dnssecOk":true|10.0.0.0/24)"}},
      {"NetBIOS names are not DNS",
       {s(be(7, 2) + unhex("8500 0000 0001 0000 0000 20") + std::string(32, 'C') +
          unhex("00 0020 0001 00000e10 0006 0000 0a000001"))},
       {}},
      {"a cut record is shown as far as it goes",
       {c(ask(1, "a.x", 1)),
        s(tell(1, "a.x", 1, {record(1, unhex("01020304")), record(1, unhex("0102")).substr(0, 9)}))},
       {R"("1.2.3.4"|error=malformed or truncated record)"}},
      {"an answer whose second question cannot be read still answers",
       {c(ask(1, "a.x", 1)), s(be(1, 2) + unhex("8180 0002 0001 0000 0000") + question("a.x", 1) + unhex("22 61 00"))},
       {R"("questionNames":["a.x"]|"rcodeName":"NOERROR"|error=malformed or truncated record)"}},
      {"compression loops are refused",
       {c(message(1, 0x0100, {unhex("c00c 0001 0001")})), c(message(2, 0x0100, {unhex("01 61 c00c 0001 0001")}))},
       {}},
  };
}

TEST(Dns, Datagrams) { check_datagrams<Dns>(datagrams()); }

TEST(Dns, says_what_was_not_captured_whole) {
  const std::string whole = tell(1, "a.x", 1, {record(1, unhex("01020304")), record(1, unhex("01020305"))});
  for (const size_t lost : {0u, 1u, 20u}) {
    Collected out;
    Dns dns;
    const std::string there = whole.substr(0, whole.size() - lost);
    dns.dissect({Direction::kToClient, as_bytes(there), Timestamp{}, true, true, static_cast<uint32_t>(lost)}, out);
    dns.close(false, out);
    ASSERT_EQ(out.items.size(), 1u);
    EXPECT_EQ(out.items[0].find(R"("truncated":true)") != std::string::npos, lost != 0) << out.items[0];
    EXPECT_EQ(out.items[0].find("1.2.3.5") != std::string::npos, lost == 0) << out.items[0];
    EXPECT_EQ(out.counted(Counter::kMalformed), 0u);
  }
}

std::vector<Row> streams() {
  const std::string soa = record(6, name("ns") + name("me") + be(1, 4) + be(2, 4) + be(3, 4) + be(4, 4) + be(5, 4));
  const std::string a = record(1, unhex("01020304"));
  return {
      {"pipelined, answered out of order (RFC 7766 6.2.1.1)",
       {c(framed(ask(1, "a.x", 1)) + framed(ask(2, "b.x", 1))),
        s(framed(tell(2, "b.x", 1, {})) + framed(tell(1, "a.x", 1, {a})))},
       {R"("name":"b.x")", R"("name":"a.x"|"1.2.3.4")"}},
      {"a zone in one message",
       {c(framed(ask(1, "x", 252))), s(framed(tell(1, "x", 252, {soa, a, soa})))},
       {R"("type":"AXFR"|"type":"SOA"|"1.2.3.4"|"type":"SOA")"}},
      {"a zone in several (RFC 5936 2.2)",
       {c(framed(ask(1, "x", 252))), s(framed(tell(1, "x", 252, {soa, a})) + framed(message(1, 0x8180, {}, {})) +
                                       framed(tell(1, "x", 252, {a, soa})))},
       {R"("type":"AXFR"|"type":"SOA"|"1.2.3.4"|"1.2.3.4"|"type":"SOA")"}},
      {"a zone that ends too early",
       {c(framed(ask(1, "x", 252))), s(framed(tell(1, "x", 252, {soa, a})))},
       {R"("type":"AXFR"|"1.2.3.4"|error=unexpected EOF)"}},
      {"Windows' mark behind a query for a zone",
       {c(framed(ask(1, "x", 252) + "MS")), s(framed(tell(1, "x", 252, {soa, soa})))},
       {R"("type":"AXFR"|"type":"SOA")"}},
  };
}

TEST(Dns, Streams) { check_table<Dns>(streams()); }

TEST(Dns, a_gap_in_the_questions_leaves_a_transfer_alone) {
  const std::string soa = record(6, name("ns") + name("me") + std::string(20, '\1'));
  for (const Direction lost : {Direction::kToServer, Direction::kToClient}) {
    Collected out;
    Dns dns;
    const auto feed = [&](Direction d, const std::string& bytes) {
      dns.dissect({d, as_bytes(bytes), Timestamp{}, false}, out);
    };
    feed(Direction::kToServer, framed(ask(1, "x", 252)));
    feed(Direction::kToClient, framed(tell(1, "x", 252, {soa, record(1, unhex("01020304"))})));
    dns.gap(lost, 100, out);
    EXPECT_EQ(out.items.size(), lost == Direction::kToClient ? 1u : 0u);
    feed(Direction::kToClient, framed(tell(1, "x", 252, {soa})));
    dns.close(false, out);
    ASSERT_FALSE(out.items.empty());
    const bool whole = out.items[0].find("error=") == std::string::npos;
    EXPECT_EQ(whole, lost == Direction::kToServer) << out.items[0];
  }
}

TEST(Dns, Probe) {
  using enum Direction;
  using enum Probe;
  const auto datagram = [](Direction d, const std::string& bytes) {
    return Dns::probe({d, as_bytes(bytes), {}, true, true});
  };
  EXPECT_EQ(datagram(kToServer, ask(1, "a.x", 1)), kYes);
  EXPECT_EQ(datagram(kToServer, ask(1, "a.x", 1) + "x"), kYes);  // padding
  EXPECT_EQ(datagram(kToServer, ask(1, "a.x", 1) + std::string(65, 'x')), kNo);
  EXPECT_EQ(datagram(kToServer, ask(1, "", 1) + std::string(17, 'x')), kNo);
  EXPECT_EQ(datagram(kToClient, tell(1, "a.x", 1, {record(1, unhex("01020304"))}) + unhex("000100")), kYes);
  EXPECT_EQ(datagram(kToClient, tell(1, "a.x", 1, {record(1, unhex("01020304"))}) + std::string(17, 'x')), kNo);
  EXPECT_EQ(datagram(kToServer, tell(1, "a.x", 1, {record(1, unhex("01020304"))})), kNo);
  EXPECT_EQ(datagram(kToClient, ask(1, "a.x", 1)), kNo);
  EXPECT_EQ(datagram(kToServer, std::string(12, '\0')), kNo);
  // mDNS: several questions, and an id that receivers ignore (RFC 6762 18.1).
  EXPECT_EQ(datagram(kToServer, message(4, 0, {question("_a._sub._b._tcp.local", 12), question("_b._tcp.local", 12)})),
            kYes);
  EXPECT_EQ(datagram(kToServer, message(4, 0, {question("a.local", 12), question("b.local", 12, 9)})), kNo);
  EXPECT_EQ(datagram(kToServer, framed(ask(1, "a.x", 1))), kNo);
  expect_probe<Dns>(kToServer, framed(ask(1, "a.x", 1)), kYes);
  expect_probe<Dns>(kToClient, framed(tell(1, "a.x", 1, {record(1, unhex("01020304"))})), kYes);
  expect_probe<Dns>(kToServer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", kNo);
  expect_probe<Dns>(kToServer, unhex("16 03 01 02 00 01 00 01 fc 03 03"), kNo);
}

/// Work is bounded by what a message holds, whatever its counts and pointers promise.
TEST(Dns, hostile_counts_and_pointers_cost_little) {
  std::string names;
  for (int i = 0; i < 400; ++i) names += unhex("3f") + std::string(63, 'a');  // no name is that long
  const std::string many =
      be(1, 2) + unhex("8180 0001 ffff ffff ffff") + names + std::string(1, '\0') + unhex("0001 0001");
  std::string chain = message(1, 0x8180, {question("a", 1)});
  chain[6] = chain[7] = '\xFF';
  for (int i = 0; i < 3000; ++i)
    chain += be(0xC000 | (i == 0 ? 12 : 19 + 12 * (i - 1)), 2) + be(1, 2) + be(1, 2) + be(0, 6);
  for (const std::string& bytes : {many, chain}) {
    Collected out;
    Dns dns;
    dns.dissect({Direction::kToClient, as_bytes(bytes), Timestamp{}, true, true}, out);
    dns.close(false, out);
    EXPECT_EQ(out.held(), 0);
  }
}

}  // namespace
}  // namespace baleen::dissect::dns
