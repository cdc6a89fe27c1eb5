#include "dissect/fuzz.h"
#include "dissect/sip/sip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::sip::Sip>(data, size);
}
