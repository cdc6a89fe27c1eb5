#include "capture/pcap_library.h"

#include "base/library.h"

namespace baleen::capture {

#define BALEEN_PCAP(name) decltype(&::name) name = nullptr;
#include "capture/pcap_functions.def"
#undef BALEEN_PCAP

namespace {

Result<> load() {
  const char* const files[] = {"libpcap.so.0.8", "libpcap.so.1"};
  const LibraryFunction functions[] = {
#define BALEEN_PCAP(name) {#name, reinterpret_cast<void**>(&name)},
#include "capture/pcap_functions.def"
#undef BALEEN_PCAP
  };
  return load_library(files, functions, "packet filters are compiled by libpcap (Debian's package libpcap0.8)");
}

}  // namespace

Result<> load_pcap() {
  static const Result<> outcome = load();
  return outcome;
}

}  // namespace baleen::capture
