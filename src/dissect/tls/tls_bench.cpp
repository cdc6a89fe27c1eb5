#include "dissect/bench.h"
#include "dissect/test_bytes.h"
#include "dissect/tls/tls.h"

namespace baleen::dissect::tls {
namespace {

/// A whole handshake of TLS 1.3 in a session of its own.
void handshake(benchmark::State& state) {
  const auto record = [](const std::string& body) { return unhex("16 0303") + sized(2, body); };
  const auto extension = [](int type, const std::string& body) { return be(type, 2) + sized(2, body); };
  std::string ciphers;
  for (int i = 0; i < 16; ++i) ciphers += be(0xC02B + i, 2);
  const std::string client =
      record(be(1, 1) + sized(3, be(0x0303, 2) + std::string(32, 'r') + sized(1, std::string(32, 'i')) +
                                     sized(2, ciphers) + sized(1, be(0, 1)) +
                                     sized(2, extension(0, sized(2, be(0, 1) + sized(2, "example.org"))) +
                                                  extension(16, sized(2, sized(1, "h2"))) +
                                                  extension(43, sized(1, be(0x0304, 2))) +
                                                  extension(13, sized(2, be(0x0403, 2) + be(0x0804, 2))))));
  const std::string server =
      record(be(2, 1) + sized(3, be(0x0303, 2) + std::string(32, 's') + sized(1, std::string(32, 'i')) + be(0x1301, 2) +
                                     be(0, 1) + sized(2, extension(43, be(0x0304, 2)))));
  Collected out;
  out.keep = false;
  for (auto _ : state) {
    Tls session;
    session.dissect({Direction::kToServer, as_bytes(client), Timestamp{}, false}, out);
    session.dissect({Direction::kToClient, as_bytes(server), Timestamp{}, false}, out);
    session.close(false, out);
  }
  if (out.finished != static_cast<uint64_t>(state.iterations())) std::abort();
  state.SetItemsProcessed(static_cast<int64_t>(out.finished));
}
BENCHMARK(handshake);

}  // namespace
}  // namespace baleen::dissect::tls
