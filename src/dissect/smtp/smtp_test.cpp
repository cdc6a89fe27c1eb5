#include "dissect/smtp/smtp.h"

#include "dissect/test_table.h"

namespace baleen::dissect::smtp {
namespace {

using enum Direction;

std::vector<Row> rows() {
  return {

      {"mail",
       {s("220 mx ESMTP\r\n"), c("EHLO h\r\n"), s("250-mx\r\n250 SIZE\r\n"),
        c("MAIL FROM:<a@b> SIZE=5\r\nRCPT TO:<c@d>\r\nDATA\r\n"), s("250 ok\r\n550 no\r\n354 go\r\n"),
        c("From: A <a@b>\r\nSubject: hi\r\n\r\nbody\r\n..dot\r\n.\r\nQUIT\r\n"), s("250 queued\r\n221 bye\r\n")},
       {R"~(1 data|"code":220,"status":"220","text":"mx ESMTP")~",
        R"~("method":"EHLO","argument":"h"|"lines":["mx","SIZE"])~", R"~("address":"a@b","summary":"a@b"|"code":250)~",
        R"~("address":"c@d"|"code":550)~", R"~("method":"DATA"|354)~",
        R"~("method":"MESSAGE","from":"A <a@b>"|"subject":"hi"|"body":"body\r\n..dot\r\n"|"text":"queued")~",
        R"~("method":"QUIT"|221)~"}},
      {"auth",
       {c("AUTH LOGIN\r\n"), s("334 VXNl\r\n"), c("Ym9i\r\n"), s("235 ok\r\n")},
       {R"~("argument":"LOGIN"|334)~", R"~("method":"AUTH","credentials":"Ym9i"|235)~"}},
      {"auth at once", {c("AUTH PLAIN AGJvYgBwdw==\r\n")}, {R"~("argument":"PLAIN","credentials":"AGJvYgBwdw==")~"}},
      {"empty mail",
       {c("DATA\r\n"), s("354 go\r\n"), c(".\r\n"), s("250 ok\r\n")},
       {"DATA", R"~("method":"MESSAGE"|"body":"","bodySize":3)~"}},
      {"dots that end no mail",
       {c("DATA\r\n"), s("354 go\r\n"), c("\r\na.\r\n.b\r\n\n.\r\n.\rx\r\n.\r\nNOOP\r\n"), s("250 ok\r\n250 n\r\n")},
       {"DATA", R"~("body":"a.\r\n.b\r\n\n.\r\n.\rx\r\n","bodySize":22)~", R"~("method":"NOOP"|250)~"}},
      {"chunk",
       {c("BDAT 3 LAST\r\nabcNOOP\r\n"), s("250 a\r\n250 b\r\n")},
       {R"~("method":"BDAT"|"body":"","bodySize":3)~", "NOOP"}},
      {"a mail in chunks",
       {c("BDAT 21\r\nSubject: a\r\n  b\r\n\r\nonBDAT 2 LAST\r\ne.QUIT\r\n"), s("250 a\r\n250 b\r\n221 c\r\n")},
       {R"~("subject":"a b"|"body":"on","bodySize":21)~", R"~("argument":"2 LAST"|"body":"e.","bodySize":2)~", "QUIT"}},
      {"folded headers",
       {c("DATA\r\nSUBJECT: one\r\n\ttwo\r\n three\r\nTo: x\r\n\r\n.\r\n")},
       {"DATA", R"~("to":"x","subject":"one two three")~"}},
      {"LMTP answers for each recipient",
       {c("LHLO h\r\n"), s("250 hi\r\n"),
        c("MAIL FROM:<>\r\nRCPT TO:<a@a>\r\nRCPT TO:<b@b>\r\nRCPT TO:<c@c>\r\nDATA\r\n"),
        s("250 1\r\n250 2\r\n550 3\r\n250 4\r\n354 go\r\n"), c("To: a\r\n\r\nx\r\n.\r\nQUIT\r\n"),
        s("250 for a\r\n452 for c\r\n221 bye\r\n")},
       {"LHLO", "MAIL", "RCPT", R"~(b@b|550)~", "RCPT", "DATA", R"~("method":"MESSAGE"|"text":"for a")~",
        R"~(1 data|"code":452)~", R"~("method":"QUIT"|221)~"}},
      {"a secret whose challenge nobody saw", {c("AUTH LOGIN\r\nYm9i\r\n")}, {"AUTH", R"~("credentials":"Ym9i")~"}},
      {"AUTH refused",
       {c("AUTH FOO\r\n"), s("504 no\r\n"), c("NOOP\r\n")},
       {R"~("code":504)~", R"~("method":"NOOP")~"}},
  };
}

TEST(Smtp, Table) { check_table<Smtp>(rows()); }

TEST(Smtp, StartTlsHandsOver) {
  Collected out;
  Smtp smtp;
  Player player(smtp, out);
  player.arrive(kToServer, "STARTTLS\r\n");
  player.arrive(kToClient, "220 go\r\n");
  EXPECT_EQ(player.switched_to(), "tls");
}

TEST(Smtp, Probe) {
  expect_probe<Smtp>(kToServer, "EHLO me\r\n", Probe::kYes);
  expect_probe<Smtp>(kToClient, "220 mx ESMTP Postfix\r\n", Probe::kYes);
  expect_probe<Smtp>(kToClient, "220 ProFTPD\r\n", Probe::kNo);
  expect_probe<Smtp>(kToServer, "GET / HTTP/1.1\r\n", Probe::kNo);
}

TEST(Smtp, Goldens) { EXPECT_EQ(compare_goldens<Smtp>(BALEEN_SOURCE_DIR "/src/dissect/smtp"), ""); }

}  // namespace
}  // namespace baleen::dissect::smtp
