// The items must be the same whole and cut up (law of cuts), and every item must be finished or dropped.

#include <cstdlib>

#include "dissect/dns/dns.h"
#include "dissect/play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen::dissect;
  if (size < 1) return 0;
  const std::vector<Said> script = script_from(baleen::as_text({data, size}));
  Settings limits;
  limits.body_cap = 4096;
  limits.header_cap = 8192;
  if (play<dns::Dns>(script, SIZE_MAX, limits) != play<dns::Dns>(script, 1 + data[0] % 64, limits)) std::abort();
  return 0;
}
