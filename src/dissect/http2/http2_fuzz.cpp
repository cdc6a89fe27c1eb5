#include "dissect/fuzz.h"
#include "dissect/http2/http2.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::http2::Http2>(data, size);
}
