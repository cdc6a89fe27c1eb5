#include "dissect/dtls/dtls.h"
#include "dissect/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::dtls::Dtls>(data, size);
}
