#include "worker/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)baleen::worker::parse_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
