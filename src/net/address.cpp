#include "net/address.h"
#include <arpa/inet.h>
#include <cstring>
namespace baleen::net {
size_t write_address(const IpAddress& a, char* out) {
  if (a.is_v4()) inet_ntop(AF_INET, &a.bytes[12], out, 46); else inet_ntop(AF_INET6, a.bytes.data(), out, 46);
  return std::strlen(out);
}
}
