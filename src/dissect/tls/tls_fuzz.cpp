#include "dissect/fuzz.h"
#include "dissect/tls/describe.h"
#include "dissect/tls/tls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Compressed certificates come in sealed records only, of which nobody knows the secrets here.
  baleen::Arena arena;
  baleen::dissect::tls::read_compressed_certificates({data, size}, 4096, arena);
  return baleen::dissect::fuzz<baleen::dissect::tls::Tls>(data, size);
}
