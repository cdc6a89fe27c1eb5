#pragma once

#include <pcap/pcap.h>

#include "base/result.h"

// libpcap compiles filters, and is loaded with the first one: it brings D-Bus and systemd's libraries with it. Within
// this namespace its functions' names are those of pointers, null until load_pcap() has succeeded.

namespace baleen::capture {

#define BALEEN_PCAP(name) extern decltype(&::name) name;
#include "capture/pcap_functions.def"
#undef BALEEN_PCAP

/// Once for the process; the same answer each time. kNotFound: there is no such library. Any thread.
Result<> load_pcap();

}  // namespace baleen::capture
