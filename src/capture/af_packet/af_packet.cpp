#include "capture/af_packet/af_packet.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "base/check.h"
#include "base/unique_fd.h"
#include "capture/af_packet/capture_filter.h"
#include "capture/af_packet/devices.h"
#include "capture/af_packet/packet_ring.h"
#include "capture/stop_event.h"

// One socket per shard, whatever it captures.
//
// A single interface is bound to. For several, or all, the socket is bound to none, and every packet says its device
// and that device's hardware type in the sockaddr_ll that lies before it in the ring: so packets of all interfaces come
// in the order of time, with their own link headers (libpcap's "any" device replaces them by a made one), from one ring
// of bounded memory, and interfaces that appear need nothing. Which devices and packets count is decided by the
// socket's filter.
//
// Nothing unfiltered slips in: the socket is made with protocol 0, which receives nothing, and gets its filter before
// it is bound. With several shards a socket receives everything between its binding and its joining the others, so
// until all have joined it has a filter that lets nothing through.

namespace baleen::capture {

namespace {

constexpr size_t kBatch = 128;  // their bytes, prefetched by fill(), still fit the second-level cache
constexpr uint32_t kVlanTag = 4;
constexpr size_t kMostInterfaces = 1 << 16;
constexpr uint32_t kNone = ~uint32_t{0};

std::string program_path() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<size_t>(length)) : "/path/to/baleen";
}

template <class T>
Result<> set_option(int socket, int name, const T& value, std::string_view what) {
  if (::setsockopt(socket, SOL_PACKET, name, &value, sizeof value) != 0) return errno_error(what, errno);
  return {};
}

/// What is captured, found out once for all shards.
struct Target {
  std::vector<std::string> names;  // as they were asked for; empty: all
  std::vector<Device> devices;     // those of them that are there
  bool bound = false;              // to the only one
  FilterPlan filter;
};

class Source : public PacketSource {
 public:
  explicit Source(Target target) : target_(std::move(target)), packets_(kBatch) {}

  Result<> open(const AfPacketOptions& options, bool closed);
  /// Joins the sockets that share packets; the first finds a free number for all.
  Result<> join(uint16_t& group, bool first);
  Result<> open_filter() {
    BALEEN_TRY(const FilterProgram program, build_filter(target_.filter));
    return attach_filter(socket_.get(), program);
  }

  Result<PacketBatch> next_batch(Duration timeout) override;
  const std::vector<Interface>& interfaces() const override { return interfaces_; }
  Statistics statistics() override;
  void stop() override { stop_.raise(); }
  void release() override {
    leased_ = false;
    if (ring_.left() == 0) ring_.give_back();
  }

 private:
  Result<> watch_links();
  Result<> links_changed();
  Result<bool> wait(Duration timeout);
  Error socket_error();
  PacketBatch fill();
  uint32_t interface_of(const sockaddr_ll& from) {
    const KnownDevice& known = known_[static_cast<uint32_t>(from.sll_ifindex) % known_.size()];
    return known.device == from.sll_ifindex && known.hardware == from.sll_hatype ? known.interface : learn(from);
  }
  uint32_t learn(const sockaddr_ll& from);

  /// A cache line of learn(): which of our interfaces a device is; kNone: of a link type that nobody decodes.
  struct KnownDevice {
    int device = 0;
    uint16_t hardware = 0;
    uint32_t interface = kNone;
  };

  Target target_;
  UniqueFd socket_, links_;
  PacketRing ring_;
  StopEvent stop_;
  bool leased_ = false;
  std::optional<Error> failed_;
  std::vector<net::Packet> packets_;
  std::vector<Interface> interfaces_;
  std::unordered_map<uint64_t, uint32_t> interface_of_device_;
  std::array<KnownDevice, 64> known_{};
  Statistics statistics_;
};

Result<> Source::open(const AfPacketOptions& options, bool closed) {
  socket_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_) {
    if (errno == EPERM || errno == EACCES)
      return Error{Code::kDenied,
                   fmt::format("capturing packets needs the capability CAP_NET_RAW: run as root, or give it to the "
                               "program: setcap cap_net_raw+ep {}",
                               program_path())};
    return errno_error("make a packet socket", errno);
  }
  const int fd = socket_.get();
  BALEEN_TRY_DO(set_option(fd, PACKET_VERSION, int{TPACKET_V3}, "use TPACKET_V3"));
  // room in front of every packet to put its VLAN tag back
  BALEEN_TRY_DO(set_option(fd, PACKET_RESERVE, unsigned{kVlanTag}, "reserve room for VLAN tags"));
  if (target_.bound && target_.filter.arriving_loopback_only) {
    // cheaper than the filter, but it would take the packets that leave other interfaces too
    if (set_option(fd, PACKET_IGNORE_OUTGOING, int{1}, "")) target_.filter.arriving_loopback_only = false;
  }
  BALEEN_TRY(const FilterProgram program, build_filter(target_.filter));
  BALEEN_TRY_DO(attach_filter(fd, closed ? closed_filter() : program));
  BALEEN_TRY(ring_, PacketRing::attach(fd, options.ring_bytes, options.block_bytes, options.retire));
  BALEEN_TRY_DO(watch_links());

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = target_.bound ? target_.devices[0].index : 0;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno_error("capture " + (target_.bound ? target_.devices[0].name : "any"), errno);
  for (const Device& device : target_.devices) {
    sockaddr_ll from{};
    from.sll_ifindex = device.index;
    from.sll_hatype = device.hardware;
    learn(from);
    if (!options.promiscuous || device.hardware != 1) continue;
    const packet_mreq request{device.index, PACKET_MR_PROMISC, 0, {}};
    BALEEN_TRY_DO(set_option(fd, PACKET_ADD_MEMBERSHIP, request, "make " + device.name + " promiscuous"));
  }
  return {};
}

Result<> Source::join(uint16_t& group, bool first) {
  const int fd = socket_.get();
  const uint32_t flags = PACKET_FANOUT_HASH | (first ? PACKET_FANOUT_FLAG_UNIQUEID : 0);
  BALEEN_TRY_DO(set_option(fd, PACKET_FANOUT, uint32_t{group} | flags << 16, "share packets among shards"));
  uint32_t joined = 0;
  socklen_t size = sizeof joined;
  if (::getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &joined, &size) != 0)
    return errno_error("share packets among shards", errno);
  group = static_cast<uint16_t>(joined);
  return {};
}

/// Several interfaces by name: told when one comes, because it may be one of them under a new number.
Result<> Source::watch_links() {
  if (target_.bound || target_.names.empty()) return {};
  links_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!links_) return errno_error("watch interfaces", errno);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (::bind(links_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno_error("watch interfaces", errno);
  return {};
}

/// Takes the notices off and lets the filter have the numbers that the names stand for now.
Result<> Source::links_changed() {
  char notices[16384];
  bool any = false;
  ssize_t got;
  // ENOBUFS says that some notices were lost, which is a notice too
  while ((got = ::recv(links_.get(), notices, sizeof notices, 0)) > 0 || (got < 0 && errno == ENOBUFS)) any = true;
  if (!any) return {};
  std::vector<int> devices;
  for (const std::string& name : target_.names) {
    ifreq request{};
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    if (::ioctl(socket_.get(), SIOCGIFINDEX, &request) == 0) devices.push_back(request.ifr_ifindex);
  }
  // none is there: a number that no device has, since an empty list would mean all
  if (devices.empty()) devices.push_back(INT_MAX);
  if (devices == target_.filter.devices) return {};
  target_.filter.devices = devices;
  return open_filter();
}

Result<PacketBatch> Source::next_batch(Duration timeout) {
  BALEEN_CHECK(!leased_);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!stop_.raised()) {
    if (failed_) return *failed_;
    if (ring_.left() != 0) {
      PacketBatch batch = fill();
      if (batch.size() != 0) return batch;
      continue;  // all of an unknown link type
    }
    if (ring_.take()) {
      if (links_) BALEEN_TRY_DO(links_changed());
      if (ring_.left() == 0) ring_.give_back();
      continue;
    }
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= Duration::zero()) return PacketBatch(PacketBatch::State::kTimeout);
    BALEEN_TRY(const bool links, wait(left));
    if (links) BALEEN_TRY_DO(links_changed());
  }
  return PacketBatch(PacketBatch::State::kEnd);
}

/// True: interfaces came or went.
Result<bool> Source::wait(Duration timeout) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  pollfd fds[3] = {{socket_.get(), POLLIN | POLLERR, 0}, {stop_.fd(), POLLIN, 0}, {links_.get(), POLLIN, 0}};
  if (::poll(fds, 3, static_cast<int>(std::clamp<int64_t>(milliseconds, 1, 1 << 30))) < 0 && errno != EINTR)
    return errno_error("wait for packets", errno);
  if (fds[0].revents & POLLERR) {
    Error error = socket_error();
    if (error.code != Code::kInternal) return error;  // otherwise it has passed already
  }
  return (fds[2].revents & (POLLIN | POLLERR)) != 0;
}

/// What has happened to the socket; kInternal: nothing.
Error Source::socket_error() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) return Error{};
  const std::string& name = target_.bound ? target_.devices[0].name : "any";
  if (error != ENETDOWN) return *(failed_ = errno_error("capture " + name, error));
  ifreq request{};
  request.ifr_ifindex = target_.bound ? target_.devices[0].index : 0;
  if (target_.bound && ::ioctl(socket_.get(), SIOCGIFNAME, &request) != 0)
    return *(failed_ = Error{Code::kNotFound, fmt::format("the interface {} was removed", name)});
  return Error{Code::kUnavailable,
               fmt::format("the interface {} went down; capture goes on when it is up again", name)};
}

/// The tag lies beside the packet in the ring: moves both addresses to the front and puts it behind them (IEEE 802.1Q).
uint8_t* restore_vlan_tag(uint8_t* packet, const tpacket3_hdr& header) {
  uint8_t* front = packet - kVlanTag;
  std::memmove(front, packet, 2 * ETH_ALEN);
  const uint16_t type =
      (header.tp_status & TP_STATUS_VLAN_TPID_VALID) ? header.hv1.tp_vlan_tpid : uint16_t{ETH_P_8021Q};
  const auto control = static_cast<uint16_t>(header.hv1.tp_vlan_tci);
  const uint16_t tag[2] = {htons(type), htons(control)};
  std::memcpy(front + 2 * ETH_ALEN, tag, sizeof tag);
  return front;
}

PacketBatch Source::fill() {
  size_t count = 0;
  uint64_t bytes = 0;
  for (size_t i = std::min<size_t>(kBatch, ring_.left()); i > 0; --i) {
    tpacket3_hdr* header = ring_.next();
    auto* start = reinterpret_cast<uint8_t*>(header);
    const uint32_t interface =
        target_.bound
            ? 0
            : interface_of(*reinterpret_cast<const sockaddr_ll*>(start + TPACKET_ALIGN(sizeof(tpacket3_hdr))));
    if (interface == kNone) {
      ++statistics_.dropped_unknown_link;
      continue;
    }
    const net::LinkType link = interfaces_[interface].link;
    uint32_t captured = header->tp_snaplen, on_wire = header->tp_len;
    // raw IP is taken from where the kernel found it: some tunnels have a header of their own in front
    const uint32_t before = link == net::LinkType::kRaw ? header->tp_net - header->tp_mac : 0;
    if (before > captured) continue;
    uint8_t* packet = start + header->tp_mac + before;
    captured -= before;
    on_wire -= before;
    // Whoever decodes the batch comes to these lines soon; fetched together they cost less (the header's
    // own line is here already). Past the packet's end there is the next one, or nothing that a prefetch minds.
    for (size_t line = 64; line < 256; line += 64) __builtin_prefetch(packet + line);
    if ((header->tp_status & TP_STATUS_VLAN_VALID) && link == net::LinkType::kEthernet && captured >= 2 * ETH_ALEN) {
      packet = restore_vlan_tag(packet, *header);
      captured += kVlanTag;
      on_wire += kVlanTag;
    }
    packets_[count++] = {timestamp_from_ns(int64_t{header->tp_sec} * 1'000'000'000 + header->tp_nsec),
                         {packet, captured},
                         on_wire,
                         interface,
                         link};
    bytes += captured;
  }
  if (count == 0) {
    if (ring_.left() == 0) ring_.give_back();
    return PacketBatch(PacketBatch::State::kPackets);
  }
  statistics_.packets += count;
  statistics_.bytes += bytes;
  leased_ = true;
  return {*this, std::span(packets_).first(count)};
}

/// The first packet of a device, or of one that shares its place in the cache with another.
uint32_t Source::learn(const sockaddr_ll& from) {
  const uint64_t key = uint64_t{static_cast<uint32_t>(from.sll_ifindex)} << 16 | from.sll_hatype;
  auto known = interface_of_device_.find(key);
  if (known == interface_of_device_.end()) {
    const auto link = link_type_of(from.sll_hatype);
    uint32_t interface = link ? static_cast<uint32_t>(interfaces_.size()) : kNone;
    if (interfaces_.size() >= kMostInterfaces || interface_of_device_.size() >= 2 * kMostInterfaces) return kNone;
    if (link) {
      ifreq request{};
      request.ifr_ifindex = from.sll_ifindex;
      const bool named = ::ioctl(socket_.get(), SIOCGIFNAME, &request) == 0;
      interfaces_.push_back({named ? request.ifr_name : fmt::format("interface {}", from.sll_ifindex), "", *link});
    }
    known = interface_of_device_.emplace(key, interface).first;
  }
  known_[static_cast<uint32_t>(from.sll_ifindex) % known_.size()] = {from.sll_ifindex, from.sll_hatype, known->second};
  return known->second;
}

Statistics Source::statistics() {
  tpacket_stats_v3 counted{};
  socklen_t size = sizeof counted;
  // the kernel starts from zero after each answer
  if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &counted, &size) == 0) {
    statistics_.dropped_by_kernel += counted.tp_drops;
    statistics_.ring_full += counted.tp_freeze_q_cnt;
  }
  return statistics_;
}

/// Finds the devices that the names mean, and what the filter has to do for them.
Result<Target> find_target(const AfPacketOptions& options) {
  BALEEN_TRY(const std::vector<Device> all, list_devices());
  Target target;
  const auto& asked = options.interfaces;
  if (std::find(asked.begin(), asked.end(), "any") == asked.end()) {
    for (const std::string& name : asked)  // a name that was given twice is one interface
      if (std::find(target.names.begin(), target.names.end(), name) == target.names.end()) target.names.push_back(name);
  }
  for (const std::string& name : target.names) {
    const auto device = std::find_if(all.begin(), all.end(), [&](const Device& d) { return d.name == name; });
    if (device == all.end()) return unknown_device(name, all);
    if (!link_type_of(device->hardware))
      return Error{Code::kInvalid, fmt::format("the interface {} has hardware type {}, whose packets cannot be decoded",
                                               name, device->hardware)};
    target.devices.push_back(*device);
  }
  if (target.names.empty())
    std::copy_if(all.begin(), all.end(), std::back_inserter(target.devices), [](const Device& d) { return d.up; });
  target.bound = target.names.size() == 1;
  target.filter.text = options.filter;
  target.filter.snap_length = options.snap_length;
  if (target.bound) {
    if (!target.devices[0].up)
      return Error{Code::kUnavailable, fmt::format("the interface {0} is down (ip link set {0} up)", target.names[0])};
    target.filter.link = link_type_of(target.devices[0].hardware);
  } else {
    for (const Device& device : target.devices)
      if (!target.names.empty()) target.filter.devices.push_back(device.index);
  }
  target.filter.arriving_loopback_only = !target.bound || target.devices[0].hardware == 772;  // ARPHRD_LOOPBACK
  return target;
}

}  // namespace

Result<std::vector<std::unique_ptr<PacketSource>>> open_af_packet(const AfPacketOptions& options, size_t shards) {
  BALEEN_CHECK(shards >= 1 && shards <= 256);
  BALEEN_TRY_DO(check_capture_filter(options.filter));
  BALEEN_TRY(const NetworkNamespaceScope scope, NetworkNamespaceScope::enter(options.network_namespace));
  BALEEN_TRY(const Target target, find_target(options));
  std::vector<std::unique_ptr<Source>> sources;
  uint16_t group = 0;
  for (size_t i = 0; i < shards; ++i) {
    sources.push_back(std::make_unique<Source>(target));
    BALEEN_TRY_DO(sources.back()->open(options, shards > 1));
    if (shards > 1) BALEEN_TRY_DO(sources.back()->join(group, i == 0));
  }
  if (shards > 1)
    for (auto& source : sources) BALEEN_TRY_DO(source->open_filter());
  std::vector<std::unique_ptr<PacketSource>> opened;
  for (auto& source : sources) opened.push_back(std::move(source));
  return opened;
}

}  // namespace baleen::capture
