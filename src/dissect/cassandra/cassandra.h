#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::cassandra {

/// Cassandra's native protocol (CQL binary), versions 3 to 5 as far as the frames of version 4: every operation,
/// matched by stream identifier; events stand alone; bodies with snappy and lz4.
class Cassandra final : public Framed<Cassandra, KeyedMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);

 private:
  enum class Compression : uint8_t { kNone, kLz4, kSnappy };
  Bytes body_of(const Frame& frame, Arena& arena, Output& out) const;

  Compression compression_ = Compression::kNone;  // what STARTUP asked for
};

}  // namespace baleen::dissect::cassandra
