#include "codec/pcap/format.h"

#include <algorithm>

namespace baleen::codec::pcap {

int64_t TimeResolution::to_ns(uint64_t units) const {
  using Wide = __int128;
  constexpr Wide kBillion = 1'000'000'000;
  Wide ns = 0;
  if (power_of_two) {
    // 2^-64 s and finer: less than a second is left of the whole range, which units cannot count beyond
    ns = exponent < 64 ? (Wide{units >> exponent} * kBillion) +
                             ((Wide{units & ((uint64_t{1} << exponent) - 1)} * kBillion) >> exponent)
                       : Wide{0};
  } else if (exponent <= 9) {
    Wide scale = 1;
    for (int i = exponent; i < 9; ++i) scale *= 10;
    ns = Wide{units} * scale;
  } else {
    uint64_t rest = units;
    for (int i = 9; i < exponent && rest != 0; ++i) rest /= 10;
    ns = Wide{rest};
  }
  ns += Wide{offset_seconds} * kBillion;
  return static_cast<int64_t>(
      std::clamp<Wide>(ns, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
}

}  // namespace baleen::codec::pcap
