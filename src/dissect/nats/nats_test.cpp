#include "dissect/nats/nats.h"

#include "dissect/test_table.h"

namespace baleen::dissect::nats {
namespace {

using enum Direction;

std::vector<Row> rows() {
  return {

      {"publish",
       {c("PUB a.b 5\r\nhello\r\n")},
       {R"~(0 req|"method":"PUB","subject":"a.b","payload":"hello","payloadSize":5,"summary":"a.b")~"}},
      {"empty", {c("pub a 0\r\n\r\n")}, {R"~("payload":"")~"}},
      {"request and reply",
       {c("PUB svc _INBOX.1 2\r\nhi\r\n"), s("MSG other 1 1\r\nx\r\nMSG _INBOX.1 2 3\r\nyes\r\n")},
       {R"~("method":"MSG","subject":"other")~", R"~("replyTo":"_INBOX.1"|"payload":"yes"|"status":"OK")~"}},
      {"nobody listens",
       {c("PUB svc _I.1 0\r\n\r\n"), s("HMSG _I.1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n")},
       {R"~(0 req|"status":"503")~"}},
      {"headers", {c("HPUB a 21 23\r\nNATS/1.0\r\nK: val\r\n\r\n\r\nhi\r\n")}, {R"~("headers":{"K":"val"})~"}},
      {"subscribe",
       {c("SUB a.* q 9\r\nUNSUB 9 5\r\n"), s("+OK\r\n-ERR 'Slow Consumer'\r\n")},
       {R"~("subject":"a.*","queueGroup":"q","sid":"9")~", R"~("sid":"9","maxMessages":"5")~", R"~("method":"+OK")~",
        R"~("error":"'Slow Consumer'")~"}},
      {"secrets",
       {c("CONNECT {\"user\":\"bob\",\"pass\":\"p\\\"w\",\"lang\":\"go\"}\r\n")},
       {R"~("options":"{\"user\":\"\",\"pass\":\"\",\"lang\":\"go\"}","credentials")~"}},
      {"ping", {c("PING\r\n"), s("PING\r\nPONG\r\n"), c("PONG\r\n")}, {R"~(PING|PONG)~", R"~(PING|PONG)~"}},
  };
}

TEST(Nats, Table) { check_table<Nats>(rows()); }

TEST(Nats, Probe) {
  expect_probe<Nats>(kToClient, "INFO {\"server_id\":\"x\",\"max_payload\":1}\r\n", Probe::kYes);
  expect_probe<Nats>(kToServer, "CONNECT {\"verbose\":false}\r\n", Probe::kYes);
  expect_probe<Nats>(kToServer, "CONNECT host:443 HTTP/1.1\r\n", Probe::kNo);
  expect_probe<Nats>(kToServer, "PING\r\n", Probe::kNo);
  expect_probe<Nats>(kToServer, "PUBLISH a b\r\n", Probe::kNo);
}

TEST(Nats, Goldens) { EXPECT_EQ(compare_goldens<Nats>(BALEEN_SOURCE_DIR "/src/dissect/nats"), ""); }

}  // namespace
}  // namespace baleen::dissect::nats
