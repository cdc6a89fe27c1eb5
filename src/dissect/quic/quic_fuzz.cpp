#include "dissect/fuzz.h"
#include "dissect/quic/quic.h"
#include "dissect/quic/seal.h"

namespace baleen::dissect::quic {
namespace {

/// The turns are what Initial packets hold: nobody guesses what opens.
void fuzz_frames(const std::vector<Said>& script) {
  Collected out;
  Quic session;
  uint64_t number = 0;
  for (const Said& said : script) {
    const bool to_server = said.direction == Direction::kToServer;
    const std::string sealed = seal({said.direction, "firstfirst", to_server ? "firstfirst" : "client",
                                     to_server ? "client" : "server", number++, said.bytes});
    const std::vector<uint8_t> exact(sealed.begin(), sealed.end());
    session.dissect({said.direction, {exact.data(), exact.size()}, {}, true, true}, out);
  }
  session.close(false, out);
  if (out.held() != 0) std::abort();
}

}  // namespace
}  // namespace baleen::dissect::quic

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  if (size > 0 && (data[0] & 0x80) != 0) dissect::quic::fuzz_frames(dissect::script_from(as_text({data, size})));
  return dissect::fuzz<dissect::quic::Quic>(data, size);
}
