#include "dissect/fuzz.h"
#include "dissect/zookeeper/zookeeper.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::zookeeper::Zookeeper>(data, size);
}
