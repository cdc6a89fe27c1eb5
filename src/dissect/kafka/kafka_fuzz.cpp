#include "dissect/fuzz.h"
#include "dissect/kafka/kafka.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::kafka::Kafka>(data, size);
}
