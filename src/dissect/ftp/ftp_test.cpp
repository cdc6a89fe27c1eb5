#include "dissect/ftp/ftp.h"

#include "dissect/test_table.h"

namespace baleen::dissect::ftp {
namespace {

using enum Direction;

std::vector<Row> rows() {
  return {

      {"session",
       {s("220 FTP\r\n"), c("USER bob\r\n"), s("331 pw\r\n"), c("PASS secret\r\n"),
        s("230-hi\r\n there\r\n230 in\r\n")},
       {R"~(1 data|"code":220)~", R"~("method":"USER","argument":"bob","summary":"bob"|331)~",
        R"~("method":"PASS","password":"secret","summary":""|"code":230|"lines":["hi"," there","in"])~"}},
      {"preliminary",
       {c("RETR f\r\n"), s("150 open\r\n226 done\r\n")},
       {R"~("summary":"f"|"code":226|"preliminary":150)~"}},
      {"data connections",
       {c("PASV\r\nEPSV\r\nPORT 10,0,0,2,7,138\r\nEPRT |2|::1|1930|\r\n"),
        s("227 Entering Passive Mode (10,0,0,1,7,139).\r\n229 Extended (|||1932|)\r\n200 a\r\n200 b\r\n")},
       {R"~(|"dataAddress":"10.0.0.1:1931")~", R"~(|"dataAddress":"[::]:1932")~", R"~("dataAddress":"10.0.0.2:1930")~",
        R"~("dataAddress":"[::1]:1930")~"}},
      {"transfers name their data connections",
       {c("PASV\r\n"), s("227 Entering Passive Mode (10,0,0,1,7,139).\r\n"), c("RETR f\r\n"),
        s("150 open\r\n226 done\r\n"), c("PORT 10,0,0,2,7,138\r\n"), s("200 a\r\n"), c("STOR g\r\n"),
        s("150 open\r\n226 done\r\n"), c("LIST\r\n"), s("425 no\r\n"), c("EPSV\r\nMLSD\r\nNOOP\r\n"),
        s("229 Extended (|||1932|)\r\n150 open\r\n226 done\r\n200 fine\r\n")},
       {"PASV", R"~("RETR"|"preliminary":150,"dataConnection":{"mode":"passive","address":"10.0.0.1:1931"}})~", "PORT",
        R"~("STOR"|"dataConnection":{"mode":"active","address":"10.0.0.2:1930"}})~",
        R"~("LIST"|"code":425,"status":"425","text":"no"})~", "EPSV",
        R"~("MLSD"|"dataConnection":{"mode":"passive","address":"[::]:1932"}})~", R"~("NOOP"|"text":"fine"})~"}},
      {"half", {c("LIST\r\n")}, {"2 req"}},
  };
}

TEST(Ftp, Table) { check_table<Ftp>(rows()); }

TEST(Ftp, Probe) {
  expect_probe<Ftp>(kToServer, "USER bob\r\n", Probe::kYes);
  expect_probe<Ftp>(kToServer, "USER a b c :d e\r\n", Probe::kNo);
  expect_probe<Ftp>(kToClient, "220 (vsFTPd 3.0)\r\n", Probe::kYes);
  expect_probe<Ftp>(kToClient, "220 mx ESMTP\r\n", Probe::kNo);
}

TEST(Ftp, Goldens) { EXPECT_EQ(compare_goldens<Ftp>(BALEEN_SOURCE_DIR "/src/dissect/ftp"), ""); }

}  // namespace
}  // namespace baleen::dissect::ftp
