#include "dissect/fuzz.h"
#include "dissect/smtp/smtp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::smtp::Smtp>(data, size);
}
