#include "net/ethernet_form.h"

#include <gtest/gtest.h>

#include <string>

namespace baleen::net {
namespace {

using std::string;

string bytes(std::initializer_list<int> values) {
  string out;
  for (const int v : values) out += static_cast<char>(v);
  return out;
}

TEST(EthernetForm, EveryLinkGetsAnEtherType) {
  const string ip4 = "\x45 and more", ip6 = "\x60 and more", none(12, '\0');
  const string frame = string(12, 'm') + bytes({8, 0}) + ip4;
  struct Row {
    const char* name;
    uint16_t link;
    string packet, expect;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"Ethernet", 1, frame, frame},
           {"cooked", 113, string(14, 0) + bytes({0x86, 0xDD}) + ip6, none + bytes({0x86, 0xDD}) + ip6},
           {"null", 0, bytes({2, 0, 0, 0}) + ip4, none + bytes({8, 0}) + ip4},
           {"raw", 101, ip6, none + bytes({0x86, 0xDD}) + ip6},
           {"PPP", 9, bytes({0xFF, 3, 0, 0x21}) + ip4, none + bytes({8, 0}) + ip4},
           {"PPP, MPLS", 9, bytes({0xFF, 3, 2, 0x81}) + "label", none + bytes({0x88, 0x47}) + "label"},
           {"PPP's own business", 9, bytes({0xFF, 3, 0xC0, 0x21, 1, 1}),
            none + bytes({0x88, 0xB5, 0xFF, 3, 0xC0, 0x21, 1, 1})},
           {"pktap with Ethernet", 258, bytes({12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}) + frame, frame},
           {"an unknown link", 999, "whatever", none + bytes({0x88, 0xB5}) + "whatever"},
       }) {
    EthernetForm form;
    EXPECT_EQ(as_text(form.of(as_bytes(row.packet), static_cast<LinkType>(row.link))), row.expect) << row.name;
  }
}

TEST(EthernetForm, CutPacketsAndLinksWithoutEndStayWhole) {
  string nested;  // PPI within PPI
  for (int i = 0; i < 9; ++i) nested += bytes({0, 0, 8, 0, 192, 0, 0, 0});
  for (uint16_t link = 0; link < 300; ++link) {
    for (size_t size = 0; size <= nested.size(); ++size) {
      const std::vector<uint8_t> cut(nested.begin(), nested.begin() + static_cast<std::ptrdiff_t>(size));
      EthernetForm form;
      const Bytes out = form.of(cut, static_cast<LinkType>(link));
      EXPECT_LE(out.size(), cut.size() + 14);
    }
  }
}

}  // namespace
}  // namespace baleen::net
