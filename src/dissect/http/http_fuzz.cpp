// The items must be the same whole and cut up (law of cuts), and every item must be finished or dropped, also where
// heads were cut off.

#include <cstdlib>

#include "dissect/http/http.h"
#include "dissect/play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen::dissect;
  if (size < 1) return 0;
  const std::vector<Said> script = script_from(baleen::as_text({data, size}));
  Settings limits;
  limits.body_cap = 4096;
  limits.header_cap = 8192;
  if (play<http::Http>(script, SIZE_MAX, limits) != play<http::Http>(script, 1 + data[0] % 64, limits)) std::abort();
  for (const Said& said : script) {
    const std::vector<uint8_t> exact(said.bytes.begin(), said.bytes.end());
    const Input in{said.direction, {exact.data(), exact.size()}, {}, false, false, 1};
    http::Http::probe(in);
    Collected out;
    http::Http session;
    for (int lost = 0; lost < 2; ++lost) {
      session.cut_off(in, out);
      session.gap(said.direction, 0, out);
    }
    session.close(false, out);
    if (out.held() != 0) std::abort();
  }
  return 0;
}
