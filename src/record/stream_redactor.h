#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dissect/engine.h"
#include "record/flight_recorder.h"
#include "record/redaction.h"

namespace baleen::record {

struct RedactorLimits {
  size_t stream_bytes = 4 << 20;  // of a stream's packets, held until it is known what is secret in them
  size_t all_bytes = 256 << 20;   // of all streams
  Duration age = std::chrono::seconds(60);
};

/// What became of packets and items. Shared by the redactors of a recording; one thread.
struct RedactionTally {
  uint64_t packets = 0;        // in which something was overwritten
  uint64_t blanked = 0;        // of these: their whole payload, because it was not known what is secret in it
  uint64_t blanked_bytes = 0;  // of payload
  RuleCounts rules;            // times that a rule's secret was overwritten
  uint64_t items = 0;          // that were changed
  size_t held_bytes = 0;       // now
};

/// Takes the secrets out of the packets of one stream. Same packets, same lengths; right checksums stay right.
///
/// Packets are held until the stream is at rest: every byte was read by a dissector, and no request waits. Then the
/// items tell the secrets, these are found in both directions' bytes, and the packets go on with filler in their place.
/// Whatever cannot be decided that way (no protocol that is known, loss, compressed or encrypted secrets, limits) goes
/// on with filler for all of its payload.
class StreamRedactor {
 public:
  using Emit = std::function<void(const RecordedPacket&)>;
  /// `blind`: the stream has been followed before, and what was known of it is gone; all payload is overwritten.
  StreamRedactor(std::shared_ptr<const Redaction> redaction, RedactionTally& tally, const RedactorLimits& limits = {},
                 bool blind = false);
  ~StreamRedactor();
  StreamRedactor(const StreamRedactor&) = delete;
  StreamRedactor& operator=(const StreamRedactor&) = delete;

  void add(const RecordedPacket& packet, const Emit& emit);
  /// No more packets come: decides on those that are held.
  void finish(const Emit& emit);

  static constexpr uint8_t kFiller = '*';

 private:
  struct Held {
    RecordedPacket facts;  // its bytes are `bytes`
    std::string bytes;
    size_t header_at = 0, payload_at = 0, payload_size = 0;
    uint32_t missing = 0, seq = 0;
    uint8_t side = 0;  // 0: from the end that is `first_`
    net::FiveTuple tuple;
    bool readable = false;  // TCP or UDP, and its payload lies in this packet
    bool blank = false, touched = false;
  };
  /// One direction's bytes of the packets in hand.
  struct Half {
    bool started = false;
    uint32_t next = 0;  // sequence number behind what was let go
    std::string bytes;
    std::vector<uint8_t> there;
    uint32_t begin = 0;
    std::vector<std::pair<size_t, size_t>> packets;  // of datagrams: where each begins, and which it is
  };
  class Listener;

  bool at_rest() const;
  bool understood();
  void decide(bool known, const Emit& emit);
  bool gather(Half& half, uint8_t side, uint64_t& bytes);
  bool overwrite(Half& half, uint8_t side, const std::vector<Secret>& secrets, std::vector<uint8_t>& found);
  void fill(Held& packet, size_t begin, size_t end);
  void blank(Held& packet);
  void let_go(Held& packet, const Emit& emit);
  std::array<uint64_t, 16> troubles() const;

  std::shared_ptr<const Redaction> rules_;
  const Redaction& redaction_;
  RedactionTally& tally_;
  RedactorLimits limits_;
  bool blind_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<dissect::Engine> engine_;
  net::Decoder decoder_;
  std::deque<Held> held_;
  size_t held_bytes_ = 0;
  net::Endpoint first_;
  bool any_ = false;
  Half halves_[2];
  std::array<uint64_t, 16> troubles_before_{};
  uint64_t read_before_ = 0;
};

}  // namespace baleen::record
