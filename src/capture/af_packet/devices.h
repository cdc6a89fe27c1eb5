#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "net/packet.h"

namespace baleen::capture {

/// A network device of this machine, as the kernel knows it.
struct Device {
  int index = 0;
  std::string name;
  uint16_t hardware = 0;  // ARPHRD_ number
  bool up = false;
};

/// The devices of the calling thread's network namespace.
Result<std::vector<Device>> list_devices();

/// How packets of a device begin when they come from a SOCK_RAW packet socket; nothing for what we cannot decode.
std::optional<net::LinkType> link_type_of(uint16_t hardware);

/// ARPHRD_ numbers whose packets begin with an IP header.
std::vector<uint16_t> raw_ip_hardware();

/// "no interface 'eht0' (did you mean 'eth0'?); there are: eth0, lo".
Error unknown_device(std::string_view name, const std::vector<Device>& devices);

/// Puts the calling thread into another network namespace for its life. Sockets made meanwhile stay there.
class NetworkNamespaceScope {
 public:
  /// `path` is that of a namespace ("/proc/12/ns/net", "/run/netns/a"); empty: stays where it is.
  static Result<NetworkNamespaceScope> enter(const std::string& path);
  NetworkNamespaceScope(NetworkNamespaceScope&&) = default;
  ~NetworkNamespaceScope();

 private:
  explicit NetworkNamespaceScope(UniqueFd home) : home_(std::move(home)) {}
  UniqueFd home_;
};

}  // namespace baleen::capture
