#include "dissect/dns/dns.h"
#include "dissect/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::dns::Dns>(data, size);
}
