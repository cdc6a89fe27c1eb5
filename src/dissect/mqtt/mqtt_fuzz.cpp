#include "dissect/fuzz.h"
#include "dissect/mqtt/mqtt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::mqtt::Mqtt>(data, size);
}
