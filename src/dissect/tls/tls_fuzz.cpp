#include "dissect/fuzz.h"
#include "dissect/tls/tls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::tls::Tls>(data, size);
}
