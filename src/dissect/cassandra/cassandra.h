#pragma once

#include <memory>
#include <vector>

#include "dissect/framed.h"

namespace baleen::dissect::cassandra {

/// Cassandra's native protocol (CQL binary), versions 1 to 5: every operation, matched by stream identifier; events
/// stand alone; bodies with snappy and lz4; the frames of version 5 around them, whole, several in one, or cut.
class Cassandra final : public Framed<Cassandra, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  Probe begins(Direction direction, Bytes bytes) const;
  void forget(Direction direction, Output& out);

 private:
  /// What stands around the envelopes; of a connection joined in its middle the first bytes tell.
  enum class Framing : uint8_t { kUnknown, kNone, kFrames, kCompressedFrames };
  /// An envelope that comes in several frames.
  struct Parts {
    std::vector<uint8_t> kept;  // not more than Settings::header_cap
    uint64_t seen = 0;
    Timestamp time{};
  };
  Step frame(const Input& in, Output& out);
  void whole_envelopes(Direction direction, Bytes bytes, Timestamp time, Output& out);
  void part(Direction direction, Bytes bytes, Timestamp time, Output& out);
  enum class Compression : uint8_t { kNone, kLz4, kSnappy };
  Bytes body_of(const Frame& frame, Arena& arena, Output& out) const;

  Compression compression_ = Compression::kNone;  // what STARTUP asked for
  Framing framing_ = Framing::kUnknown;
  std::unique_ptr<Parts> parts_[2];
};

}  // namespace baleen::dissect::cassandra
