#include "dissect/thrift/thrift.h"

#include "dissect/test_table.h"

namespace baleen::dissect::thrift {
namespace {

using enum Direction;

std::string message(int kind, const std::string& name, int sequence, const std::string& fields) {
  return be(0x8001, 2) + be(0, 1) + be(kind, 1) + sized(4, name) + be(sequence, 4) + fields + be(0, 1);
}
std::string compact(int kind, const std::string& name, const std::string& fields) {
  return be(0x82, 1) + be(kind << 5 | 1, 1) + be(5, 1) + sized(1, name) + fields + be(0, 1);
}
const std::string kArguments = unhex(
    "08 0001 00000007 0b 0002 00000003 'abc' 0f 0003 0c 00000002 02 0001 01 00 00 0d 0004 0b 08 00000001 00000001 'k' "
    "00000005");

std::vector<Row> rows() {
  return {

      {"call",
       {c(message(1, "add", 1, kArguments)), s(message(2, "add", 1, unhex("08 0000 0000002a")))},
       {R"~("method":"add","type":"call","protocol":"binary buffered","sequence":1,"arguments":{"1":7,"2":"abc","3":[{"1":true},{}],"4":[{"key":"k","value":5}]}|"result":{"0":42},"status":"OK")~"}},
      {"framed",
       {c(sized(4, message(1, "add", 1, ""))), s(sized(4, message(3, "add", 1, unhex("0b 0001 00000003 'bad'"))))},
       {R"~("protocol":"binary framed"|"type":"exception"|"error":"bad"|"status":"exception")~"}},
      {"oneway", {c(message(4, "log", 1, ""))}, {R"~(0 req|"type":"oneway")~"}},
      {"compact",
       {c(sized(4, unhex("82 21 05 03 'add' 00 00")))},
       {R"~("method":"add"|"protocol":"compact framed","sequence":5)~"}},
      {"compact, not framed, with every type",
       {c(compact(1, "add",
                  unhex("11 12 13 ff 14 03 15 01 16 80 01 17 000000000000f03f 18 03 'abc' 19 25 02 04 1a 11 01 "
                        "1b 01 85 01 'k' 0e 1c 15 02 00 08 80 02 01 'z'"))),
        s(compact(2, "add", unhex("05 00 54")))},
       {R"~("protocol":"compact buffered","sequence":5,"arguments":{"1":true,"2":false,"3":-1,"4":-2,"5":-1,"6":64,"7":1.0,"8":"abc","9":[1,2],"10":[true],)~"
        R"~(|"11":[{"key":"k","value":7}],"12":{"1":1},"128":"z"}|"result":{"0":42},"status":"OK")~"}},
      {"several services, and an exception that is declared",
       {c(message(1, "Users:get", 2, "")), s(message(2, "get", 2, unhex("0c 0001 0b 0001 00000002 'no' 00"))),
        c(message(1, "get", 3, "")), s(message(2, "get", 3, unhex("0c 0001 0b 0001 00000002 'no' 00")))},
       {R"~(0 req|"service":"Users"|"status":"declared exception")~",
        R"~(0 req|"method":"get","type":"call","protocol":"binary buffered","sequence":3)~"}},
      {"header",
       {c(sized(4, unhex("0fff 0000 00000001 0001 00 00 00 00") + message(1, "add", 1, ""))),
        s(sized(4, unhex("0fff 0000 00000001 0001 02 00 00 00") +
                       compact(3, "add", unhex("18 02 'no' 15 02")).replace(2, 1, "\x01")))},
       {R"~("protocol":"binary header"|"error":"no","errorType":"unknown method","status":"exception")~"}},
      {"orphan", {s(message(2, "add", 1, ""))}, {"3 res"}},
  };
}

TEST(Thrift, Table) { check_table<Thrift>(rows()); }

TEST(Thrift, Probe) {
  expect_probe<Thrift>(kToServer, message(1, "add", 1, kArguments), Probe::kYes);
  expect_probe<Thrift>(kToClient, message(1, "add", 1, kArguments), Probe::kNo);
  expect_probe<Thrift>(kToServer, sized(4, message(1, "add", 1, kArguments)), Probe::kYes);
  expect_probe<Thrift>(kToServer, unhex("80 01 00 01 00000003 00010200000001"), Probe::kNo);
}

TEST(Thrift, Goldens) { EXPECT_EQ(compare_goldens<Thrift>(BALEEN_SOURCE_DIR "/src/dissect/thrift"), ""); }

}  // namespace
}  // namespace baleen::dissect::thrift
