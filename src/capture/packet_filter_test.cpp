#include "capture/packet_filter.h"

#include <gtest/gtest.h>

#include "net/harness.h"

namespace baleen::capture {
namespace {

std::string hex(std::string_view digits) {
  std::string out;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return out;
}

/// UDP from 10.0.0.1:1234 to 10.0.0.2:53 with four bytes.
std::string udp() { return hex("4500002000010000401166ca0a0000010a000002") + hex("04d20035000c000074657374"); }

bool matches(const std::string& text, const std::string& bytes, net::LinkType link) {
  const auto filter = PacketFilter::compile(text);
  EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().message);
  return filter && filter->matches({{}, as_bytes(bytes), static_cast<uint32_t>(bytes.size()), 0, link});
}

TEST(PacketFilter, AsksPacketsOfEveryLinkType) {
  const std::string ethernet = hex("020000000002020000000001");
  const struct {
    net::LinkType link;
    std::string packet;
  } rows[] = {
      {net::LinkType::kEthernet, ethernet + hex("0800") + udp()},
      {net::LinkType::kRaw, udp()},
      {net::LinkType::kIpv4, udp()},
      {net::LinkType::kNull, hex("02000000") + udp()},
      {net::LinkType::kLoop, hex("00000002") + udp()},
      {net::LinkType::kLinuxSll, hex("0000000100060200000000010000") + hex("0800") + udp()},
      {net::LinkType::kLinuxSll2, hex("0800000000000001000100060200000000010000") + udp()},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.link));
    EXPECT_TRUE(matches("", row.packet, row.link));
    EXPECT_TRUE(matches("udp port 53", row.packet, row.link));
    EXPECT_TRUE(matches("src host 10.0.0.1 and dst net 10.0.0.0/8", row.packet, row.link));
    EXPECT_FALSE(matches("tcp or port 54", row.packet, row.link));
    for (size_t cut = 0; cut < row.packet.size() - 12; ++cut)
      EXPECT_FALSE(matches("udp port 53", row.packet.substr(0, cut), row.link) && cut < row.packet.size() - 12) << cut;
  }
  const std::string tagged = ethernet + hex("8100000a0800") + udp();
  EXPECT_TRUE(matches("vlan 10 and udp port 53", tagged, net::LinkType::kEthernet));
  EXPECT_FALSE(matches("udp port 53", tagged, net::LinkType::kEthernet)) << "as tcpdump -r";
  EXPECT_TRUE(matches("ether src 02:00:00:00:00:01", tagged, net::LinkType::kEthernet));
  EXPECT_FALSE(matches("ether src 02:00:00:00:00:01", udp(), net::LinkType::kRaw)) << "no meaning there";
  EXPECT_FALSE(matches("udp", udp(), net::LinkType::kNflog));
}

TEST(PacketFilter, SaysWhatIsWrong) {
  const auto filter = PacketFilter::compile("port ==");
  ASSERT_FALSE(filter);
  EXPECT_EQ(filter.error().code, Code::kInvalid);
  EXPECT_NE(filter.error().message.find("port =="), std::string::npos);
  EXPECT_TRUE(PacketFilter::compile("  "));
  EXPECT_EQ(PacketFilter::compile("tcp")->text(), "tcp");
}

}  // namespace
}  // namespace baleen::capture
