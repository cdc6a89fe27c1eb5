#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::kafka {

/// Apache Kafka and what speaks its protocol (Redpanda): requests and responses by correlation id, every version that
/// apis.cpp describes, record batches and message sets with their compressions.
class Kafka final : public Framed<Kafka, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  Probe begins(Direction direction, Bytes bytes) const;

 private:
  Step request(const Frame& frame, Output& out);
  Step response(const Frame& frame, Output& out);
};

}  // namespace baleen::dissect::kafka
