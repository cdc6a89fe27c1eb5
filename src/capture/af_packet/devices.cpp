#include "capture/af_packet/devices.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/suggest.h"

namespace baleen::capture {

namespace {

#ifndef ARPHRD_RAWIP
constexpr uint16_t ARPHRD_RAWIP = 519;
#endif

// Devices without a link header: tun and WireGuard (NONE), mobile modems (RAWIP), and IP tunnels.
constexpr uint16_t kRawIp[] = {ARPHRD_NONE, ARPHRD_RAWIP, ARPHRD_TUNNEL, ARPHRD_TUNNEL6, ARPHRD_SIT};

}  // namespace

Result<std::vector<Device>> list_devices() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno_error("list interfaces", errno);
  struct if_nameindex* names = ::if_nameindex();
  if (names == nullptr) return errno_error("list interfaces", errno);
  std::vector<Device> devices;
  for (const struct if_nameindex* one = names; one->if_index != 0; ++one) {
    Device device{.index = static_cast<int>(one->if_index), .name = one->if_name};
    ifreq request{};
    std::strncpy(request.ifr_name, one->if_name, IFNAMSIZ - 1);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) continue;  // it has gone meanwhile
    device.hardware = request.ifr_hwaddr.sa_family;
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) continue;
    device.up = (request.ifr_flags & IFF_UP) != 0;
    devices.push_back(std::move(device));
  }
  ::if_freenameindex(names);
  return devices;
}

std::optional<net::LinkType> link_type_of(uint16_t hardware) {
  if (hardware == ARPHRD_ETHER || hardware == ARPHRD_LOOPBACK) return net::LinkType::kEthernet;
  if (std::find(std::begin(kRawIp), std::end(kRawIp), hardware) != std::end(kRawIp)) return net::LinkType::kRaw;
  return std::nullopt;
}

std::vector<uint16_t> raw_ip_hardware() { return {std::begin(kRawIp), std::end(kRawIp)}; }

Error unknown_device(std::string_view name, const std::vector<Device>& devices) {
  std::vector<std::string_view> names{"any"};
  for (const Device& device : devices) names.push_back(device.name);
  const std::string_view meant = suggest(name, names);
  return Error{Code::kNotFound,
               fmt::format("no interface '{}'{}; there are: {}", name,
                           meant.empty() ? "" : fmt::format(" (did you mean '{}'?)", meant), fmt::join(names, ", "))};
}

Result<NetworkNamespaceScope> NetworkNamespaceScope::enter(const std::string& path) {
  if (path.empty()) return NetworkNamespaceScope(UniqueFd());
  UniqueFd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return errno_error("open /proc/thread-self/ns/net", errno);
  const UniqueFd target(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target) return errno_error("open the network namespace " + path, errno);
  if (::setns(target.get(), CLONE_NEWNET) != 0) {
    if (errno == EPERM)
      return Error{Code::kDenied, "entering the network namespace " + path + " needs the capability CAP_SYS_ADMIN"};
    return errno_error("enter the network namespace " + path, errno);
  }
  return NetworkNamespaceScope(std::move(home));
}

NetworkNamespaceScope::~NetworkNamespaceScope() {
  // A thread left in a foreign namespace would do everything after this in the wrong place.
  if (home_) BALEEN_CHECK(::setns(home_.get(), CLONE_NEWNET) == 0);
}

}  // namespace baleen::capture
