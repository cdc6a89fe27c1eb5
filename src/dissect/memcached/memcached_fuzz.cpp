#include "dissect/fuzz.h"
#include "dissect/memcached/memcached.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::memcached::Memcached>(data, size);
}
