#include "dissect/fuzz.h"
#include "dissect/radius/radius.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::radius::Radius>(data, size);
}
