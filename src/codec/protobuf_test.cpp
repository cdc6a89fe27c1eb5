#include "codec/protobuf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace baleen::codec {
namespace {

using Type = WireField::Type;

std::string read(const std::vector<uint8_t>& bytes) {
  WireReader reader(bytes);
  std::string out;
  for (WireField f; reader.next(f);) {
    out += std::to_string(f.number) + ":" + std::to_string(static_cast<int>(f.type)) + "=";
    out += f.type == Type::kBytes ? std::string(as_text(f.bytes)) : std::to_string(f.value);
    out += " ";
  }
  return out + (reader.ok() ? "ok" : "bad");
}

TEST(Protobuf, Records) {
  EXPECT_EQ(read({}), "ok");
  EXPECT_EQ(read({0x08, 0x96, 0x01}), "1:0=150 ok");
  EXPECT_EQ(read({0x12, 0x02, 'h', 'i', 0x18, 0x00}), "2:2=hi 3:0=0 ok");
  EXPECT_EQ(read({0x0D, 1, 0, 0, 0, 0x09, 2, 0, 0, 0, 0, 0, 0, 1}), "1:5=1 1:1=72057594037927938 ok");
  EXPECT_EQ(read({0x0B, 0x10, 0x07, 0x0C}), "1:3=0 2:0=7 1:4=0 ok");
  EXPECT_EQ(read({0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}), "1:0=18446744073709551615 ok");
}

TEST(Protobuf, Malformed) {
  EXPECT_EQ(read({0x00}), "bad");              // number 0
  EXPECT_EQ(read({0x0E}), "bad");              // type 6
  EXPECT_EQ(read({0x0F}), "bad");              // type 7
  EXPECT_EQ(read({0x08}), "bad");              // no value
  EXPECT_EQ(read({0x08, 0x80}), "bad");        // it does not end
  EXPECT_EQ(read({0x12, 0x03, 'h'}), "bad");   // longer than the message
  EXPECT_EQ(read({0x0D, 1, 2, 3}), "bad");     // three of four bytes
  EXPECT_EQ(read({0x09, 1, 2, 3, 4}), "bad");  // four of eight
  EXPECT_EQ(read({0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02}), "bad");  // 65 bits
  EXPECT_EQ(read({0x80, 0x80, 0x80, 0x80, 0x10, 0x00}), "bad");                                // number of 30 bits
}

}  // namespace
}  // namespace baleen::codec
