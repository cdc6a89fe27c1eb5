#include <array>
#include <cstdlib>

#include "dissect/tls/decrypt/decryption.h"
#include "dissect/tls/names.h"

// Three bytes choose version, suite and what is known; then records, each with a byte for its direction. Nothing that
// was not sealed with the keys may open, and work per record is bounded.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using namespace baleen::dissect;
  using namespace baleen::dissect::tls;
  if (size < 4) return 0;
  static const KeyLog* const log = [] {
    static KeyLog all;
    const std::string random(64, '0');
    all.add("CLIENT_RANDOM " + random + " " + std::string(96, '1') + "\nCLIENT_HANDSHAKE_TRAFFIC_SECRET " + random +
            " " + std::string(64, '2') + "\nSERVER_HANDSHAKE_TRAFFIC_SECRET " + random + " " + std::string(64, '3') +
            "\nSERVER_TRAFFIC_SECRET_0 " + random + " " + std::string(64, '4') + "\n");
    return &all;
  }();
  constexpr uint16_t kSuites[] = {0x1301, 0x1303, 0x1304, 0xC02F, 0xCCA8, 0xC0AC, 0x002F, 0x003D, 0x0084, 0x0000};
  const std::array<uint8_t, 32> random{};
  Decryption decryption(*log, random, (data[0] & 1) != 0);
  Chosen chosen;
  chosen.version = (data[0] & 2) != 0 ? 0x0304 : 0x0303;
  chosen.cipher = kSuites[data[1] % std::size(kSuites)];
  chosen.server_random = random;
  chosen.encrypt_then_mac = (data[0] & 4) != 0;
  if ((data[0] & 8) == 0 && !decryption.choose(chosen)) return 0;
  if ((data[0] & 16) != 0)
    for (const Direction d : {Direction::kToServer, Direction::kToClient}) decryption.change_cipher(d);
  static std::array<uint8_t, RecordCipher::kMostPlaintext> room;
  ByteReader in({data + 3, size - 3});
  while (in.remaining() > RecordCipher::kHead + 1) {
    const auto direction = static_cast<Direction>(in.u8() & 1);
    const Bytes rest = in.bytes(in.remaining());
    const size_t length =
        std::min<size_t>(RecordCipher::kHead + std::max<size_t>(1, load_be16(&rest[3]) & 0x3FF), rest.size());
    Opened opened;
    if (decryption.is_sealed(direction, rest[0]) && !decryption.passes_over(direction) &&
        decryption.open(direction, rest.first(length), room, opened) == Decryption::Outcome::kOpened)
      std::abort();
    if ((rest[1] & 0x80) != 0) decryption.gap(direction);
    in = ByteReader(rest.subspan(length));
  }
  return 0;
}
