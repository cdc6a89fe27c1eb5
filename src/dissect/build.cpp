#include "dissect/build.h"

#include <arpa/inet.h>

namespace baleen::dissect {

std::string_view address_text(Bytes address, Arena& arena) {
  char text[INET6_ADDRSTRLEN];
  if (address.size() != 4 && address.size() != 16) return hex(address, arena);
  if (inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text) == nullptr) return {};
  return arena.copy(std::string_view(text));
}

}  // namespace baleen::dissect
