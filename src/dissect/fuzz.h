#pragma once

#include <cstdlib>

#include "dissect/play.h"

namespace baleen::dissect {

/// What every fuzz target of a dissector holds it to: the items are the same whole and cut up (law of cuts), every item
/// is finished or dropped, also of datagrams, and neither probe() nor resync() reads what is not there.
template <class D>
int fuzz(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::vector<Said> script = script_from(as_text({data, size}));
  Settings limits;
  limits.body_cap = 4096;
  limits.header_cap = 8192;
  if constexpr (D::kTcp) {  // datagrams are never cut
    if (play<D>(script, SIZE_MAX, limits) != play<D>(script, 1 + data[0] % 64, limits)) std::abort();
  }
  if constexpr (D::kUdp) {  // each turn a datagram, all of one conversation
    Collected out;
    out.limits = limits;
    D session;
    for (const Said& said : script) {
      const std::vector<uint8_t> exact(said.bytes.begin(), said.bytes.end());
      if (!exact.empty()) session.dissect({said.direction, {exact.data(), exact.size()}, {}, true, true}, out);
    }
    session.close(false, out);
    if (out.held() != 0) std::abort();
  }
  for (const Said& said : script) {
    const std::vector<uint8_t> exact(said.bytes.begin(), said.bytes.end());
    for (const auto& [end, datagram] : {std::pair{false, false}, {true, false}, {true, D::kUdp}}) {
      const Input in{said.direction, {exact.data(), exact.size()}, {}, end, datagram};
      D::probe(in);
      if constexpr (requires { &D::meeting; }) {
        for (const uint16_t port : {67, 68, 547, 546}) D::meeting({{}, {{}, port}, net::Transport::kUdp}, in);
      }
      Collected out;
      D session;
      if (!end) session.cut_off({said.direction, {exact.data(), exact.size()}, {}, false, false, 1}, out);
      session.gap(said.direction, 0, out);
      if (!exact.empty()) session.resync(in);
      if (end) session.dissect(in, out);
      session.close(false, out);
      if (out.held() != 0) std::abort();
    }
  }
  return 0;
}

}  // namespace baleen::dissect
