#include "net/decode.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "net/harness.h"

namespace baleen::net {
namespace {

using std::string;
using std::string_view;

const string kPayload = "payload!";

string text(std::initializer_list<int> bytes) {
  string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}

string inner4() { return ipv4_packet("10.0.0.1", "10.0.0.2", 17, udp_datagram(4242, 53, kPayload)); }
string inner6() { return ipv6_packet("fe80::1", "fe80::2", 17, udp_datagram(4242, 53, kPayload)); }
string inner_ethernet() { return ethernet_frame(0x0800, inner4()); }
string outer(uint8_t protocol, string_view payload) {
  return ethernet_frame(0x0800, ipv4_packet("192.168.0.1", "192.168.0.2", protocol, payload));
}
string outer_udp(uint16_t port, string_view payload) { return outer(17, udp_datagram(5555, port, payload)); }
string gre(uint16_t flags, uint16_t type, string_view rest) {
  return be16_text(flags) + be16_text(type) + string(rest);
}

LinkType link_number(int number) { return static_cast<LinkType>(number); }

/// A data frame of 802.11 with LLC and SNAP; `control` is the frame control, `more` what stands behind the addresses.
string wlan(std::initializer_list<int> control, string_view more, string_view carried) {
  return text(control) + string(2, 0) + string(18, 2) + string(2, 0) + string(more) + text({0xAA, 0xAA, 3, 0, 0, 0}) +
         be16_text(0x0800) + string(carried);
}
/// Juniper's magic number and flags: 1 incoming, 2 no link header, 0x80 extensions.
string juniper(int flags) { return "MGC" + text({flags}); }
string capwap(int flags, string_view carried) { return text({0, 0x10, flags, 0, 0, 0, 0, 0}) + string(carried); }

struct Row {
  const char* name;
  LinkType link;
  string bytes;
  uint8_t tunnels = 0;
  uint16_t vlan = 0;
  bool v6 = false;
};

/// Every way to wrap the same datagram: all must come down to it.
std::vector<Row> wrappings() {
  using enum LinkType;
  const string sll = text({0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0});
  const string vxlan = text({8, 0, 0, 0, 0, 0, 42, 0}), mpls = text({0, 1, 1, 64});
  string nflog = text({2, 0, 0, 1, 8, 0, 1, 0, 0x08, 0, 3, 0});
  const string ip = inner4();
  nflog += text({static_cast<int>(ip.size() + 4), 0, 9, 0}) + ip;
  const string snap = text({0xAA, 0xAA, 3, 0, 0, 0, 8, 0});
  const auto pktap = [](int link) { return text({108, 0, 0, 0, 1, 0, 0, 0, link, 0, 0, 0}) + string(96, 0); };
  const string aal = text({17, 0, 0, 0, 0, 0, 0, 0});  // IPv6 destination options, 8 bytes, then UDP
  return {
      {"Ethernet", kEthernet, ethernet_frame(0x0800, inner4())},
      {"Ethernet IPv6", kEthernet, ethernet_frame(0x86DD, inner6()), 0, 0, true},
      {"raw IPv4", kRaw, inner4()},
      {"raw IPv6", kRaw, inner6(), 0, 0, true},
      {"LINKTYPE_IPV4", kIpv4, inner4()},
      {"LINKTYPE_IPV6", kIpv6, inner6(), 0, 0, true},
      {"null, little endian", kNull, text({2, 0, 0, 0}) + inner4()},
      {"null, big endian", kNull, text({0, 0, 0, 2}) + inner4()},
      {"null, IPv6 of Darwin", kNull, text({30, 0, 0, 0}) + inner6(), 0, 0, true},
      {"loop", kLoop, text({0, 0, 0, 2}) + inner4()},
      {"cooked", kLinuxSll, sll + be16_text(0x0800) + inner4()},
      {"cooked v2", kLinuxSll2, be16_text(0x0800) + string(18, 0) + inner4()},
      {"nflog", kNflog, nflog},
      {"PPP", link_number(9), be16_text(0x0021) + inner4()},
      {"PPP, IPv6, all bytes of its head", link_number(9), text({0xFF, 3, 0, 0x57}) + inner6(), 0, 0, true},
      {"PPP, compressed protocol", link_number(166), text({0x21}) + inner4()},
      {"PPP, MPLS", link_number(50), text({0xFF, 3, 2, 0x81}) + mpls + inner4(), 1},
      {"PPP, direction in front", link_number(204), text({1, 0xFF, 3, 0, 0x21}) + inner4()},
      {"PPPoE at once", link_number(51), text({0x11, 0, 0, 1, 0, 38, 0, 0x21}) + inner4()},
      {"Cisco's HDLC", link_number(104), text({0x0F, 0}) + be16_text(0x0800) + inner4()},
      {"Cisco's HDLC among PPP", link_number(50), text({0x8F, 0}) + be16_text(0x86DD) + inner6(), 0, 0, true},
      {"Juniper, Ethernet", link_number(178), juniper(1) + inner_ethernet()},
      {"Juniper, extensions", link_number(178), juniper(0x80) + text({0, 6, 1, 1, 7, 2, 1, 'x'}) + inner_ethernet()},
      {"Juniper, no link header", link_number(181), juniper(3) + string(4, 0) + inner6(), 0, 0, true},
      {"Juniper, PPPoE", link_number(167),
       juniper(0) + ethernet_frame(0x8864, text({0x11, 0, 0, 1, 0, 38, 0, 0x21}) + inner4())},
      {"Juniper, PPPoE over ATM", link_number(168),
       juniper(0) + be16_text(0x8864) + text({0x11, 0, 0, 1, 0, 38, 0, 0x21}) + inner4()},
      {"Juniper, PPP", link_number(179), juniper(0) + text({0xFF, 3, 0, 0x21}) + inner4()},
      {"Juniper, frame relay", link_number(180), juniper(0) + text({0x18, 0x41, 3, 0xCC}) + inner4()},
      {"Juniper, Cisco HDLC", link_number(181), juniper(0) + text({0x0F, 0, 8, 0}) + inner4()},
      {"Juniper, bundle of PPP", link_number(130), juniper(0) + text({0, 5, 0, 0x21}) + inner4()},
      {"Juniper, bundle of PPP, link services", link_number(130),
       juniper(0) + text({0x54, 5, 0, 0, 0, 0x21}) + inner4()},
      {"Juniper, bundle of PPP, adaptive services", link_number(130),
       juniper(0) + text({0x47, 0, 0, 0, 0, 0x10, 0, 8}) + inner6(), 0, 0, true},
      {"Juniper, bundle of PPP, MPLS", link_number(130),
       juniper(0) + text({0x47, 0, 0, 0, 0, 0x20, 0, 8, 0, 1, 1, 64}) + inner4(), 1},
      {"Juniper, bundle of PPP, to the routing engine", link_number(130),
       juniper(0) + text({0x47, 0, 0, 0, 3, 0, 0, 8, 0, 0x21}) + inner4()},
      {"Juniper, bundle of frame relay", link_number(131), juniper(0) + text({0, 5, 3, 0xCC}) + inner4()},
      {"Juniper, bundle of frame relay, link services", link_number(131),
       juniper(0) + text({0x54, 5, 0, 0, 3, 0x8E}) + inner6(), 0, 0, true},
      {"Juniper, FRF.16", link_number(134), juniper(0) + text({0, 0, 0, 1, 3, 0xCC}) + inner4()},
      {"Juniper, FRF.16, a single link", link_number(134),
       juniper(0) + text({0xC0, 1, 0x18, 0x41, 3, 0xCC}) + inner4()},
      {"Juniper, ATM1", link_number(137), juniper(0) + string(4, 0) + text({0xAA, 0xAA, 3, 0, 0, 0, 8, 0}) + inner4()},
      {"Juniper, ATM1, Cisco's identifier", link_number(137), juniper(0) + string(4, 0) + text({3, 0xCC}) + inner4()},
      {"Juniper, ATM1, IP alone", link_number(137), juniper(0) + string(4, 0) + inner4()},
      {"Juniper, ATM2", link_number(135), juniper(1) + string(8, 0) + text({0xFE, 0xFE, 3, 0xCC}) + inner4()},
      {"Juniper, ATM2, PPP", link_number(135), juniper(1) + string(8, 0) + text({0, 0x57}) + inner6(), 0, 0, true},
      {"Juniper, ATM2, Ethernet", link_number(135), juniper(0) + text({0, 0, 0, 9, 0, 0, 0, 0}) + inner_ethernet()},
      {"Juniper, GGSN", link_number(133), juniper(0) + text({1, 0, 2, 0, 0, 0, 0, 0}) + inner4()},
      {"Juniper, monitor", link_number(164), juniper(0) + string(8, 0) + inner4()},
      {"Juniper, services", link_number(136), juniper(0) + string(8, 1) + inner6(), 0, 0, true},
      {"Juniper, tunnel", link_number(132), juniper(0) + text({0, 1, 64, 5}) + string(12, 1) + inner4()},
      {"FDDI", link_number(10), text({0x57}) + string(12, 1) + snap + inner4()},
      {"token ring", link_number(6), text({0x10, 0x40}) + string(12, 1) + snap + inner4()},
      {"token ring with a route", link_number(6),
       text({0x10, 0x40}) + string(6, 1) + string(6, '\x81') + text({6, 0x30, 1, 2, 3, 4}) + snap + inner4()},
      {"ATM", link_number(100), snap + inner4()},
      {"IEEE 1394", link_number(138), string(16, 1) + be16_text(0x0800) + inner4()},
      {"InfiniBand", link_number(242), string(40, 1) + be16_text(0x0800) + string(2, 0) + inner4()},
      {"IPsec's interface", link_number(109), text({0, 0, 0, 2}) + string(8, 1) + inner4()},
      {"packet filter's log", link_number(117), text({61, 2}) + string(62, 0) + inner4()},
      {"Solaris' ipnet", link_number(226), text({1, 2}) + string(22, 0) + inner4()},
      {"MACsec without encryption", kEthernet,
       ethernet_frame(0x88E5,
                      text({0x20, 0, 0, 0, 0, 1}) + string(8, 1) + be16_text(0x0800) + inner4() + string(16, 'i'))},
      {"MACsec, short", kEthernet,
       ethernet_frame(0x88E5, text({0, 0, 0, 0, 0, 1}) + be16_text(0x86DD) + inner6() + string(16, 'i')), 0, 0, true},
      {"NSH", kEthernet, ethernet_frame(0x894F, text({0, 0x42, 2, 3, 0, 0, 1, 255}) + inner_ethernet()), 1},
      {"NSH, IPv6", kEthernet, ethernet_frame(0x894F, text({0, 0x43, 2, 2, 0, 0, 1, 255, 9, 9, 9, 9}) + inner6()), 1, 0,
       true},
      {"segment routing, Ethernet", kRaw, ipv6_packet("2001:db8::1", "2001:db8::2", 143, inner_ethernet()), 1},
      {"Darwin's pktap, Ethernet", link_number(149), pktap(1) + inner_ethernet()},
      {"Darwin's pktap, null", link_number(258), pktap(0) + text({30, 0, 0, 0}) + inner6(), 0, 0, true},
      {"802.3 with SNAP", kEthernet, ethernet_frame(100, text({0xAA, 0xAA, 3, 0, 0, 0, 8, 0}) + inner4())},
      {"VLAN", kEthernet, ethernet_frame(0x8100, vlan_tag(7, 0x0800, inner4())), 0, 7},
      {"QinQ", kEthernet, ethernet_frame(0x88A8, vlan_tag(8, 0x8100, vlan_tag(7, 0x0800, inner4()))), 0, 8},
      {"PPPoE", kEthernet, ethernet_frame(0x8864, text({0x11, 0, 0, 1, 0, 38, 0, 0x21}) + inner4())},
      {"PBB", kEthernet, ethernet_frame(0x88E7, text({0, 0, 1, 0}) + inner_ethernet())},
      {"NSH", kEthernet, ethernet_frame(0x894F, text({0, 6, 1, 1, 0, 0, 1, 255}) + string(16, 0) + inner4()), 1},
      {"AH over IPv4", kEthernet, outer(51, text({4, 4, 0, 0}) + string(20, 1) + inner4()), 1},
      {"PPP", link_number(9), text({0xFF, 3, 0, 0x21}) + inner4()},
      {"PPP without address, with a short protocol", link_number(9), text({0x21}) + inner4()},
      {"PPP in HDLC", link_number(50), text({0xFF, 3, 0, 0x57}) + inner6(), 0, 0, true},
      {"PPPoE as a link", link_number(51), text({0x11, 0, 0, 1, 0, 38, 0, 0x21}) + inner4()},
      {"PPP of pppd", link_number(166), text({1, 3, 0, 0x21}) + inner4()},
      {"PPP with direction", link_number(204), text({1, 0xFF, 3, 0, 0x21}) + inner4()},
      {"Cisco HDLC", link_number(104), text({0x0F, 0, 8, 0}) + inner4()},
      {"frame relay", link_number(107), text({0x18, 0x41, 3, 0xCC}) + inner4()},
      {"frame relay with SNAP", link_number(107), text({0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0}) + inner4()},
      {"frame relay of Cisco", link_number(107), text({0x18, 0x41, 8, 0}) + inner4()},
      {"802.11", link_number(105), wlan({0x08, 1}, "", inner4())},
      {"802.11 with quality of service", link_number(105), wlan({0x88, 2}, string(2, 0), inner4())},
      {"802.11 between access points", link_number(105), wlan({0x88, 3}, string(6, 2) + string(2, 0), inner4())},
      {"802.11, A-MSDU", link_number(105), wlan({0x88, 2}, text({0x80, 0}) + string(14, 2), inner4())},
      {"802.11, body aligned", link_number(105), wlan({0x88, 2}, string(4, 0), inner4())},
      {"radiotap", link_number(127), text({0, 0, 9, 0, 2, 0, 0, 0, 0x10}) + wlan({0x08, 1}, "", inner4()) + "fcs!"},
      {"Prism", link_number(119), string(144, 0) + wlan({0x08, 1}, "", inner4())},
      {"AVS", link_number(119), be32_text(0x80211001) + be32_text(64) + string(56, 0) + wlan({0x08, 1}, "", inner4())},
      {"PPI", link_number(192), text({0, 0, 8, 0, 105, 0, 0, 0}) + wlan({0x08, 1}, "", inner4())},
      {"PKTAP", link_number(258), text({12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}) + inner_ethernet()},
      {"PKTAP of a tunnel", link_number(258), text({12, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0}) + inner4()},
      {"FDDI", link_number(10), string(13, 2) + text({0xAA, 0xAA, 3, 0, 0, 0, 8, 0}) + inner4()},
      {"token ring with a route", link_number(6),
       string(8, 2) + "\x80" + string(5, 2) + text({2, 0, 0xAA, 0xAA, 3, 0, 0, 0, 8, 0}) + inner4()},
      {"LLC over ATM", link_number(11), text({0xAA, 0xAA, 3, 0, 0, 0, 8, 0}) + inner4()},
      {"SLIP", link_number(8), string(16, 0) + inner4()},
      {"pflog", link_number(117), text({61, 2}) + string(62, 0) + inner4()},
      {"enc", link_number(109), text({2, 0, 0, 0}) + string(8, 0) + inner4()},
      {"IPoIB", link_number(242), string(40, 0) + be16_text(0x0800) + string(2, 0) + inner4()},
      {"CAPWAP, 802.3", kEthernet, outer_udp(5247, capwap(2, inner_ethernet())), 1},
      {"CAPWAP, 802.11", kEthernet, outer_udp(5247, capwap(3, wlan({0x08, 1}, "", inner4()))), 1},
      {"CAPWAP, 802.11 with its control swapped", kEthernet,
       outer_udp(5247, capwap(3, wlan({2, 0x88}, string(2, 0), inner4()).replace(22, 2, "\x01\x10"))), 1},
      {"L2TP", kEthernet, outer_udp(1701, text({0x40, 2, 0, 40, 0, 1, 0, 2, 0xFF, 3, 0, 0x21}) + inner4()), 1},
      {"L2TP with numbers and an offset", kEthernet,
       outer_udp(1701, text({0x0A, 2, 0, 1, 0, 2, 0, 7, 0, 8, 0, 2, 1, 1, 0, 0x21}) + inner4()), 1},
      {"Teredo", kEthernet, outer_udp(3544, inner6()), 1, 0, true},
      {"Teredo with authentication and origin", kEthernet,
       outer_udp(3544, text({0, 1, 0, 0}) + string(9, 0) + string(8, 0) + inner6()), 1, 0, true},
      {"TZSP", kEthernet, outer_udp(37008, text({1, 0, 0, 1, 0, 10, 1, 5, 1}) + inner_ethernet()), 1},
      {"TZSP, 802.11", kEthernet, outer_udp(37008, text({1, 0, 0, 18, 1}) + wlan({0x08, 1}, "", inner4())), 1},
      {"LISP", kEthernet, outer_udp(4341, text({0x80, 0, 0, 1, 0, 0, 0, 1}) + inner6()), 1, 0, true},
      {"QinQ of old switches", kEthernet, ethernet_frame(0x9200, vlan_tag(8, 0x0800, inner4())), 0, 8},
      {"PPP in GRE", kEthernet, outer(47, gre(0, 0x880B, text({0, 0x21}) + inner4())), 1},
      {"WCCP", kEthernet, outer(47, gre(0, 0x883E, text({0, 0, 0, 0}) + inner4())), 1},
      {"VXLAN-GPE with NSH", kEthernet,
       outer_udp(4790, text({12, 0, 0, 4, 0, 0, 42, 0}) + text({0, 2, 1, 3, 0, 0, 1, 255}) + inner_ethernet()), 2},
      {"IPv4 options", kRaw,
       ipv4_packet("10.0.0.1", "10.0.0.2", 17, udp_datagram(4242, 53, kPayload), 0, 1, text({7, 7, 4, 0, 0, 0, 0}))},
      {"IPv6 extensions", kRaw,
       ipv6_packet("fe80::1", "fe80::2", 0, text({60, 0, 1, 4, 0, 0, 0, 0}) + aal + udp_datagram(4242, 53, kPayload)),
       0, 0, true},
      {"IPv6 atomic fragment", kRaw,
       ipv6_packet("fe80::1", "fe80::2", 44, text({17, 0, 0, 0, 1, 2, 3, 4}) + udp_datagram(4242, 53, kPayload)), 0, 0,
       true},
      {"4 in 4", kEthernet, outer(4, inner4()), 1},
      {"6 in 4", kEthernet, outer(41, inner6()), 1, 0, true},
      {"4 in 6", kRaw, ipv6_packet("2001:db8::1", "2001:db8::2", 4, inner4()), 1},
      {"6 in 6", kRaw, ipv6_packet("2001:db8::1", "2001:db8::2", 41, inner6()), 1, 0, true},
      {"GRE", kEthernet, outer(47, gre(0, 0x0800, inner4())), 1},
      {"GRE with key and sequence", kEthernet, outer(47, gre(0x3000, 0x86DD, string(8, 1) + inner6())), 1, 0, true},
      {"GRE with checksum", kEthernet, outer(47, gre(0x8000, 0x0800, string(4, 1) + inner4())), 1},
      {"NVGRE", kEthernet, outer(47, gre(0x2000, 0x6558, string(4, 1) + inner_ethernet())), 1},
      {"PPTP", kEthernet, outer(47, gre(0x3001, 0x880B, string(8, 1) + text({0xFF, 3, 0, 0x21}) + inner4())), 1},
      {"ERSPAN I", kEthernet, outer(47, gre(0, 0x88BE, inner_ethernet())), 1},
      {"ERSPAN II", kEthernet,
       outer(47, gre(0x1000, 0x88BE, string(4, 1) + text({0x10, 7, 0, 0, 0, 0, 0, 0}) + inner_ethernet())), 1},
      {"ERSPAN III", kEthernet,
       outer(47, gre(0x1000, 0x22EB, string(4, 1) + text({0x20, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) + inner_ethernet())),
       1},
      {"ERSPAN III with a subheader", kEthernet,
       outer(47, gre(0x1000, 0x22EB,
                     string(4, 1) + text({0x20, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) + string(8, 0) + inner_ethernet())),
       1},
      {"VXLAN", kEthernet, outer_udp(4789, vxlan + inner_ethernet()), 1},
      {"VXLAN of flannel", kEthernet, outer_udp(8472, vxlan + inner_ethernet()), 1},
      {"VXLAN-GPE with Ethernet", kEthernet, outer_udp(4790, text({12, 0, 0, 3, 0, 0, 42, 0}) + inner_ethernet()), 1},
      {"VXLAN-GPE with IPv4", kEthernet, outer_udp(4790, text({12, 0, 0, 1, 0, 0, 42, 0}) + inner4()), 1},
      {"VXLAN-GPE with NSH", kEthernet,
       outer_udp(4790, text({12, 0, 0, 4, 0, 0, 42, 0, 0, 0x42, 2, 1, 0, 0, 1, 255}) + inner4()), 2},
      {"VXLAN-GPE without P", kEthernet, outer_udp(4790, vxlan + inner_ethernet()), 1},
      {"VLAN in VXLAN", kEthernet, outer_udp(4789, vxlan + ethernet_frame(0x8100, vlan_tag(9, 0x0800, inner4()))), 1,
       9},
      {"Geneve with options", kEthernet,
       outer_udp(6081, text({1, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 4}) + inner_ethernet()), 1},
      {"Geneve with IP", kEthernet, outer_udp(6081, text({0, 0, 0x08, 0, 0, 0, 1, 0}) + inner4()), 1},
      {"GTP-U", kEthernet, outer_udp(2152, text({0x30, 0xFF, 0, 50, 0, 0, 0, 1}) + inner4()), 1},
      {"GTP-U with an extension header", kEthernet,
       outer_udp(2152, text({0x34, 0xFF, 0, 50, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 9, 0}) + inner4()), 1},
      {"MPLS", kEthernet, ethernet_frame(0x8847, text({0, 1, 0, 64}) + mpls + inner4()), 1},
      {"MPLS, Ethernet with a control word", kEthernet, ethernet_frame(0x8847, mpls + string(4, 0) + inner_ethernet()),
       1},
      {"MPLS, Ethernet without", kEthernet, ethernet_frame(0x8847, mpls + inner_ethernet()), 1},
      {"MPLS over UDP", kEthernet, outer_udp(6635, mpls + inner4()), 1},
      {"MPLS over IP", kEthernet, outer(137, mpls + inner4()), 1},
      {"Ethernet over IP", kEthernet, outer(97, text({0x30, 0}) + inner_ethernet()), 1},
      {"VXLAN in GRE in IPv6", kEthernet,
       ethernet_frame(0x86DD, ipv6_packet("::1", "::2", 47, gre(0, 0x6558, outer_udp(4789, vxlan + inner_ethernet())))),
       2},
  };
}

TEST(Decode, finds_the_datagram_in_every_wrapping) {
  for (const Row& row : wrappings()) {
    SCOPED_TRACE(row.name);
    Decoder decoder;
    Decoded d;
    const OwnedPacket packet{{}, row.bytes, 0, row.link};
    ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
    EXPECT_EQ(to_string(d.tuple.src), row.v6 ? "[fe80::1]:4242" : "10.0.0.1:4242");
    EXPECT_EQ(to_string(d.tuple.dst), row.v6 ? "[fe80::2]:53" : "10.0.0.2:53");
    EXPECT_EQ(d.tuple.transport, Transport::kUdp);
    EXPECT_EQ(as_text(d.payload), kPayload);
    EXPECT_EQ(d.payload_missing, 0u);
    EXPECT_EQ(d.tunnels, row.tunnels);
    EXPECT_EQ(d.vlan, row.vlan);
    EXPECT_GE(d.ip_length, 28u + kPayload.size());
  }
}

TEST(Decode, every_truncation_is_a_counter_or_says_what_is_missing) {
  for (const Row& row : wrappings()) {
    for (size_t size = 0; size < row.bytes.size(); ++size) {
      Decoder decoder;
      Decoded d;
      // A block of its own, so that a sanitizer sees a read past the end.
      const std::vector<uint8_t> cut(row.bytes.begin(), row.bytes.begin() + static_cast<ptrdiff_t>(size));
      const Packet packet{{}, cut, static_cast<uint32_t>(row.bytes.size()), 0, row.link};
      if (decoder.decode(packet, d) != DecodeStatus::kTransport) continue;
      if (d.tuple.dst.port != 53) continue;  // a tunnel that was not recognised without its content
      EXPECT_EQ(d.payload.size() + d.payload_missing, kPayload.size()) << row.name << " cut to " << size;
    }
  }
}

/// A subframe of an A-MSDU (IEEE 802.11 9.3.2.2.2).
string subframe(uint16_t type, string_view carried) {
  const string body = text({0xAA, 0xAA, 3, 0, 0, 0}) + be16_text(type) + string(carried);
  string out = string(12, 4) + be16_text(static_cast<uint16_t>(body.size())) + body;
  return out + string((4 - out.size() % 4) % 4, 0);
}

TEST(Decode, all_frames_of_a_transmission_are_there) {
  const auto inner = [](uint16_t port, string_view payload) {
    return ipv4_packet("10.0.0.1", "10.0.0.2", 17, udp_datagram(port, 53, payload));
  };
  const string frames =
      subframe(0x0800, inner(1, "a")) + subframe(0x0806, string(28, 0)) + subframe(0x0800, inner(2, "bcd"));
  for (const bool aligned : {false, true}) {
    const string head = text({0x88, 2}) + string(2, 0) + string(18, 2) + string(2, 0) + text({0x80, 0});
    const OwnedPacket packet{{}, head + string(aligned ? 2 : 0, 0) + frames, 0, link_number(105)};
    Decoder decoder;
    Decoded d;
    ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
    EXPECT_EQ(d.tuple.src.port, 1);
    std::vector<string> others;
    for (size_t at = d.more_at; at != 0;) {
      const Packet next = next_subframe(packet.view(), at);
      if (decoder.decode(next, d) == DecodeStatus::kTransport) others.emplace_back(as_text(d.payload));
      EXPECT_EQ(d.more_at, 0);
    }
    EXPECT_EQ(others, std::vector<string>{"bcd"});
    EXPECT_EQ(decoder.count(DecodeStatus::kNotIp), 1u);
    for (size_t size = 0; size < packet.bytes.size(); ++size) {  // cut anywhere: none is read twice, none without end
      const std::vector<uint8_t> cut(packet.bytes.begin(), packet.bytes.begin() + static_cast<ptrdiff_t>(size));
      const Packet shorter{{}, cut, static_cast<uint32_t>(packet.bytes.size()), 0, packet.link};
      decoder.decode(shorter, d);
      int frames_seen = 1;
      for (size_t at = d.more_at; at != 0; ++frames_seen) decoder.decode(next_subframe(shorter, at), d);
      EXPECT_LE(frames_seen, 3);
    }
  }
}

TEST(Decode, what_only_looks_like_a_tunnel_stays_udp) {
  const string query = text({0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1}) + string(40, 'x');
  for (const uint16_t port : {4789, 4790, 8472, 6081, 2152, 6635, 5247, 1701, 3544, 37008, 4341}) {
    Decoder decoder;
    Decoded d;
    const OwnedPacket packet{{}, outer_udp(port, query), 0, LinkType::kEthernet};
    ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport) << port;
    EXPECT_EQ(d.tuple.dst.port, port);
    EXPECT_EQ(as_text(d.payload), query);
    EXPECT_EQ(d.tunnels, 0);
  }
}

TEST(Decode, wrong_packets_are_counted_by_cause) {
  using enum DecodeStatus;
  struct Wrong {
    const char* name;
    string bytes;
    DecodeStatus status;
    LinkType link = LinkType::kEthernet;
  };
  string nested = inner4();
  for (int i = 0; i < 30; ++i) nested = ipv4_packet("1.1.1.1", "2.2.2.2", 4, nested);
  string short_total = inner4();
  short_total[3] = 10;
  string long_header = inner4();
  long_header[0] = 0x4F;
  string bad_tcp = ipv4_packet("1.1.1.1", "2.2.2.2", 6, string(20, 0));
  string endless = text({0, 0, 0, 0, 0, 0, 0, 0});
  while (endless.size() < 200) endless += text({0, 0, 0, 0, 0, 0, 0, 0});
  for (const Wrong& row : {
           Wrong{"nothing", "", kCutLink},
           {"ARP", ethernet_frame(0x0806, string(28, 0)), kNotIp},
           {"a short frame", string(10, 0), kCutLink},
           {"unknown link", inner4(), kUnknownLink, static_cast<LinkType>(999)},
           {"802.11, sealed", wlan({0x08, 0x41}, "", inner4()), kNotIp, link_number(105)},
           {"802.11, a beacon", wlan({0x80, 0}, "", inner4()), kNotIp, link_number(105)},
           {"802.11, not the first piece", wlan({0x08, 1}, "", inner4()).replace(22, 1, "\x01"), kNotIp,
            link_number(105)},
           {"links without end", text({0, 0, 8, 0, 192 - 256, 0, 0, 0, 0, 0, 8, 0, 192 - 256, 0, 0, 0,
                                       0, 0, 8, 0, 192 - 256, 0, 0, 0, 0, 0, 8, 0, 192 - 256, 0, 0, 0}),
            kTooManyLayers, link_number(192)},
           {"Juniper's link without its magic number", inner_ethernet(), kUnknownLink, link_number(178)},
           {"Juniper's, an extension without end", "MGC\x80\xFF\xFF" + inner_ethernet(), kCutLink, link_number(178)},
           {"ATM, maintenance", juniper(0) + text({0x80, 0, 0, 0}) + inner4(), kNotIp, link_number(137)},
           {"PPP, LCP", text({0xFF, 3, 0xC0, 0x21, 1, 1, 0, 4}), kNotIp, link_number(9)},
           {"no IP version", ethernet_frame(0x0800, string(40, 0)), kBadIp},
           {"cut IP", ethernet_frame(0x0800, inner4().substr(0, 19)), kCutIp},
           {"total length below the header's", ethernet_frame(0x0800, short_total), kBadIp},
           {"header longer than the packet", ethernet_frame(0x0800, long_header), kBadIp},
           {"nested too deep", nested, kTooManyLayers, LinkType::kRaw},
           {"TCP header length", bad_tcp, kBadTransport, LinkType::kRaw},
           {"cut UDP", ipv4_packet("1.1.1.1", "2.2.2.2", 17, "1234567"), kCutTransport, LinkType::kRaw},
           {"ESP", ipv4_packet("1.1.1.1", "2.2.2.2", 50, string(40, 1)), kOtherTransport, LinkType::kRaw},
           {"IPv6 without more", ipv6_packet("::1", "::2", 59, ""), kOtherTransport, LinkType::kRaw},
           {"extensions without end", ipv6_packet("::1", "::2", 0, endless), kTooManyLayers, LinkType::kRaw},
           {"nflog with a wrong length", text({2, 0, 0, 1, 1, 0, 1, 0}), kCutLink, LinkType::kNflog},
           {"pktap in pktap", text({12, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0}) + string(99, 0), kCutLink, link_number(258)},
           {"pktap that is cut", text({108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}), kCutLink, link_number(258)},
           {"PPP's own business", text({0xC0, 0x21, 1, 1}), kNotIp, link_number(9)},
           {"MACsec, encrypted", ethernet_frame(0x88E5, text({0x2C, 0, 0, 0, 0, 1}) + string(60, 1)), kNotIp},
           {"NSH without a length", ethernet_frame(0x894F, text({0, 0, 2, 1, 0, 0, 1, 255}) + inner4()), kCutLink},
           {"labels without bottom", ethernet_frame(0x8847, string(100, 0)), kTooManyLayers},
           {"empty fragment", ipv4_packet("1.1.1.1", "2.2.2.2", 17, "", 0x2000), kBadFragment, LinkType::kRaw},
       }) {
    Decoder decoder;
    Decoded d;
    const OwnedPacket packet{{}, row.bytes, 0, row.link};
    EXPECT_EQ(decoder.decode(packet.view(), d), row.status) << row.name;
    EXPECT_EQ(decoder.count(row.status), 1u) << row.name;
  }
}

TEST(Decode, tcp_fields_and_options) {
  Decoder decoder;
  Decoded d;
  const string options = text({2, 4, 5, 0xB4, 1, 3, 3, 20, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});
  const OwnedPacket packet{
      {},
      ipv4_packet("1.1.1.1", "2.2.2.2", 6, tcp_segment({1, 2, 0xFFFFFFFF, 7, 0x12, options}, "hi")),
      0,
      LinkType::kRaw};
  ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
  EXPECT_EQ(d.tcp.seq, 0xFFFFFFFF);
  EXPECT_EQ(d.tcp.ack, 7u);
  EXPECT_EQ(d.tcp.flags, tcp_flag::kSyn | tcp_flag::kAck);
  EXPECT_EQ(d.tcp.window, 65000);
  EXPECT_EQ(as_text(d.payload), "hi");
  const TcpOptions o = tcp_options(d.tcp.options);
  EXPECT_EQ(o.maximum_segment, 1460);
  EXPECT_EQ(o.window_scale, 14);
  EXPECT_TRUE(o.has_window_scale && o.sack_permitted && o.has_timestamps);
  EXPECT_EQ(o.timestamp, 1u);
  EXPECT_EQ(o.timestamp_echo, 2u);
  for (size_t n = 0; n < options.size(); ++n) tcp_options(as_bytes(options).first(n));
  EXPECT_EQ(tcp_options(as_bytes(text({2, 0, 5, 0xB4}))).maximum_segment, 0);
}

TEST(Decode, a_segment_cut_in_its_options_still_has_its_place_in_the_stream) {
  const string whole =
      ipv4_packet("1.1.1.1", "2.2.2.2", 6, tcp_segment({1, 2, 5, 7, 0x10, string(12, 1)}, "0123456789"));
  Decoder decoder;
  Decoded d;
  const Packet packet{{}, as_bytes(whole).first(20 + 24), static_cast<uint32_t>(whole.size()), 0, LinkType::kRaw};
  ASSERT_EQ(decoder.decode(packet, d), DecodeStatus::kTransport);
  EXPECT_EQ(d.tcp.seq, 5u);
  EXPECT_TRUE(d.payload.empty());
  EXPECT_EQ(d.payload_missing, 10u);
}

TEST(Decode, lengths_of_segmentation_offload_and_padding) {
  Decoder decoder;
  Decoded d;
  string offloaded = inner4();
  offloaded[2] = offloaded[3] = 0;
  OwnedPacket packet{{}, ethernet_frame(0x0800, offloaded), 0, LinkType::kEthernet};
  ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
  EXPECT_EQ(as_text(d.payload), kPayload);
  packet.bytes = ethernet_frame(0x0800, inner4()) + string(10, 0);  // padded to the least length of Ethernet
  ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
  EXPECT_EQ(as_text(d.payload), kPayload);
}

/// All that a decoder says of a packet, as one text.
string told(const Packet& packet) {
  Decoder decoder;
  Decoded d;
  d.vlan = 7;  // of the packet before
  d.tunnels = 3;
  d.payload_missing = 9;
  d.defragmented = true;
  const DecodeStatus status = decoder.decode(packet, d);
  if (status != DecodeStatus::kTransport) return to_string(status);
  return fmt::format("{} {} {} payload {}+{} of {} tcp {} {} {} {} {} icmp {} {} sctp {} vlan {} tunnels {} {}",
                     to_string(d.tuple.src), to_string(d.tuple.dst), to_string(d.tuple.transport),
                     packet.bytes.data() + packet.bytes.size() - d.payload.data(), d.payload.size(), d.payload_missing,
                     d.tcp.seq, d.tcp.ack, d.tcp.window, d.tcp.flags, as_text(d.tcp.options), d.icmp.type,
                     d.icmp.quoted.size(), d.sctp_tag, d.vlan, d.tunnels, d.defragmented) +
         fmt::format(" ip {}", d.ip_length);
}

TEST(Decode, plain_tcp_in_ethernet_is_what_it_is_without_the_frame) {
  const string options = text({1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});
  const string frame = ethernet_frame(
      0x0800, ipv4_packet("1.1.1.1", "2.2.2.2", 6, tcp_segment({1, 2, 5, 7, 0x18, options}, "0123456789")));
  const auto same = [](const string& bytes, size_t length, uint32_t on_the_wire) {
    const string copy = bytes.substr(0, length);
    const Bytes all = as_bytes(copy);
    const string with = told({{}, all, on_the_wire, 0, LinkType::kEthernet});
    EXPECT_EQ(with, told({{}, all.subspan(14), on_the_wire - 14, 0, LinkType::kRaw})) << length << " " << on_the_wire;
    return with;
  };
  const auto size = static_cast<uint32_t>(frame.size());
  EXPECT_NE(same(frame, size, size).find("payload 10+10 of 0"), string::npos);
  for (size_t length = 14; length <= frame.size(); ++length) {
    same(frame, length, size);
    same(frame, length, static_cast<uint32_t>(length));
  }
  same(frame + string(6, 0), size + 6, size + 6);
  for (size_t at = 14; at < 14 + 20 + 20; ++at) {
    for (int value = 0; value < 256; ++value) {
      string other = frame;
      other[at] = static_cast<char>(value);
      same(other, size, size);
    }
  }
}

TEST(Decode, icmp_errors_quote_a_tuple) {
  Decoder decoder;
  Decoded d;
  const OwnedPacket packet{
      {}, ipv4_packet("10.0.0.2", "10.0.0.1", 1, text({3, 3, 0, 0, 0, 0, 0, 0}) + inner4()), 0, LinkType::kRaw};
  ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
  EXPECT_EQ(d.icmp.type, 3);
  EXPECT_EQ(d.icmp.code, 3);
  const auto tuple = quoted_tuple(d.icmp.quoted);
  ASSERT_TRUE(tuple);
  EXPECT_EQ(to_string(tuple->src), "10.0.0.1:4242");
  EXPECT_EQ(to_string(tuple->dst), "10.0.0.2:53");
  EXPECT_FALSE(quoted_tuple(d.icmp.quoted.first(20)));
  EXPECT_EQ(to_string(quoted_tuple(as_bytes(inner6()))->dst), "[fe80::2]:53");
}

// ---- fragments ----

std::vector<OwnedPacket> fragments_of(bool v6, const string& transport, size_t piece, uint16_t id = 9) {
  std::vector<OwnedPacket> out;
  for (size_t at = 0; at < transport.size(); at += piece) {
    const string part = transport.substr(at, piece);
    const bool more = at + piece < transport.size();
    if (v6) {
      out.push_back(
          {{},
           ipv6_packet("::1", "::2", 44,
                       text({17, 0}) + be16_text(static_cast<uint16_t>(at | (more ? 1 : 0))) + be32_text(id) + part),
           0,
           LinkType::kRaw});
    } else {
      const auto fragment = static_cast<uint16_t>(at / 8 | (more ? 0x2000 : 0));
      out.push_back({{}, ipv4_packet("1.1.1.1", "2.2.2.2", 17, part, fragment, id), 0, LinkType::kRaw});
    }
  }
  return out;
}

TEST(Fragments, come_together_in_any_order) {
  string payload;
  for (int i = 0; i < 3000; ++i) payload += static_cast<char>('a' + i % 26);
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    auto pieces = fragments_of(round % 2 == 0, udp_datagram(1, 2, payload), 8 * (20 + random() % 60));
    const size_t count = pieces.size();
    for (size_t i = 0; i < count; ++i)
      if (random() % 4 == 0) pieces.push_back(pieces[i]);  // duplicates
    std::shuffle(pieces.begin(), pieces.end(), random);
    Decoder decoder;
    Decoded d;
    int whole = 0;
    for (const OwnedPacket& piece : pieces) {
      const DecodeStatus status = decoder.decode(piece.view(), d);
      if (status == DecodeStatus::kTransport) {
        ++whole;
        EXPECT_EQ(as_text(d.payload), payload);
        EXPECT_TRUE(d.defragmented);
      } else {
        ASSERT_EQ(status, DecodeStatus::kFragment);
      }
    }
    EXPECT_GE(whole, 1);
  }
}

TEST(Fragments, the_first_tells_what_it_is_where_the_capture_cut_it) {
  for (const bool v6 : {false, true}) {
    auto pieces = fragments_of(v6, udp_datagram(53, 4242, string(900, 'a')), 480);
    Decoder decoder;
    for (size_t i = 0; i < pieces.size(); ++i) {
      pieces[i].wire_length = static_cast<uint32_t>(pieces[i].bytes.size());
      pieces[i].bytes.resize(128);
      Decoded d;
      const DecodeStatus status = decoder.decode(pieces[i].view(), d);
      ASSERT_EQ(status, i == 0 ? DecodeStatus::kTransport : DecodeStatus::kCutIp);
      if (i != 0) continue;
      EXPECT_EQ(d.tuple.src.port, 53);
      EXPECT_EQ(d.payload.size() + d.payload_missing, 472u);
      EXPECT_FALSE(d.payload.empty());
    }
    EXPECT_EQ(decoder.fragments().waiting(), 0u);
  }
}

TEST(Fragments, the_first_of_a_datagram_is_read_alone_when_the_others_do_not_come) {
  const string payload(900, 'a');
  for (const bool v6 : {false, true}) {
    auto pieces = fragments_of(v6, udp_datagram(53, 4242, payload), 160);
    const auto at = [](int seconds) { return timestamp_from_ns(int64_t{1'000'000'000} * seconds); };
    Decoder decoder;
    Decoded d;
    Timestamp time{};
    for (const size_t i : {1u, 0u, 3u}) {
      pieces[i].time = at(100 + static_cast<int>(i));
      EXPECT_EQ(decoder.decode(pieces[i].view(), d), DecodeStatus::kFragment);
    }
    EXPECT_FALSE(decoder.next_head(at(102), false, d, time)) << "they may still come";
    ASSERT_TRUE(decoder.next_head(at(107), false, d, time));
    EXPECT_EQ(time, at(101)) << "of the piece that came first";
    EXPECT_EQ(d.tuple.src.port, 53);
    EXPECT_EQ(d.tuple.src.ip, *IpAddress::parse(v6 ? "::1" : "1.1.1.1"));
    EXPECT_EQ(d.payload.size(), 2 * 160 - 8u) << "what follows the first without a hole";
    EXPECT_EQ(d.payload_missing, payload.size() - d.payload.size());
    EXPECT_FALSE(decoder.next_head(at(200), true, d, time)) << "once";
    EXPECT_EQ(decoder.fragments().counters().heads, 1u);

    // Nobody asked in time: kept all the same. Without its first piece it is nothing.
    for (const size_t i : {0u, 1u}) {
      auto other = fragments_of(v6, udp_datagram(53, 4242, payload), 160, static_cast<uint16_t>(20 + i))[i];
      other.time = at(300);
      decoder.decode(other.view(), d);
    }
    auto late = fragments_of(v6, udp_datagram(53, 4242, payload), 160, 30)[1];
    late.time = at(400);
    decoder.decode(late.view(), d);
    EXPECT_EQ(decoder.fragments().waiting(), 1u);
    ASSERT_TRUE(decoder.next_head(at(400), false, d, time));
    EXPECT_EQ(time, at(300));
    EXPECT_FALSE(decoder.next_head(at(400), true, d, time));
  }
}

TEST(Fragments, first_bytes_win) {
  const string datagram = udp_datagram(1, 2, "ABCDEFGHIJKLMNOPQRSTUVWX");  // 32 bytes
  Decoder decoder;
  Decoded d;
  const auto feed = [&](size_t at, const string& part, bool more) {
    const auto fragment = static_cast<uint16_t>(at / 8 | (more ? 0x2000 : 0));
    const OwnedPacket p{{}, ipv4_packet("1.1.1.1", "2.2.2.2", 17, part, fragment), 0, LinkType::kRaw};
    return decoder.decode(p.view(), d);
  };
  EXPECT_EQ(feed(8, datagram.substr(8, 8), true), DecodeStatus::kFragment);
  EXPECT_EQ(feed(0, datagram.substr(0, 8) + "xxxxxxxx" + "IJKLMNOP", true), DecodeStatus::kFragment);
  EXPECT_EQ(feed(24, datagram.substr(24), false), DecodeStatus::kTransport);
  EXPECT_EQ(as_text(d.payload), "ABCDEFGHIJKLMNOPQRSTUVWX");
  EXPECT_EQ(decoder.fragments().counters().overlapping_bytes, 8u);
}

TEST(Fragments, contradictions_end_the_datagram) {
  Decoder decoder;
  Decoded d;
  auto pieces = fragments_of(false, udp_datagram(1, 2, string(100, 'a')), 56);
  auto longer = fragments_of(false, udp_datagram(1, 2, string(140, 'a')), 56);
  decoder.decode(pieces[1].view(), d);                                         // the end is at 108
  EXPECT_EQ(decoder.decode(longer[2].view(), d), DecodeStatus::kBadFragment);  // no, at 148
  EXPECT_EQ(decoder.fragments().waiting(), 0u);
  const OwnedPacket beyond{{}, ipv4_packet("1.1.1.1", "2.2.2.2", 17, string(80, 'a'), 0x1FFF), 0, LinkType::kRaw};
  EXPECT_EQ(decoder.decode(beyond.view(), d), DecodeStatus::kBadFragment);
  EXPECT_EQ(decoder.fragments().counters().refused, 2u);
}

TEST(Fragments, have_limits_and_time) {
  Decoder decoder({.datagrams = 10, .bytes = 4000, .timeout = std::chrono::seconds(30)});
  Decoded d;
  for (uint16_t id = 0; id < 1000; ++id) {
    auto piece = fragments_of(false, udp_datagram(1, 2, string(300, 'a')), 160, id)[0];
    piece.time = timestamp_from_ns(id);
    EXPECT_EQ(decoder.decode(piece.view(), d), DecodeStatus::kFragment);
    EXPECT_LE(decoder.fragments().waiting(), 10u);
    EXPECT_LE(decoder.fragments().waiting_bytes(), 4000u + 160u);
  }
  EXPECT_EQ(decoder.fragments().counters().evicted, 990u);
  auto late = fragments_of(false, udp_datagram(1, 2, string(300, 'a')), 160, 999)[1];
  late.time = timestamp_from_ns(31'000'000'000);
  EXPECT_EQ(decoder.decode(late.view(), d), DecodeStatus::kFragment);  // its first half is gone
  EXPECT_EQ(decoder.fragments().counters().expired, 10u);
}

TEST(Decode, all_shared_captures) {
  const auto files = capture_files();
  if (files.empty()) GTEST_SKIP() << "no shared captures: set BALEEN_SHARED";
  uint64_t packets = 0, decoded = 0, not_ip = 0, unknown = 0;
  for (const std::string& file : files) {
    Decoder decoder;
    Decoded d;
    uint64_t here = 0;
    for (const OwnedPacket& packet : load_capture(file)) {
      decoder.decode(packet.view(), d);
      ++here;
      // And every one of them cut short, in a block of its own.
      const size_t cut = here * 7919 % (packet.bytes.size() + 1);
      const std::vector<uint8_t> bytes(packet.bytes.begin(), packet.bytes.begin() + static_cast<ptrdiff_t>(cut));
      Decoder other;
      other.decode({packet.time, bytes, packet.wire_length, 0, packet.link}, d);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < static_cast<size_t>(DecodeStatus::kCount); ++i)
      sum += decoder.count(static_cast<DecodeStatus>(i));
    EXPECT_EQ(sum, here) << file;
    packets += here;
    decoded += decoder.count(DecodeStatus::kTransport);
    not_ip += decoder.count(DecodeStatus::kNotIp);
    unknown += decoder.count(DecodeStatus::kUnknownLink);
  }
  EXPECT_GT(packets, 10'000u);
  EXPECT_EQ(unknown, 0u);
  EXPECT_GT(decoded + not_ip, packets / 100 * 97);
  RecordProperty("packets", std::to_string(packets));
  RecordProperty("decoded", std::to_string(decoded));
}

TEST(Decode, nflog_capture) {
  const std::string folder = captures_folder();
  if (folder.empty()) GTEST_SKIP() << "no shared captures: set BALEEN_SHARED";
  Decoder decoder;
  Decoded d;
  uint64_t http = 0;
  const auto packets = load_capture(folder + "/zeek/nflog-http.pcap");
  ASSERT_FALSE(packets.empty());
  for (const OwnedPacket& packet : packets) {
    ASSERT_EQ(decoder.decode(packet.view(), d), DecodeStatus::kTransport);
    http += d.tuple.dst.port == 80 || d.tuple.src.port == 80;
  }
  EXPECT_EQ(http, packets.size());
}

}  // namespace
}  // namespace baleen::net
