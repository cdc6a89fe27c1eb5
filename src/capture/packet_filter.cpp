#include "capture/packet_filter.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "capture/af_packet/capture_filter.h"
#include "capture/pcap_library.h"

namespace baleen::capture {
namespace {

constexpr int kWhole = 262144;  // bytes of a packet: what libpcap calls the maximum

struct Link {
  net::LinkType type;
  int dlt;
};
/// Where LINKTYPE_ and DLT_ numbers differ the latter depend on the system.
constexpr std::array kLinks = {
    Link{net::LinkType::kEthernet, DLT_EN10MB},    Link{net::LinkType::kRaw, DLT_RAW},
    Link{net::LinkType::kLinuxSll, DLT_LINUX_SLL}, Link{net::LinkType::kLinuxSll2, DLT_LINUX_SLL2},
    Link{net::LinkType::kNull, DLT_NULL},          Link{net::LinkType::kLoop, DLT_LOOP},
    Link{net::LinkType::kIpv4, DLT_IPV4},          Link{net::LinkType::kIpv6, DLT_IPV6},
};

}  // namespace

struct PacketFilter::Programs {
  std::array<std::vector<bpf_insn>, kLinks.size()> by_link;  // empty: no meaning there
};

Result<PacketFilter> PacketFilter::compile(const std::string& text) {
  PacketFilter filter;
  filter.text_ = text;
  if (text.find_first_not_of(" \t\n") == std::string::npos) return filter;
  // The kernel's bounds are ours, too: they keep libpcap from optimizing for minutes.
  BALEEN_TRY_DO(check_capture_filter(text));
  auto programs = std::make_shared<Programs>();
  for (size_t i = 0; i < kLinks.size(); ++i) {
    const std::unique_ptr<pcap_t, void (*)(pcap_t*)> handle(pcap_open_dead(kLinks[i].dlt, kWhole), pcap_close);
    bpf_program compiled{};
    if (!handle || pcap_compile(handle.get(), &compiled, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
      if (i != 0) continue;
      return Error{Code::kInvalid,
                   fmt::format("packet filter '{}': {}", text, handle ? pcap_geterr(handle.get()) : "")};
    }
    programs->by_link[i].assign(compiled.bf_insns, compiled.bf_insns + compiled.bf_len);
    pcap_freecode(&compiled);
  }
  filter.programs_ = std::move(programs);
  return filter;
}

bool PacketFilter::matches(const net::Packet& packet) const {
  if (!programs_) return true;
  for (size_t i = 0; i < kLinks.size(); ++i) {
    if (kLinks[i].type != packet.link) continue;
    const auto& program = programs_->by_link[i];
    return !program.empty() && bpf_filter(program.data(), packet.bytes.data(), packet.wire_length,
                                          static_cast<u_int>(packet.bytes.size())) != 0;
  }
  return false;
}

}  // namespace baleen::capture
