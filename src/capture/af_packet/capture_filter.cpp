#include "capture/af_packet/capture_filter.h"

#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "capture/af_packet/devices.h"
#include "capture/pcap_library.h"

// One socket may see devices of different link types, while a program that libpcap makes is for one link type. So the
// programs for Ethernet and for raw IP are put one after the other behind a few instructions of our own that ask the
// packet's device (SKF_AD_IFINDEX, SKF_AD_HATYPE). Conditional jumps reach 255 instructions, unconditional ones all.

namespace baleen::capture {

namespace {

constexpr uint32_t kAll = 262144;          // what libpcap calls the maximum; larger packets are kept whole as well
constexpr size_t kMostDevices = 250;       // reach of a conditional jump
constexpr size_t kLongestText = 16 << 10;  // libpcap takes two seconds for the worst of this length, then ever more
constexpr unsigned kLongestPlain = 3 * BPF_MAXINSNS;  // before optimization, which saves up to two thirds

struct PcapCloser {
  void operator()(pcap_t* handle) const { pcap_close(handle); }
};
using PcapHandle = std::unique_ptr<pcap_t, PcapCloser>;

sock_filter load(uint32_t what) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF) + what); }
sock_filter give(uint32_t bytes) { return BPF_STMT(BPF_RET | BPF_K, bytes); }
sock_filter equal(uint32_t value, size_t then, size_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<uint8_t>(then), static_cast<uint8_t>(otherwise));
}

/// Goes on behind these instructions when the accumulator is one of `values`, else drops the packet.
void require_one_of(FilterProgram& program, const std::vector<uint32_t>& values) {
  for (size_t i = 0; i < values.size(); ++i) program.push_back(equal(values[i], values.size() - i, 0));
  program.push_back(give(0));
}

/// A handle to compile with. libpcap knows that the kernel keeps VLAN tags beside the packet only of a live handle.
PcapHandle compiler(const std::string& text, net::LinkType link) {
  if (link == net::LinkType::kEthernet && text.find("vlan") != std::string::npos) {
    char error[PCAP_ERRBUF_SIZE];
    if (PcapHandle live(pcap_create("lo", error)); live) {
      pcap_set_snaplen(live.get(), kAll);
      pcap_set_buffer_size(live.get(), 1 << 16);
      if (pcap_activate(live.get()) >= 0 && pcap_datalink(live.get()) == DLT_EN10MB) return live;
    }
  }
  return PcapHandle(pcap_open_dead(link == net::LinkType::kEthernet ? DLT_EN10MB : DLT_RAW, kAll));
}

/// What people write who expect another language here.
std::string_view hint(const std::string& text) {
  for (const char* sign : {"==", "!=", "\"", "=~", ".startsWith", "~"})
    if (text.find(sign) != std::string::npos)
      return "this looks like a display filter or KFL; a capture filter only sees packets, as in 'tcp port 80 and net "
             "10.0.0.0/8'";
  for (const char* field : {"ip.addr", "tcp.port", "udp.port", "ip.src", "ip.dst", "dst.", "src."})
    if (text.find(field) != std::string::npos)
      return "write 'host 10.0.0.1', 'src net 10.0.0.0/8' or 'tcp dst port 80'";
  return "the syntax is that of pcap-filter(7), as in 'tcp port 80 and not host 10.0.0.1'";
}

Error too_long(std::string_view text, size_t instructions) {
  return Error{
      Code::kInvalid,
      fmt::format("capture filter '{}{}': too long for the kernel ({} instructions of {}); networks instead of "
                  "single hosts make it shorter",
                  text.substr(0, 80), text.size() > 80 ? "..." : "", instructions, BPF_MAXINSNS)};
}

/// `or_nothing`: a filter that has no meaning for `link` ("ether host ..." without Ethernet) lets nothing through.
Result<FilterProgram> compile(const std::string& text, net::LinkType link, bool or_nothing = false) {
  if (text.size() > kLongestText)
    return Error{Code::kInvalid, fmt::format("capture filter '{}...': {} bytes are too long ({} are not)",
                                             text.substr(0, 80), text.size(), kLongestText)};
  BALEEN_TRY_DO(load_pcap());
  const PcapHandle handle = compiler(text, link);
  if (!handle) return Error{Code::kInternal, "libpcap gives no handle to compile a filter with"};
  bpf_program compiled{};
  // First as it stands, because optimizing takes minutes for a few thousand addresses and an end is not in sight.
  for (const int optimize : {0, 1}) {
    if (pcap_compile(handle.get(), &compiled, text.c_str(), optimize, PCAP_NETMASK_UNKNOWN) != 0) {
      if (or_nothing) return closed_filter();
      return Error{Code::kInvalid,
                   fmt::format("capture filter '{}': {} ({})", text, pcap_geterr(handle.get()), hint(text))};
    }
    if (optimize == 1) break;
    const unsigned length = compiled.bf_len;
    pcap_freecode(&compiled);
    if (length > kLongestPlain) return too_long(text, length);
  }
  FilterProgram program;
  program.reserve(compiled.bf_len);
  for (unsigned i = 0; i < compiled.bf_len; ++i) {
    const bpf_insn& one = compiled.bf_insns[i];
    program.push_back({one.code, one.jt, one.jf, one.k});
  }
  pcap_freecode(&compiled);
  return program;
}

/// Every `ret kAll` becomes `ret bytes`.
void limit_length(FilterProgram& program, uint32_t bytes) {
  for (sock_filter& one : program)
    if (one.code == (BPF_RET | BPF_K) && one.k != 0) one.k = bytes;
}

}  // namespace

Result<> check_capture_filter(const std::string& text) {
  if (text.empty()) return {};
  BALEEN_TRY_DO(compile(text, net::LinkType::kEthernet));
  return {};
}

Result<FilterProgram> build_filter(const FilterPlan& plan) {
  FilterProgram program;
  if (plan.devices.size() > kMostDevices)
    return Error{Code::kInvalid, fmt::format("more than {} interfaces: capture 'any'", kMostDevices)};
  if (!plan.devices.empty()) {
    program.push_back(load(SKF_AD_IFINDEX));
    require_one_of(program, {plan.devices.begin(), plan.devices.end()});
  }
  if (plan.arriving_loopback_only) {
    program.push_back(load(SKF_AD_PKTTYPE));
    program.push_back(equal(PACKET_OUTGOING, 0, 3));
    program.push_back(load(SKF_AD_HATYPE));
    program.push_back(equal(ARPHRD_LOOPBACK, 0, 1));
    program.push_back(give(0));
  }
  const uint32_t kept = plan.snap_length == 0 ? ~uint32_t{0} : plan.snap_length;
  if (plan.text.empty()) {
    program.push_back(give(kept));
    return program;
  }
  FilterProgram ethernet, raw;
  if (plan.link != net::LinkType::kRaw) {
    BALEEN_TRY(ethernet, compile(plan.text, net::LinkType::kEthernet));
    limit_length(ethernet, kept);
  }
  if (plan.link != net::LinkType::kEthernet) {
    BALEEN_TRY(raw, compile(plan.text, net::LinkType::kRaw, !plan.link));
    limit_length(raw, kept);
  }
  if (!plan.link) {
    FilterProgram only_raw;
    const auto hardware = raw_ip_hardware();
    require_one_of(only_raw, {hardware.begin(), hardware.end()});
    program.push_back(load(SKF_AD_HATYPE));
    program.push_back(equal(ARPHRD_ETHER, 1, 0));
    program.push_back(equal(ARPHRD_LOOPBACK, 0, 1));
    program.push_back(BPF_STMT(BPF_JMP | BPF_JA, static_cast<uint32_t>(only_raw.size() + raw.size())));
    program.insert(program.end(), only_raw.begin(), only_raw.end());
  }
  program.insert(program.end(), raw.begin(), raw.end());
  program.insert(program.end(), ethernet.begin(), ethernet.end());
  if (program.size() > BPF_MAXINSNS) return too_long(plan.text, program.size());
  return program;
}

FilterProgram closed_filter() { return {give(0)}; }

Result<> attach_filter(int socket, const FilterProgram& program) {
  const sock_fprog attached{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof attached) != 0) {
    if (errno == ENOMEM)
      return Error{Code::kInvalid, "the capture filter needs more memory than net.core.optmem_max allows"};
    return errno_error("attach the capture filter", errno);
  }
  return {};
}

}  // namespace baleen::capture
