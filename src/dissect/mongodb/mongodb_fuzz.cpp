// Input: a byte that chooses the cuts, then turns: direction (1 bit) and length (15 bits), bytes. The items must be
// the same whole and cut up (law of cuts), and every item must be finished or dropped.

#include <cstdlib>

#include "dissect/mongodb/mongodb.h"
#include "dissect/play.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen::dissect;
  if (size < 1) return 0;
  const size_t piece = 1 + data[0] % 64;
  std::vector<Said> script;
  for (size_t at = 1; at + 2 <= size;) {
    const size_t head = size_t{data[at]} << 8 | data[at + 1];
    at += 2;
    const size_t n = std::min(head & 0x7FFF, size - at);
    const std::string bytes(reinterpret_cast<const char*>(data) + at, n);
    script.push_back((head & 0x8000) != 0 ? s(bytes) : c(bytes));
    at += n;
  }
  Settings limits;
  limits.body_cap = 4096;
  limits.header_cap = 8192;
  if (play<mongodb::Mongodb>(script, SIZE_MAX, limits) != play<mongodb::Mongodb>(script, piece, limits)) std::abort();
  return 0;
}
