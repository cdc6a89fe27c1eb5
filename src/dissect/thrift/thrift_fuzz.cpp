#include "dissect/fuzz.h"
#include "dissect/thrift/thrift.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::thrift::Thrift>(data, size);
}
