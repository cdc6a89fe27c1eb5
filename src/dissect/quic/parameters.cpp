#include "dissect/quic/parameters.h"

#include "dissect/quic/handshake.h"

namespace baleen::dissect::quic {

using item::Value;

namespace {

constexpr uint16_t kExtension = 57, kDraftExtension = 0xFFA5;  // RFC 9001 8.2

enum class Kind : uint8_t { kNumber, kFlag, kIdentifier, kText, kVersions };
struct Parameter {
  uint64_t id;
  std::string_view name;
  Kind kind = Kind::kNumber;
};
constexpr Parameter kParameters[] = {
    {0x01, "maxIdleTimeout"},
    {0x03, "maxUdpPayloadSize"},
    {0x04, "initialMaxData"},
    {0x05, "initialMaxStreamDataBidiLocal"},
    {0x06, "initialMaxStreamDataBidiRemote"},
    {0x07, "initialMaxStreamDataUni"},
    {0x08, "initialMaxStreamsBidi"},
    {0x09, "initialMaxStreamsUni"},
    {0x0A, "ackDelayExponent"},
    {0x0B, "maxAckDelay"},
    {0x0C, "disableActiveMigration", Kind::kFlag},
    {0x0E, "activeConnectionIdLimit"},
    {0x0F, "initialSourceConnectionId", Kind::kIdentifier},
    {0x11, "versionInformation", Kind::kVersions},  // RFC 9368 3: the chosen one first
    {0x20, "maxDatagramFrameSize"},                 // RFC 9221 3
    {0x2AB2, "greaseQuicBit", Kind::kFlag},         // RFC 9287 3
    {0x3127, "initialRtt"},                         // of Google's clients
    {0x3129, "userAgent", Kind::kText},
    {0xFF04DE1B, "minAckDelay"},
};

void add(const Parameter& p, Bytes content, MapOf& out, Arena& arena) {
  switch (p.kind) {
    case Kind::kNumber: {
      ByteReader r(content);
      const uint64_t n = read_varint(r);
      if (r.ok()) out.add(p.name, static_cast<int64_t>(n));
      return;
    }
    case Kind::kFlag: return out.add(p.name, true);
    case Kind::kIdentifier: return out.add(p.name, hex(content, arena));
    case Kind::kText: return out.add(p.name, is_text(as_text(content)) ? as_text(content) : hex(content, arena));
    case Kind::kVersions: return out.add(p.name, read_versions(content, arena));
  }
}

Bytes find_extension(const tls::Hello& hello) {
  for (const tls::Extension& e : hello.all())
    if (e.type == kExtension || e.type == kDraftExtension) return e.content;
  return {};
}

}  // namespace

Value read_parameters(const tls::Hello& hello, const Version& version, Arena& arena) {
  MapOf out(arena);
  ByteReader r(find_extension(hello));
  if (version.old_parameters) r.skip(2);  // length of the list
  while (!r.at_end()) {
    const uint64_t id = version.old_parameters ? r.be16() : read_varint(r);
    const Bytes content = r.bytes(version.old_parameters ? r.be16() : read_varint(r));
    if (!r.ok()) break;
    for (const Parameter& p : kParameters)
      if (p.id == id) add(p, content, out, arena);
  }
  return out.empty() ? Value() : out.build();
}

}  // namespace baleen::dissect::quic
