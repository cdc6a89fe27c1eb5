#include "dissect/fuzz.h"
#include "dissect/ldap/ldap.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return baleen::dissect::fuzz<baleen::dissect::ldap::Ldap>(data, size);
}
