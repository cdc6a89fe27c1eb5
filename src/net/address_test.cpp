#include "net/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>

namespace baleen::net {
namespace {

TEST(Address, prints_as_rfc_5952_says) {
  for (const char* text :
       {"10.0.0.1", "::", "::1", "fe80::1", "2001:db8::1:0:0:1", "2001:db8:0:1:1:1:1:1", "1::", "a:b:c:d:e:f:1:2"})
    EXPECT_EQ(to_string(*IpAddress::parse(text)), text);
  EXPECT_EQ(to_string(*IpAddress::parse("::ffff:10.0.0.1")), "10.0.0.1");
  for (const char* text : {"", "10.0.0", "10.0.0.256", ":::", "fe80::1%eth0", "x"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(Address, any_address_reads_back) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    uint8_t raw[16];
    for (uint8_t& byte : raw) byte = random() % 3 == 0 ? static_cast<uint8_t>(random()) : 0;
    const IpAddress a = IpAddress::v6(raw);
    EXPECT_EQ(IpAddress::parse(to_string(a)), a);
  }
}

TEST(FlowKey, is_the_same_for_both_directions) {
  const Endpoint a{*IpAddress::parse("10.0.0.1"), 4242}, b{*IpAddress::parse("10.0.0.2"), 80};
  const auto there = flow_key({a, b, Transport::kTcp}), back = flow_key({b, a, Transport::kTcp});
  EXPECT_TRUE(there.key == back.key);
  EXPECT_NE(there.from_low, back.from_low);
  EXPECT_EQ(hash(there.key), hash(back.key));
  EXPECT_EQ(to_string(b), "10.0.0.2:80");
  EXPECT_EQ(to_string(Endpoint{*IpAddress::parse("::1"), 80}), "[::1]:80");
}

}  // namespace
}  // namespace baleen::net
