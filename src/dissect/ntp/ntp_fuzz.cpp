#include "dissect/fuzz.h"
#include "dissect/ntp/ntp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::ntp::Ntp>(data, size);
}
