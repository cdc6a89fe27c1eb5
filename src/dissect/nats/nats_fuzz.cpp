#include "dissect/fuzz.h"
#include "dissect/nats/nats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::nats::Nats>(data, size);
}
